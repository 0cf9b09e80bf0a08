//! The scalings of RoPE, each with how it is read, what makes sense, and what it does to the frequencies.
//!
//! transformers logs a warning for most parameters that make no sense (a factor below 1, crossed bounds, lists of the
//! wrong length) and computes a model that nobody trained, or NaN. Here they are errors.

use std::f64::consts::PI;

use serde::Serialize;
use serde_json::Value;

use crate::error::FieldError;
use crate::fields::Fields;
use crate::values::{Positive, Size, Stretch};

/// `base^(-2i/dim)` for each pair i.
pub(super) fn unscaled(base: f64, dim: usize) -> impl Iterator<Item = f64> {
    (0..dim / 2).map(move |i| base.powf(-(2.0 * i as f64) / dim as f64))
}

fn factor(fields: &mut Fields, rope_type: &str) -> Result<f64, FieldError> {
    let ratio = "the ratio of the new context length to the trained one";
    let fix = format!("rope_type {rope_type} needs it, {ratio}");
    let Stretch(factor) = fields.required("factor", &fix)?;
    Ok(factor)
}

fn original_length(fields: &mut Fields, absent: usize) -> Result<usize, FieldError> {
    let Size(length) = fields.get("original_max_position_embeddings", Size(absent))?;
    Ok(length)
}

fn positive(fields: &mut Fields, name: &'static str) -> Result<Option<f64>, FieldError> {
    let given: Option<Positive> = fields.get(name, None)?;
    Ok(given.map(|Positive(number)| number))
}

/// The same, where zero counts as absent: transformers writes `beta_fast or 32`, `if mscale and mscale_all_dim`.
fn not_zero(fields: &mut Fields, name: &'static str) -> Result<Option<f64>, FieldError> {
    match fields.get(name, Value::Null)?.as_f64() {
        Some(0.0) => Ok(None),
        _ => positive(fields, name),
    }
}

/// `linear`: all frequencies divided by `factor` (position interpolation, Chen et al. 2023, arXiv:2306.15595).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinearScaling {
    pub factor: f64,
}

impl LinearScaling {
    pub(super) fn read(fields: &mut Fields) -> Result<Self, FieldError> {
        let factor = factor(fields, "linear")?;
        Ok(Self { factor })
    }

    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize) -> Vec<f64> {
        let frequencies = unscaled(rope_theta, dim);
        frequencies.map(|f| f / self.factor).collect()
    }
}

/// `dynamic`: θ grows with the text beyond the trained length ("dynamic NTK"; bloc97 and emozilla, 2023).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DynamicScaling {
    pub factor: f64,
    /// The trained length: that of the config, for transformers knows no other for this type.
    #[serde(skip)]
    pub max_position_embeddings: usize,
}

impl DynamicScaling {
    pub(super) fn read(
        fields: &mut Fields,
        max_position_embeddings: usize,
        head_dim: usize,
    ) -> Result<Self, FieldError> {
        // θ is raised to the power d / (d - 2).
        let rule = "needs a head_dim above 2";
        fields.check(head_dim > 2, "rope_type", "\"dynamic\"", rule)?;
        let why = "rope_type dynamic goes by max_position_embeddings";
        fields.idle(&["original_max_position_embeddings"], true, why);
        let factor = factor(fields, "dynamic")?;
        Ok(Self {
            factor,
            max_position_embeddings,
        })
    }

    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize, length: usize) -> Vec<f64> {
        let trained = self.max_position_embeddings as f64;
        let length = trained.max(length as f64);
        let d = dim as f64;
        let growth = (self.factor * length / trained) - (self.factor - 1.0);
        unscaled(rope_theta * growth.powf(d / (d - 2.0)), dim).collect()
    }
}

/// `yarn`: slow frequencies interpolated, fast ones kept, a ramp between, and a temperature (Peng et al. 2023,
/// arXiv:2309.00071).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct YarnScaling {
    pub factor: f64,
    /// Context length before the scaling; absent in the file: `max_position_embeddings`.
    pub original_max_position_embeddings: usize,
    /// Full turns within the original context above which a frequency is kept.
    pub beta_fast: f64,
    /// Full turns within the original context below which a frequency is interpolated.
    pub beta_slow: f64,
    /// Multiplies cos and sin. `None`: derived from `factor` and, where both are given, the two mscales.
    pub attention_factor: Option<f64>,
    pub mscale: Option<f64>,
    pub mscale_all_dim: Option<f64>,
    /// Whether the ramp's ends are rounded outwards to whole dimensions.
    pub truncate: bool,
}

impl YarnScaling {
    pub(super) fn read(
        fields: &mut Fields,
        max_position_embeddings: usize,
        rope_theta: f64,
    ) -> Result<Self, FieldError> {
        // The ramp's ends divide by the logarithm of θ.
        let rule = "must be above 1 for rope_type yarn";
        fields.check(rope_theta > 1.0, "rope_theta", rope_theta, rule)?;
        let original = original_length(fields, max_position_embeddings)?;
        let factor = match fields.get("factor", None)? {
            Some(Stretch(factor)) => factor,
            // Null is DeepSeek's way to say "the ratio of the lengths"; leaving it out is an error in transformers.
            None if fields.has("factor") => {
                let ratio = max_position_embeddings as f64 / original as f64;
                fields.check(ratio >= 1.0, "factor", ratio, "must be at least 1")?;
                ratio
            }
            None => factor(fields, "yarn")?,
        };
        let fast = not_zero(fields, "beta_fast")?.unwrap_or(32.0);
        let slow = not_zero(fields, "beta_slow")?.unwrap_or(1.0);
        let rule = format!("must not exceed beta_fast ({fast})");
        fields.check(slow <= fast, "beta_slow", slow, rule)?;
        Ok(Self {
            factor,
            original_max_position_embeddings: original,
            beta_fast: fast,
            beta_slow: slow,
            attention_factor: positive(fields, "attention_factor")?,
            mscale: not_zero(fields, "mscale")?,
            mscale_all_dim: not_zero(fields, "mscale_all_dim")?,
            truncate: fields.get("truncate", true)?,
        })
    }

    /// "NTK by parts", section 3.2.
    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize) -> Vec<f64> {
        let trained = self.original_max_position_embeddings as f64;
        // The (fractional) number of the pair that makes so many full turns over the original context.
        let pair_with =
            |turns: f64| dim as f64 * (trained / (turns * 2.0 * PI)).ln() / (2.0 * rope_theta.ln());
        let (mut low, mut high) = (pair_with(self.beta_fast), pair_with(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        low = low.max(0.0);
        high = high.min(dim as f64 - 1.0);
        if low == high {
            high += 0.001; // A ramp of no width would divide by zero; the reference widens it by as much.
        }
        let frequencies = unscaled(rope_theta, dim).enumerate().map(|(i, f)| {
            let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            f / self.factor * interpolated + f * (1.0 - interpolated)
        });
        frequencies.collect()
    }

    /// Section 3.4: the temperature that entropy asks for in a context `factor` times longer.
    pub(super) fn attention_scaling(&self) -> f64 {
        let temperature = |weight: f64| {
            let growth = 0.1 * weight * self.factor.ln();
            if self.factor > 1.0 { growth + 1.0 } else { 1.0 }
        };
        match (self.attention_factor, self.mscale, self.mscale_all_dim) {
            (Some(given), ..) => given,
            (None, Some(mscale), Some(all)) => temperature(mscale) / temperature(all),
            _ => temperature(1.0),
        }
    }
}

/// `llama3`: long waves are stretched, short ones are not (Llama 3.1; Grattafiori et al. 2024, arXiv:2407.21783).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Llama3Scaling {
    pub factor: f64,
    /// Full turns within the original context below which a frequency is divided by `factor`.
    pub low_freq_factor: f64,
    /// Full turns within the original context above which a frequency is kept.
    pub high_freq_factor: f64,
    /// Context length before the scaling; absent in the file: `max_position_embeddings`.
    pub original_max_position_embeddings: usize,
}

impl Llama3Scaling {
    pub(super) fn read(
        fields: &mut Fields,
        max_position_embeddings: usize,
    ) -> Result<Self, FieldError> {
        let needed = |value| format!("rope_type llama3 needs it (Llama 3.1 has {value})");
        let Positive(low) = fields.required("low_freq_factor", &needed(1))?;
        let Positive(high) = fields.required("high_freq_factor", &needed(4))?;
        let rule = format!("must be below high_freq_factor ({high})");
        fields.check(low < high, "low_freq_factor", low, rule)?;
        Ok(Self {
            factor: factor(fields, "llama3")?,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original_length(fields, max_position_embeddings)?,
        })
    }

    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize) -> Vec<f64> {
        let (low, high) = (self.low_freq_factor, self.high_freq_factor);
        let trained = self.original_max_position_embeddings as f64;
        let frequencies = unscaled(rope_theta, dim).map(|f| {
            let turns = trained * f / (2.0 * PI);
            if turns < low {
                f / self.factor
            } else if turns > high {
                f
            } else {
                let kept = (turns - low) / (high - low);
                (1.0 - kept) * f / self.factor + kept * f
            }
        });
        frequencies.collect()
    }
}

/// `longrope`: a searched divisor for each pair, one list for short and one for long texts (Ding et al. 2024,
/// arXiv:2402.13753).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LongropeScaling {
    /// Length head_dim / 2; for texts of at most `original_max_position_embeddings` tokens.
    pub short_factor: Vec<f64>,
    /// Length head_dim / 2; for longer texts.
    pub long_factor: Vec<f64>,
    /// Only the derived attention factor uses it. Below 1 for a context cut shorter than the trained one. Absent in
    /// the file: `max_position_embeddings` / `original_max_position_embeddings`.
    pub factor: f64,
    /// Context length before the scaling; absent in the file: `max_position_embeddings`.
    pub original_max_position_embeddings: usize,
    /// Multiplies cos and sin. `None`: sqrt(1 + ln factor / ln original), and 1 for a factor of at most 1.
    pub attention_factor: Option<f64>,
}

impl LongropeScaling {
    pub(super) fn read(
        fields: &mut Fields,
        max_position_embeddings: usize,
        head_dim: usize,
    ) -> Result<Self, FieldError> {
        let mut list = |name| {
            let needed = "rope_type longrope needs it, a list of head_dim / 2 numbers";
            let list: Vec<Positive> = fields.required(name, needed)?;
            let (entries, pairs) = (format!("{} entries", list.len()), head_dim / 2);
            let rule = format!("must have head_dim / 2 = {pairs} entries");
            fields.check(list.len() == pairs, name, entries, rule)?;
            Ok::<_, FieldError>(list.into_iter().map(|Positive(divisor)| divisor).collect())
        };
        let (short_factor, long_factor) = (list("short_factor")?, list("long_factor")?);
        let original = original_length(fields, max_position_embeddings)?;
        // The attention factor divides by the logarithm of the length.
        let name = "original_max_position_embeddings";
        fields.check(original >= 2, name, original, "must be at least 2")?;
        let ratio = max_position_embeddings as f64 / original as f64;
        Ok(Self {
            short_factor,
            long_factor,
            factor: positive(fields, "factor")?.unwrap_or(ratio),
            original_max_position_embeddings: original,
            attention_factor: positive(fields, "attention_factor")?,
        })
    }

    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize, length: usize) -> Vec<f64> {
        let is_long = length > self.original_max_position_embeddings;
        let divisors = if is_long {
            &self.long_factor
        } else {
            &self.short_factor
        };
        let frequencies = unscaled(rope_theta, dim).zip(divisors);
        frequencies.map(|(f, divisor)| f / divisor).collect()
    }

    pub(super) fn attention_scaling(&self) -> f64 {
        let original = self.original_max_position_embeddings as f64;
        match self.attention_factor {
            Some(given) => given,
            None if self.factor > 1.0 => (1.0 + self.factor.ln() / original.ln()).sqrt(),
            None => 1.0,
        }
    }
}
