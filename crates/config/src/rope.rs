//! How positions are rotated (RoPE): `rope_parameters` of a config, and the frequencies that they give.

mod scalings;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dialect::ROPE;
use crate::error::FieldError;
use crate::fields::Verdict::{Refused, Warned};
use crate::fields::{Fields, Row, Unused, null, off, one};
use crate::values::Theta;
pub use scalings::{DynamicScaling, LinearScaling, Llama3Scaling, LongropeScaling, YarnScaling};

/// One rotation, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// The base θ: pair i of d/2 turns by position · θ^(-2i/d).
    pub rope_theta: f64,
    pub scaling: RopeScaling,
}

/// The scalings that transformers knows for these families (`modeling_rope_utils.py`).
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RopeScaling {
    /// The rotation of the RoPE paper (arXiv:2104.09864), unscaled.
    Default,
    Linear(LinearScaling),
    Dynamic(DynamicScaling),
    Yarn(YarnScaling),
    Llama3(Llama3Scaling),
    Longrope(LongropeScaling),
}

/// What transformers takes when no θ is written (`RotaryEmbeddingConfigMixin.default_theta`).
const DEFAULT_THETA: Theta = Theta(10_000.0);

/// Every parameter that some type knows.
#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "rope_theta", "rope_type", "factor", "original_max_position_embeddings", "beta_fast", "beta_slow",
    "attention_factor", "mscale", "mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor",
    "short_factor", "long_factor",
];

/// Parameters of relatives and forks that change the rotation.
#[rustfmt::skip]
const REFUSED: &[Row<()>] = &[
    (&["partial_rotary_factor"], one, "heads are rotated whole here"),
    (&["mrope_section"], null, "positions have one axis here"),
    (&["mrope_interleaved"], off, "positions have one axis here"),
    (&["interleaved", "rope_interleaved"], off, "rotation pairs the halves of a head"),
    (&["alpha"], null, "give the scaled rope_theta instead"),
    (&["llama_4_scaling_beta"], null, "queries are not scaled by position here"),
    (&["attn_factor"], one, "say it with attention_factor"),
    (&["extrapolation_factor"], one, "the ramp reaches from 0 to 1 here"),
    (&["full_attention", "sliding_attention"], null, "all layers share one rotation here"),
];

impl RopeScaling {
    /// Hugging Face's name for it, the `rope_type`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear(_) => "linear",
            Self::Dynamic(_) => "dynamic",
            Self::Yarn(_) => "yarn",
            Self::Llama3(_) => "llama3",
            Self::Longrope(_) => "longrope",
        }
    }

    fn read(
        fields: &mut Fields,
        context: usize,
        head_dim: usize,
        theta: f64,
    ) -> Result<Self, FieldError> {
        let name: String = fields.get("rope_type", "default".to_owned())?;
        Ok(match name.as_str() {
            "default" => Self::Default,
            "linear" => Self::Linear(LinearScaling::read(fields)?),
            "dynamic" => Self::Dynamic(DynamicScaling::read(fields, context, head_dim)?),
            "yarn" => Self::Yarn(YarnScaling::read(fields, context, theta)?),
            "llama3" => Self::Llama3(Llama3Scaling::read(fields, context)?),
            // Phi-3's first files called it "su", after the author of RoPE.
            "longrope" | "su" => Self::Longrope(LongropeScaling::read(fields, context, head_dim)?),
            _ => {
                let rule = "must be one of default, linear, dynamic, yarn, llama3, longrope";
                let field = fields.full_name("rope_type");
                return Err(FieldError::invalid(&field, format!("{name:?}"), rule));
            }
        })
    }
}

impl RopeParameters {
    /// Reads all of a version-5 `rope_parameters` object, for heads of `head_dim`; what decides nothing goes to
    /// `unused`.
    pub(crate) fn read(
        object: Map<String, Value>,
        max_position_embeddings: usize,
        head_dim: usize,
        unused: &mut Vec<Unused>,
    ) -> Result<Self, FieldError> {
        let mut fields = Fields::new(format!("{ROPE}."), object);
        let Theta(rope_theta) = fields.get("rope_theta", DEFAULT_THETA)?;
        let scaling =
            RopeScaling::read(&mut fields, max_position_embeddings, head_dim, rope_theta)?;
        let why = format!("rope_type {} does not use it", scaling.name());
        let tables = [(Refused, REFUSED), (Warned, &[(PARAMETERS, null, &why)])];
        fields.rest(&tables, &(), (Warned, "no rope_type uses it"), PARAMETERS)?;
        unused.append(&mut fields.unused);
        Ok(Self {
            rope_theta,
            scaling,
        })
    }

    /// Angle per position, in radians, for each of the `head_dim / 2` pairs, in a pass that reaches `length` positions.
    pub fn inv_freq(&self, head_dim: usize, length: usize) -> Vec<f64> {
        let (theta, dim) = (self.rope_theta, head_dim);
        match &self.scaling {
            RopeScaling::Default => scalings::unscaled(theta, dim).collect(),
            RopeScaling::Linear(scaling) => scaling.inv_freq(theta, dim),
            RopeScaling::Dynamic(scaling) => scaling.inv_freq(theta, dim, length),
            RopeScaling::Yarn(scaling) => scaling.inv_freq(theta, dim),
            RopeScaling::Llama3(scaling) => scaling.inv_freq(theta, dim),
            RopeScaling::Longrope(scaling) => scaling.inv_freq(theta, dim, length),
        }
    }

    /// What cosine and sine are multiplied by, so that scores are multiplied by its square.
    pub fn attention_scaling(&self) -> f64 {
        match &self.scaling {
            RopeScaling::Yarn(scaling) => scaling.attention_scaling(),
            RopeScaling::Longrope(scaling) => scaling.attention_scaling(),
            _ => 1.0,
        }
    }

    /// Whether a pass over the first `length` positions rotates them by other angles than shorter passes did: then only
    /// one pass over all of them gives what the definition gives.
    pub fn depends_on_length(&self, length: usize) -> bool {
        match &self.scaling {
            RopeScaling::Dynamic(scaling) => length > scaling.max_position_embeddings,
            RopeScaling::Longrope(scaling) => length > scaling.original_max_position_embeddings,
            _ => false,
        }
    }

    /// As in a version-5 `config.json`.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = match serde_json::to_value(&self.scaling) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        object.retain(|_, parameter| !parameter.is_null());
        object.insert("rope_theta".to_owned(), json!(self.rope_theta));
        object.insert("rope_type".to_owned(), json!(self.scaling.name()));
        Value::Object(object)
    }
}
