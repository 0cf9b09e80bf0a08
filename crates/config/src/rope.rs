//! How positions are rotated (RoPE): `rope_parameters` of a config, and the frequencies that they give.

mod scalings;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dialect::ROPE;
use crate::error::Checked;
use crate::fields::Verdict::{Refused, Warned};
use crate::fields::{Fields, Row, Unused, none, off, one};
use crate::values::Rule;
pub use scalings::{DynamicScaling, LinearScaling, Llama3Scaling, LongropeScaling, YarnScaling};

/// One rotation, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// The base θ: pair i of d/2 is rotated by position · θ^(-2i/d).
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
const DEFAULT_THETA: f64 = 10_000.0;

/// The reference computes angles in float32.
const THETA: Rule<f64> = Rule("must be a finite number above 0 that float32 can hold", |value| {
    let theta = value.as_f64()?;
    (theta > 0.0 && theta <= f64::from(f32::MAX)).then_some(theta)
});

const NAMES: [&str; 6] = ["default", "linear", "dynamic", "yarn", "llama3", "longrope"];
const ROPE_TYPE: Rule<&str> =
    Rule("must be one of default, linear, dynamic, yarn, llama3, longrope", |value| match value.as_str()? {
        "su" => Some("longrope"), // Phi-3's first files called it so, after the author of RoPE.
        name => NAMES.into_iter().find(|known| *known == name),
    });

/// Every parameter that some type knows.
#[rustfmt::skip]
const PARAMETERS: &[&str] = &[
    "rope_theta", "rope_type", "factor", "original_max_position_embeddings", "beta_fast", "beta_slow",
    "attention_factor", "mscale", "mscale_all_dim", "truncate", "low_freq_factor", "high_freq_factor",
    "short_factor", "long_factor",
];

/// Parameters of relatives and forks that change the rotation.
#[rustfmt::skip]
const REFUSED: &[Row] = &[
    (&["partial_rotary_factor"], one, "heads are rotated whole here"),
    (&["mrope_section"], none, "positions have one axis here"),
    (&["mrope_interleaved"], off, "positions have one axis here"),
    (&["interleaved", "rope_interleaved"], off, "rotation pairs the halves of a head"),
    (&["alpha"], none, "give the scaled rope_theta instead"),
    (&["llama_4_scaling_beta"], none, "queries are not scaled by position here"),
    (&["attn_factor"], one, "say it with attention_factor"),
    (&["extrapolation_factor"], one, "the ramp reaches from 0 to 1 here"),
    (&["full_attention", "sliding_attention"], none, "all layers share one rotation here"),
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

    /// Reads the type that `rope_type` names, of a model for `length` positions.
    fn read(fields: &mut Fields, length: usize, head_dim: usize, theta: f64) -> Checked<Self> {
        Ok(match fields.get("rope_type", ROPE_TYPE, "default")? {
            "linear" => Self::Linear(LinearScaling::read(fields)?),
            "dynamic" => Self::Dynamic(DynamicScaling::read(fields, length, head_dim)?),
            "yarn" => Self::Yarn(YarnScaling::read(fields, length, theta)?),
            "llama3" => Self::Llama3(Llama3Scaling::read(fields, length)?),
            "longrope" => Self::Longrope(LongropeScaling::read(fields, length, head_dim)?),
            _ => Self::Default,
        })
    }
}

impl RopeParameters {
    /// Reads all of a version-5 `rope_parameters` object, of a model for `length` positions; with the fields that decide
    /// nothing.
    pub(crate) fn read(object: Map<String, Value>, length: usize, head_dim: usize) -> Checked<(Self, Vec<Unused>)> {
        let mut fields = Fields::new(format!("{ROPE}."), object);
        let rope_theta = fields.get("rope_theta", THETA, DEFAULT_THETA)?;
        let scaling = RopeScaling::read(&mut fields, length, head_dim, rope_theta)?;
        let why = format!("rope_type {} does not use it", scaling.name());
        let tables = [(Refused, REFUSED), (Warned, &[(PARAMETERS, none, &why)])];
        let unused = fields.rest(&tables, &(), (Warned, "no rope_type uses it"), PARAMETERS)?;
        let rope = Self { rope_theta, scaling };
        Ok((rope, unused))
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
