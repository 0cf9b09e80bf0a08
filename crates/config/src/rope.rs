//! How positions are rotated (RoPE): the type and its parameters, read from `rope_parameters`.
//!
//! This file says what the parameters are; the frequencies they give are computed where attention
//! is.

use crate::FieldError;
use crate::fields::{Fields, Given, boolean, float, floats, size, text};

/// `rope_parameters` of a config, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct RopeParameters {
    /// The base θ: pair i of d/2 turns by position · θ^(-2i/d).
    pub rope_theta: f64,
    pub rope_type: RopeType,
}

/// The scalings of RoPE that transformers knows for these families (`modeling_rope_utils.py`).
#[derive(Debug, Clone, PartialEq)]
pub enum RopeType {
    /// The rotation of the RoPE paper (arXiv 2104.09864), unscaled.
    Default,
    /// All frequencies divided by `factor` (position interpolation, arXiv 2306.15595).
    Linear { factor: f64 },
    /// θ grows with the length once it exceeds `max_position_embeddings` ("dynamic NTK").
    /// transformers knows no other original length for this type.
    Dynamic { factor: f64 },
    /// YaRN (arXiv 2309.00071): slow frequencies interpolated, fast ones kept, a ramp between.
    Yarn {
        factor: f64,
        /// Context length before the scaling; absent in the file: `max_position_embeddings`.
        original_max_position_embeddings: usize,
        /// Turns within the original context above which a frequency is kept.
        beta_fast: f64,
        /// Turns within the original context below which a frequency is interpolated.
        beta_slow: f64,
        /// Multiplies cos and sin. `None`: derived from `factor` and, where both are given, the two
        /// mscales.
        attention_factor: Option<f64>,
        mscale: Option<f64>,
        mscale_all_dim: Option<f64>,
        /// Whether the ramp's ends are rounded outwards to whole dimensions.
        truncate: bool,
    },
    /// Llama 3.1: frequencies chosen by wavelength against the original context.
    Llama3 {
        factor: f64,
        low_freq_factor: f64,
        high_freq_factor: f64,
        /// Context length before the scaling; absent in the file: `max_position_embeddings`.
        original_max_position_embeddings: usize,
    },
    /// LongRoPE (arXiv 2402.13753): one divisor per frequency, one list for short and one for long
    /// texts.
    Longrope {
        /// Length head_dim / 2; for texts of at most `original_max_position_embeddings` tokens.
        short_factor: Vec<f64>,
        /// Length head_dim / 2; for longer texts.
        long_factor: Vec<f64>,
        /// Only the derived attention factor uses it. Absent in the file: `max_position_embeddings`
        /// / `original_max_position_embeddings`.
        factor: f64,
        /// Context length before the scaling; absent in the file: `max_position_embeddings`.
        original_max_position_embeddings: usize,
        /// Multiplies cos and sin. `None`: sqrt(1 + ln factor / ln original), and 1 for a factor of
        /// at most 1.
        attention_factor: Option<f64>,
    },
}

/// What transformers takes when no θ is written (`RotaryEmbeddingConfigMixin.default_theta`).
const DEFAULT_THETA: f64 = 10_000.0;

/// The types that a config here may name.
const TYPES: &str = "default, linear, dynamic, yarn, llama3, longrope";

/// Every parameter that some type knows.
pub(crate) const PARAMETERS: [&str; 14] = [
    "rope_theta",
    "rope_type",
    "factor",
    "original_max_position_embeddings",
    "beta_fast",
    "beta_slow",
    "attention_factor",
    "mscale",
    "mscale_all_dim",
    "truncate",
    "low_freq_factor",
    "high_freq_factor",
    "short_factor",
    "long_factor",
];

impl RopeType {
    /// Hugging Face's name for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Linear { .. } => "linear",
            Self::Dynamic { .. } => "dynamic",
            Self::Yarn { .. } => "yarn",
            Self::Llama3 { .. } => "llama3",
            Self::Longrope { .. } => "longrope",
        }
    }
}

/// Reads a normalised `rope_parameters` object.
pub(crate) fn read(
    fields: &mut Fields,
    max_position_embeddings: usize,
) -> Result<RopeParameters, FieldError> {
    let rope_theta = fields
        .optional("rope_theta", float)?
        .unwrap_or(DEFAULT_THETA);
    let name = fields.optional("rope_type", text)?;
    let rope_type = match name.as_deref().unwrap_or("default") {
        "default" => RopeType::Default,
        "linear" => RopeType::Linear {
            factor: required_factor(fields, "linear")?,
        },
        "dynamic" => RopeType::Dynamic {
            factor: required_factor(fields, "dynamic")?,
        },
        "yarn" => read_yarn(fields, max_position_embeddings)?,
        "llama3" => RopeType::Llama3 {
            factor: required_factor(fields, "llama3")?,
            low_freq_factor: fields.required(
                "low_freq_factor",
                float,
                "rope_type llama3 needs it (Llama 3.1 has 1)",
            )?,
            high_freq_factor: fields.required(
                "high_freq_factor",
                float,
                "rope_type llama3 needs it (Llama 3.1 has 4)",
            )?,
            original_max_position_embeddings: original_length(fields, max_position_embeddings)?,
        },
        // Phi-3's first files called it "su", after the author of RoPE.
        "longrope" | "su" => read_longrope(fields, max_position_embeddings)?,
        other => {
            return Err(FieldError::Unsupported {
                field: fields.full_name("rope_type"),
                value: format!("{other:?}"),
                why: format!("use one of {TYPES}"),
            });
        }
    };
    Ok(RopeParameters {
        rope_theta,
        rope_type,
    })
}

fn required_factor(fields: &mut Fields, rope_type: &str) -> Result<f64, FieldError> {
    fields.required(
        "factor",
        float,
        &format!(
            "rope_type {rope_type} needs it, the ratio of the new context length to the trained one"
        ),
    )
}

fn original_length(
    fields: &mut Fields,
    max_position_embeddings: usize,
) -> Result<usize, FieldError> {
    let given = fields.optional("original_max_position_embeddings", size)?;
    Ok(given.unwrap_or(max_position_embeddings))
}

/// The ratio of the lengths: what transformers takes where `factor` is left open. Validation
/// refuses a length of 0, which would make it infinite.
fn implied_factor(max_position_embeddings: usize, original: usize) -> f64 {
    max_position_embeddings as f64 / original as f64
}

fn read_yarn(fields: &mut Fields, max_position_embeddings: usize) -> Result<RopeType, FieldError> {
    let original = original_length(fields, max_position_embeddings)?;
    let factor = match fields.nullable("factor", float)? {
        Given::Is(factor) => factor,
        // Null is DeepSeek's way to say "the ratio of the lengths"; leaving it out is an error in
        // transformers.
        Given::Null => implied_factor(max_position_embeddings, original),
        Given::Absent => required_factor(fields, "yarn")?,
    };
    // transformers writes `beta_fast or 32`, `if mscale and mscale_all_dim`: zero counts as absent
    // there.
    let not_zero = |given: Given<f64>| given.some().filter(|&value| value != 0.0);
    Ok(RopeType::Yarn {
        factor,
        original_max_position_embeddings: original,
        beta_fast: not_zero(fields.nullable("beta_fast", float)?).unwrap_or(32.0),
        beta_slow: not_zero(fields.nullable("beta_slow", float)?).unwrap_or(1.0),
        attention_factor: fields.nullable("attention_factor", float)?.some(),
        mscale: not_zero(fields.nullable("mscale", float)?),
        mscale_all_dim: not_zero(fields.nullable("mscale_all_dim", float)?),
        truncate: fields.optional("truncate", boolean)?.unwrap_or(true),
    })
}

fn read_longrope(
    fields: &mut Fields,
    max_position_embeddings: usize,
) -> Result<RopeType, FieldError> {
    let original = original_length(fields, max_position_embeddings)?;
    let needed = "rope_type longrope needs it, a list of head_dim / 2 numbers";
    Ok(RopeType::Longrope {
        short_factor: fields.required("short_factor", floats, needed)?,
        long_factor: fields.required("long_factor", floats, needed)?,
        factor: match fields.nullable("factor", float)?.some() {
            Some(factor) => factor,
            None => implied_factor(max_position_embeddings, original),
        },
        original_max_position_embeddings: original,
        attention_factor: fields.nullable("attention_factor", float)?.some(),
    })
}
