//! The fields that families have beside a plain Llama's, each with how it is read and written.

use serde_json::{Value, json};

use crate::error::{Checked, FieldError};
use crate::fields::{Fields, Name};
use crate::layer::AttentionBias;
use crate::norm::{QkNorm, QkNormOver};
use crate::outline::Outline;
use crate::values::{NOT_NEGATIVE, POSITIVE, Rule, SWITCH};

/// A field of a family. What it is where the file leaves it out, the family has put into the outline.
#[derive(Clone, Copy)]
pub(crate) enum Field {
    /// True or false.
    Switch(Name, fn(&Outline) -> bool, fn(&mut Outline, bool)),
    /// A number.
    Number(Name, &'static Rule<f64>, fn(&Outline) -> f64, fn(&mut Outline, f64)),
    /// A number, or null for none.
    Cap(Name, fn(&Outline) -> Option<f64>, fn(&mut Outline, Option<f64>)),
    /// A switch that the family has in one position only, and why.
    Fixed(Name, bool, &'static str),
    /// Decides nothing, and why.
    Idle(&'static [Name], &'static str),
    /// Several fields together: how they are read, and the object that says them.
    Own(fn(&mut Fields, &mut Outline) -> Checked<()>, fn(&Outline) -> Value),
}
use Field::{Cap, Fixed, Number, Own, Switch};

impl Field {
    /// The same under another name.
    pub const fn named(self, name: Name) -> Self {
        match self {
            Switch(_, get, set) => Switch(name, get, set),
            Number(_, rule, get, set) => Number(name, rule, get, set),
            Cap(_, get, set) => Cap(name, get, set),
            Fixed(_, position, why) => Fixed(name, position, why),
            Self::Idle(..) | Own(..) => self,
        }
    }

    pub fn read(&self, fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
        match *self {
            Switch(name, get, set) => {
                let absent = Some(get(outline));
                set(outline, fields.optional(name, SWITCH, absent)?.unwrap_or(false));
            }
            Number(name, rule, get, set) => {
                let absent = get(outline);
                set(outline, fields.optional(name, Rule(rule.0, rule.1), Some(absent))?.unwrap_or(absent));
            }
            Cap(name, get, set) => {
                let absent = get(outline);
                set(outline, fields.optional(name, POSITIVE, absent)?);
            }
            Fixed(name, position, why) => match fields.optional(name, SWITCH, None)? {
                Some(other) if other != position => {
                    let why = format!("{why}; set it to null to follow the family, or correct model_type");
                    return Err(FieldError::unsupported(name, other, why));
                }
                _ => {}
            },
            Self::Idle(names, why) => fields.idle(names, false, why),
            Own(read, _) => read(fields, outline)?,
        }
        Ok(())
    }

    /// The object that says it.
    pub fn write(&self, outline: &Outline) -> Value {
        match *self {
            Switch(name, get, _) => json!({ name: get(outline) }),
            Number(name, _, get, _) => json!({ name: get(outline) }),
            Cap(name, get, _) => json!({ name: get(outline) }),
            Fixed(..) | Self::Idle(..) => json!({}),
            Own(_, write) => write(outline),
        }
    }
}

/// The number that is written for `made`, which `make` made of it: of those next to what computes back, the shortest.
fn unmade(made: f64, back: f64, make: fn(f64) -> f64) -> f64 {
    let rounded = [1.0, 1e3, 1e6, 1e9].map(|digits| (back * digits).round() / digits);
    let near = [back, back.next_up(), back.next_down()];
    rounded.into_iter().chain(near).find(|&number| make(number) == made).unwrap_or(back)
}

/// Biases of q, k, v and o.
pub(crate) const ATTENTION_BIAS: Field = Switch(
    "attention_bias",
    |outline| outline.attention.bias.o,
    |outline, o| outline.attention.bias = AttentionBias { q_k_v: o, o },
);

/// Biases of q, k and v.
pub(crate) const QKV_BIAS: Field = Switch(
    "attention_bias",
    |outline| outline.attention.bias.q_k_v,
    |outline, bias| outline.attention.bias.q_k_v = bias,
);

/// Bias of o.
pub(crate) const O_BIAS: Field =
    Switch("attention_out_bias", |outline| outline.attention.bias.o, |outline, bias| outline.attention.bias.o = bias);

pub(crate) const MLP_BIAS: Field =
    Switch("mlp_bias", |outline| outline.mlp.bias, |outline, bias| outline.mlp.bias = bias);

/// Scores are scaled by s^-0.5.
pub(crate) const QUERY_SCALAR: Field = Own(
    |fields, outline| {
        if let Some(s) = fields.optional("query_pre_attn_scalar", POSITIVE, None)? {
            outline.attention.scale = s.powf(-0.5);
        }
        Ok(())
    },
    |outline| {
        let scale = outline.attention.scale;
        let s = unmade(scale, scale.powi(-2), |s| s.powf(-0.5));
        // transformers wants a whole number without a point.
        let s = if s.fract() == 0.0 && s < 1e15 { json!(s as u64) } else { json!(s) };
        json!({ "query_pre_attn_scalar": s })
    },
);

/// Scores are scaled by it.
pub(crate) const SCALE: Field = Number(
    "attention_multiplier",
    &POSITIVE,
    |outline| outline.attention.scale,
    |outline, scale| outline.attention.scale = scale,
);

pub(crate) const SCORE_CAP: Field = Cap(
    "attn_logit_softcapping",
    |outline| outline.attention.soft_cap,
    |outline, cap| outline.attention.soft_cap = cap,
);

pub(crate) const LOGITS_CAP: Field =
    Cap("final_logit_softcapping", |outline| outline.logits_soft_cap, |outline, cap| outline.logits_soft_cap = cap);

/// Embeddings are multiplied by it.
pub(crate) const EMBEDDING: Field = Number(
    "embedding_multiplier",
    &NOT_NEGATIVE,
    |outline| outline.embedding_multiplier,
    |outline, by| outline.embedding_multiplier = by,
);

/// What a block adds is multiplied by it.
pub(crate) const RESIDUAL: Field = Number(
    "residual_multiplier",
    &NOT_NEGATIVE,
    |outline| outline.residual_multiplier,
    |outline, by| outline.residual_multiplier = by,
);

/// Logits are multiplied by it.
pub(crate) const LOGITS_TIMES: Field = Number(
    "logits_scaling",
    &POSITIVE,
    |outline| outline.logits_multiplier,
    |outline, by| outline.logits_multiplier = by,
);

/// Logits are divided by it.
pub(crate) const LOGITS_OVER: Field = Number(
    "logits_scaling",
    &POSITIVE,
    |outline| unmade(outline.logits_multiplier, outline.logits_multiplier.recip(), f64::recip),
    |outline, by| outline.logits_multiplier = by.recip(),
);

/// Of queries and keys, over each head; the family's norm.
pub(crate) fn qk_norm(outline: &mut Outline, over: QkNormOver) {
    outline.attention.qk_norm = Some(QkNorm { norm: outline.norm, over });
}

/// Gemma attends to what comes later only as an encoder.
pub(crate) const CAUSAL: Field = Fixed("use_bidirectional_attention", false, "attention is causal here");
