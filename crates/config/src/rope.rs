//! How positions are rotated (RoPE): `rope_parameters` of a config, and the frequencies that they give.

mod scalings;

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::dialect::ROPE;
use crate::error::Checked;
use crate::fields::Verdict::{Refused, Warned};
use crate::fields::{Fields, Row, Unused, none, off, one};
use crate::layer::Temperature;
use crate::values::{NOT_NEGATIVE, OBJECT, Rule, SIZE};
pub(crate) use scalings::unscaled;
pub use scalings::{DynamicScaling, LinearScaling, Llama3Scaling, LongropeScaling, YarnScaling};

/// One rotation, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// The base θ: pair i of d/2 is rotated by position · θ^(-2i/d).
    pub rope_theta: f64,
    pub scaling: RopeScaling,
    /// The part of a head that is rotated: its first floor(head_dim · factor) values. The others pass as they are.
    pub partial_rotary_factor: f64,
    /// How the d rotated values pair up: i with i + d/2, the halves; or, interleaved, 2i with 2i + 1.
    pub interleaved: bool,
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

/// What a family takes for granted of its RoPEs.
pub(crate) struct RopeRule {
    /// What transformers takes when no θ is written (`default_theta`).
    pub theta: f64,
    /// θ of sliding layers, in families with a RoPE for each kind of layer: first that of full ones.
    pub sliding_theta: Option<f64>,
    /// Whether version 4's files say that one too, as `rope_local_base_freq`.
    pub sliding_theta_in_file: bool,
    /// `rope_parameters` of a file that has none.
    pub absent: fn() -> Value,
    /// The types that the family's class lets pass; none where nothing rotates.
    pub types: &'static [&'static str],
    /// `partial_rotary_factor` where it is absent. `None`: heads are rotated whole, whatever it says.
    pub partial: Option<f64>,
    pub interleaved: bool,
    /// `original_max_position_embeddings` where it is absent. `None`: `max_position_embeddings`.
    pub original_max_position_embeddings: Option<usize>,
    /// Whether the position also scales queries, by `llama_4_scaling_beta`.
    pub temperature: bool,
}

impl RopeRule {
    pub const LLAMA: Self = Self {
        theta: 10_000.0,
        sliding_theta: None,
        sliding_theta_in_file: false,
        absent: || json!({}),
        types: &NAMES,
        partial: None,
        interleaved: false,
        original_max_position_embeddings: None,
        temperature: false,
    };
}

/// What was read of `rope_parameters`.
pub(crate) struct Ropes {
    pub ropes: Vec<RopeParameters>,
    pub temperature: Option<Temperature>,
    /// The fields that decide nothing.
    pub unused: Vec<Unused>,
}

/// The kinds of layers that have a RoPE each, in the order of [`Ropes::ropes`].
pub(crate) const KINDS: [&str; 2] = ["full_attention", "sliding_attention"];
const EACH_KIND: &str = "each kind of layer has its own";
/// θ of sliding layers in version 4.
pub(crate) const SLIDING_THETA: &str = "rope_local_base_freq";
const BETA: &str = "llama_4_scaling_beta";

/// The reference computes angles in float32.
const THETA: Rule<f64> = Rule("must be a finite number above 0 that float32 can hold", |value| {
    let theta = value.as_f64()?;
    (theta > 0.0 && theta <= f64::from(f32::MAX)).then_some(theta)
});

/// Part of a head.
const PART: Rule<f64> =
    Rule("must be a number above 0, at most 1", |value| value.as_f64().filter(|&part| part > 0.0 && part <= 1.0));

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
    (&["partial_rotary_factor"], one, "heads are rotated whole in this family"),
    (&["mrope_section"], none, "positions have one axis here"),
    (&["mrope_interleaved"], off, "positions have one axis here"),
    (&["interleaved", "rope_interleaved"], off, "rotation pairs the halves of a head"),
    (&["alpha"], none, "give the scaled rope_theta instead"),
    (&[BETA], none, "queries are not scaled by position in this family"),
    (&["attn_factor"], one, "say it with attention_factor"),
    (&["extrapolation_factor"], one, "the ramp reaches from 0 to 1 here"),
    (&["full_attention", "sliding_attention"], none, "all layers share one rotation in this family"),
    (&[SLIDING_THETA], none, "all layers share one rotation in this family"),
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

    /// Reads the type that `rope_type` names, of a model for `length` positions, trained for `original`.
    fn read(fields: &mut Fields, (length, original): (usize, usize), dim: usize, theta: f64) -> Checked<Self> {
        Ok(match fields.get("rope_type", ROPE_TYPE, "default")? {
            "linear" => Self::Linear(LinearScaling::read(fields)?),
            "dynamic" => Self::Dynamic(DynamicScaling::read(fields, length, dim)?),
            "yarn" => Self::Yarn(YarnScaling::read(fields, (length, original), theta)?),
            "llama3" => Self::Llama3(Llama3Scaling::read(fields, original)?),
            "longrope" => Self::Longrope(LongropeScaling::read(fields, (length, original), dim)?),
            _ => Self::Default,
        })
    }
}

impl RopeRule {
    /// Whether the family's attention has positions.
    pub fn rotates(&self) -> bool {
        !self.types.is_empty()
    }

    /// Reads all of a version-5 `rope_parameters` object, of a model for `length` positions.
    pub fn read(&self, mut object: Map<String, Value>, length: usize, head_dim: usize) -> Checked<Ropes> {
        let mut ropes = Ropes { ropes: Vec::new(), temperature: None, unused: Vec::new() };
        let Some(sliding_theta) = self.sliding_theta else {
            self.read_one(&mut ropes, (format!("{ROPE}."), object), self.theta, length, head_dim)?;
            return Ok(ropes);
        };
        // Version 4 has one object, of full layers, and beside it the θ of sliding ones.
        let local = object.shift_remove(SLIDING_THETA);
        let nested = KINDS.map(|kind| object.shift_remove(kind));
        let prefix = |kind: &str| format!("{ROPE}.{kind}.");
        let (full, sliding) = match nested {
            [None, None] => {
                let sliding = local.map(|theta| ("rope_theta".to_owned(), theta));
                ((format!("{ROPE}."), object), (format!("{ROPE}."), Map::from_iter(sliding)))
            }
            [full, sliding] => {
                // A θ outside is for the kind that says none.
                let outside = object.shift_remove("rope_theta");
                let mut nested = |kind: &str, value: Option<Value>, theta: Option<Value>, name: &str| {
                    let value = value.filter(|value| !value.is_null()).unwrap_or(json!({}));
                    let mut inner = OBJECT.read(&format!("{ROPE}.{kind}"), &value)?;
                    if let Some(theta) = theta
                        && *inner.entry("rope_theta").or_insert_with(|| theta.clone()) != theta
                    {
                        object.insert(name.to_owned(), theta);
                    }
                    Ok((prefix(kind), inner))
                };
                let full = nested(KINDS[0], full, outside, "rope_theta")?;
                let sliding = nested(KINDS[1], sliding, local, SLIDING_THETA)?;
                let mut rest = Fields::new(format!("{ROPE}."), object);
                rest.idle(&["rope_type"], false, EACH_KIND);
                let thetas: Row = (&["rope_theta", SLIDING_THETA], none, EACH_KIND);
                let tables = [(Warned, &[thetas][..]), (Refused, REFUSED)];
                ropes.unused.extend(rest.rest(&tables, &(), (Warned, EACH_KIND), &[])?);
                (full, sliding)
            }
        };
        self.read_one(&mut ropes, full, self.theta, length, head_dim)?;
        self.read_one(&mut ropes, sliding, sliding_theta, length, head_dim)?;
        Ok(ropes)
    }

    fn read_one(
        &self,
        ropes: &mut Ropes,
        (prefix, object): (String, Map<String, Value>),
        theta: f64,
        length: usize,
        head_dim: usize,
    ) -> Checked<()> {
        let mut fields = Fields::new(prefix, object);
        let rope_theta = fields.get("rope_theta", THETA, theta)?;
        let factor = self.partial.map(|absent| fields.get("partial_rotary_factor", PART, absent)).transpose()?;
        let partial_rotary_factor = factor.unwrap_or(1.0);
        let dim = (head_dim as f64 * partial_rotary_factor) as usize;
        let rule = format!("of {head_dim} values of a head rotates {dim}, which must be an even number above 0");
        let even = dim.is_multiple_of(2) && dim > 0;
        fields.check(even || factor.is_none(), "partial_rotary_factor", partial_rotary_factor, rule)?;
        let rule = format!("must be one of {}", self.types.join(", "));
        let rope_type = fields.get("rope_type", ROPE_TYPE, "default")?;
        fields.check(self.types.contains(&rope_type), "rope_type", format!("{rope_type:?}"), rule)?;
        let original = self.original_max_position_embeddings.unwrap_or(length);
        let scaling = RopeScaling::read(&mut fields, (length, original), dim, rope_theta)?;
        if self.temperature {
            let beta = fields.required(BETA, NOT_NEGATIVE, "queries are scaled by it and their position")?;
            let length = fields.get("original_max_position_embeddings", SIZE, original)?;
            ropes.temperature = Some(Temperature { beta, length });
            fields.idle(&["max_position_embeddings"], false, "it is said outside");
        }
        if self.original_max_position_embeddings.is_some() {
            fields.idle(&["original_max_position_embeddings"], false, "rope_type default does not use it");
        }
        let why = format!("rope_type {} does not use it", scaling.name());
        let tables = [(Refused, REFUSED), (Warned, &[(PARAMETERS, none, &why)])];
        ropes.unused.extend(fields.rest(&tables, &(), (Warned, "no rope_type uses it"), PARAMETERS)?);
        let interleaved = self.interleaved;
        ropes.ropes.push(RopeParameters { rope_theta, scaling, partial_rotary_factor, interleaved });
        Ok(())
    }

    /// As in a version-5 `config.json`.
    pub fn write(&self, ropes: &[RopeParameters], temperature: Option<Temperature>) -> Value {
        let write = |rope: &RopeParameters| {
            let mut object = rope.to_json();
            if self.partial.is_some() {
                object.insert("partial_rotary_factor".to_owned(), json!(rope.partial_rotary_factor));
            }
            if let Some(temperature) = temperature {
                object.insert(BETA.to_owned(), json!(temperature.beta));
                object.insert("original_max_position_embeddings".to_owned(), json!(temperature.length));
            }
            Value::Object(object)
        };
        match (self.sliding_theta, ropes) {
            (Some(_), [full, sliding]) => json!({ KINDS[0]: write(full), KINDS[1]: write(sliding) }),
            (_, ropes) => ropes.first().map_or(Value::Null, write),
        }
    }
}

impl RopeParameters {
    /// Values of a head that are rotated, an even number.
    pub fn rotary_dim(&self, head_dim: usize) -> usize {
        (head_dim as f64 * self.partial_rotary_factor) as usize
    }

    /// Angle per position, in radians, for each of the `rotary_dim / 2` pairs, in a pass that reaches `length` positions.
    pub fn inv_freq(&self, head_dim: usize, length: usize) -> Vec<f64> {
        let (theta, dim) = (self.rope_theta, self.rotary_dim(head_dim));
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

    /// Which of the few sets of angles that it has a pass over the first `length` positions rotates by; `None`: one that no other
    /// length has.
    pub fn angle_set(&self, length: usize) -> Option<usize> {
        let depends = self.depends_on_length(length);
        let has_its_own = depends && matches!(self.scaling, RopeScaling::Dynamic(_));
        (!has_its_own).then_some(usize::from(depends))
    }

    fn to_json(&self) -> Map<String, Value> {
        let mut object = match serde_json::to_value(&self.scaling) {
            Ok(Value::Object(object)) => object,
            _ => Map::new(),
        };
        object.retain(|_, parameter| !parameter.is_null());
        object.insert("rope_theta".to_owned(), json!(self.rope_theta));
        object.insert("rope_type".to_owned(), json!(self.scaling.name()));
        object
    }
}
