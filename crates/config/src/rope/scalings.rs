//! The scalings of RoPE, each with how it is read, what makes sense, and what it does to the frequencies.
//!
//! transformers logs a warning for most parameters that make no sense (a factor below 1, crossed bounds, lists of the
//! wrong length) and computes a model that nobody trained, or NaN. Here they are errors.

use std::f64::consts::PI;

use serde::Serialize;

use crate::error::{Checked, FieldError};
use crate::fields::Fields;
use crate::values::{POSITIVE, Rule, SIZE, SWITCH};

/// How many times longer a context is made.
const FACTOR: Rule<f64> = Rule("must be a number of at least 1, for scaling lengthens the context", |value| {
    value.as_f64().filter(|&x| x >= 1.0)
});

/// `base^(-2i/dim)` for each pair i.
pub(crate) fn unscaled(base: f64, dim: usize) -> impl Iterator<Item = f64> {
    (0..dim / 2).map(move |i| base.powf(-(2.0 * i as f64) / dim as f64))
}

fn factor(fields: &mut Fields, rope_type: &str) -> Checked<f64> {
    let ratio = "the ratio of the new context length to the trained one";
    let fix = format!("rope_type {rope_type} needs it, {ratio}");
    fields.required("factor", FACTOR, &fix)
}

/// Context length before the scaling; absent in the file: the length of the model.
fn original_length(fields: &mut Fields, length: usize) -> Checked<usize> {
    fields.get("original_max_position_embeddings", SIZE, length)
}

/// A number above 0. Zero counts as absent: transformers writes `beta_fast or 32`, `if mscale and mscale_all_dim`.
fn not_zero(fields: &mut Fields, name: &'static str) -> Checked<Option<f64>> {
    let rule = Rule(POSITIVE.0, |value| value.as_f64().filter(|&x| x >= 0.0));
    Ok(fields.optional(name, rule, None)?.filter(|&x| x > 0.0))
}

/// `linear`: all frequencies divided by `factor` (position interpolation, Chen et al. 2023, arXiv:2306.15595).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LinearScaling {
    pub factor: f64,
}

impl LinearScaling {
    pub(super) fn read(fields: &mut Fields) -> Checked<Self> {
        Ok(Self { factor: factor(fields, "linear")? })
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
    pub(super) fn read(fields: &mut Fields, length: usize, head_dim: usize) -> Checked<Self> {
        // θ is raised to the power d / (d - 2).
        let rule = "needs a head_dim above 2";
        fields.check(head_dim > 2, "rope_type", "\"dynamic\"", rule)?;
        let why = "rope_type dynamic goes by max_position_embeddings";
        fields.idle(&["original_max_position_embeddings"], true, why);
        Ok(Self { factor: factor(fields, "dynamic")?, max_position_embeddings: length })
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
    pub(super) fn read(fields: &mut Fields, (length, original): (usize, usize), theta: f64) -> Checked<Self> {
        // The ramp's ends divide by the logarithm of θ.
        let rule = "must be above 1 for rope_type yarn";
        fields.check(theta > 1.0, "rope_theta", theta, rule)?;
        let original = original_length(fields, original)?;
        let factor = match fields.optional("factor", FACTOR, None)? {
            Some(factor) => factor,
            // Null is DeepSeek's way to say "the ratio of the lengths"; leaving it out is an error in transformers.
            None if fields.has("factor") => {
                let ratio = length as f64 / original as f64;
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
            attention_factor: fields.optional("attention_factor", POSITIVE, None)?,
            mscale: not_zero(fields, "mscale")?,
            mscale_all_dim: not_zero(fields, "mscale_all_dim")?,
            truncate: fields.get("truncate", SWITCH, true)?,
        })
    }

    /// "NTK by parts", section 3.2.
    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize) -> Vec<f64> {
        let trained = self.original_max_position_embeddings as f64;
        // The (fractional) number of the pair that makes so many full turns over the original context.
        let pair_with = |turns: f64| dim as f64 * (trained / (turns * 2.0 * PI)).ln() / (2.0 * rope_theta.ln());
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
    pub(super) fn read(fields: &mut Fields, original: usize) -> Checked<Self> {
        let needed = |value| format!("rope_type llama3 needs it (Llama 3.1 has {value})");
        let low = fields.required("low_freq_factor", POSITIVE, &needed(1))?;
        let high = fields.required("high_freq_factor", POSITIVE, &needed(4))?;
        let rule = format!("must be below high_freq_factor ({high})");
        fields.check(low < high, "low_freq_factor", low, rule)?;
        Ok(Self {
            factor: factor(fields, "llama3")?,
            low_freq_factor: low,
            high_freq_factor: high,
            original_max_position_embeddings: original_length(fields, original)?,
        })
    }

    pub(crate) fn inv_freq(&self, rope_theta: f64, dim: usize) -> Vec<f64> {
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
    /// Length rotary_dim / 2; for texts of at most `original_max_position_embeddings` tokens.
    pub short_factor: Vec<f64>,
    /// Length rotary_dim / 2; for longer texts.
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
    pub(super) fn read(fields: &mut Fields, (length, original): (usize, usize), head_dim: usize) -> Checked<Self> {
        let mut list = |name| {
            let needed = "rope_type longrope needs it, a list of head_dim / 2 numbers";
            let list = fields.list(name, POSITIVE)?;
            let list = list.ok_or_else(|| fields.missing(name, needed))?;
            let (entries, pairs) = (format!("{} entries", list.len()), head_dim / 2);
            let rule = format!("must have head_dim / 2 = {pairs} entries");
            fields.check(list.len() == pairs, name, entries, rule)?;
            Ok::<_, FieldError>(list)
        };
        let (short_factor, long_factor) = (list("short_factor")?, list("long_factor")?);
        let original = original_length(fields, original)?;
        // The attention factor divides by the logarithm of the length.
        let name = "original_max_position_embeddings";
        fields.check(original >= 2, name, original, "must be at least 2")?;
        let ratio = length as f64 / original as f64;
        Ok(Self {
            short_factor,
            long_factor,
            factor: fields.optional("factor", POSITIVE, None)?.unwrap_or(ratio),
            original_max_position_embeddings: original,
            attention_factor: fields.optional("attention_factor", POSITIVE, None)?,
        })
    }

    pub(super) fn inv_freq(&self, rope_theta: f64, dim: usize, length: usize) -> Vec<f64> {
        let mut divisors = &self.short_factor;
        if length > self.original_max_position_embeddings {
            divisors = &self.long_factor;
        }
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
