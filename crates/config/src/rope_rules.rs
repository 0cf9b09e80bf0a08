//! Which RoPE parameters make sense.
//!
//! transformers logs a warning for most of these and then computes with them (a factor below 1,
//! crossed bounds, lists of the wrong length); what comes out is a model nobody trained, or NaN.
//! Here they are errors.

use crate::{FieldError, RopeParameters, RopeType};

fn check(holds: bool, field: &str, value: impl ToString, rule: &str) -> Result<(), FieldError> {
    if holds {
        Ok(())
    } else {
        Err(FieldError::invalid(
            &format!("rope_parameters.{field}"),
            value,
            rule,
        ))
    }
}

fn positive(field: &str, value: f64) -> Result<(), FieldError> {
    check(
        value.is_finite() && value > 0.0,
        field,
        value,
        "must be a finite number above 0",
    )
}

fn optional_positive(field: &str, value: Option<f64>) -> Result<(), FieldError> {
    value.map_or(Ok(()), |value| positive(field, value))
}

fn stretches(factor: f64) -> Result<(), FieldError> {
    check(
        factor.is_finite() && factor >= 1.0,
        "factor",
        factor,
        "must be a finite number of at least 1, for scaling lengthens the context",
    )
}

fn length(value: usize) -> Result<(), FieldError> {
    check(
        value >= 1,
        "original_max_position_embeddings",
        value,
        "must be at least 1",
    )
}

impl RopeParameters {
    pub(crate) fn validate(&self, head_dim: usize) -> Result<(), FieldError> {
        // The reference computes angles in float32.
        check(
            self.rope_theta > 0.0 && self.rope_theta <= f64::from(f32::MAX),
            "rope_theta",
            self.rope_theta,
            "must be a number above 0 that float32 can hold",
        )?;
        match &self.rope_type {
            RopeType::Default => Ok(()),
            RopeType::Linear { factor } => stretches(*factor),
            RopeType::Dynamic { factor } => {
                stretches(*factor)?;
                // θ is raised to the power d / (d - 2).
                check(
                    head_dim > 2,
                    "rope_type",
                    "\"dynamic\"",
                    "needs a head_dim above 2",
                )
            }
            RopeType::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                attention_factor,
                mscale,
                mscale_all_dim,
                truncate: _,
            } => {
                length(*original_max_position_embeddings)?;
                stretches(*factor)?;
                // The ramp's ends divide by the logarithm of θ.
                check(
                    self.rope_theta > 1.0,
                    "rope_theta",
                    self.rope_theta,
                    "must be above 1 for rope_type yarn",
                )?;
                positive("beta_fast", *beta_fast)?;
                positive("beta_slow", *beta_slow)?;
                check(
                    beta_slow <= beta_fast,
                    "beta_slow",
                    beta_slow,
                    &format!("must not exceed beta_fast ({beta_fast})"),
                )?;
                optional_positive("attention_factor", *attention_factor)?;
                optional_positive("mscale", *mscale)?;
                optional_positive("mscale_all_dim", *mscale_all_dim)
            }
            RopeType::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                stretches(*factor)?;
                positive("low_freq_factor", *low_freq_factor)?;
                positive("high_freq_factor", *high_freq_factor)?;
                check(
                    low_freq_factor < high_freq_factor,
                    "low_freq_factor",
                    low_freq_factor,
                    &format!("must be below high_freq_factor ({high_freq_factor})"),
                )?;
                length(*original_max_position_embeddings)
            }
            RopeType::Longrope {
                short_factor,
                long_factor,
                factor,
                original_max_position_embeddings,
                attention_factor,
            } => {
                for (field, list) in [("short_factor", short_factor), ("long_factor", long_factor)]
                {
                    let rule = format!("must have head_dim / 2 = {} entries", head_dim / 2);
                    check(
                        list.len() == head_dim / 2,
                        field,
                        format!("{} entries", list.len()),
                        &rule,
                    )?;
                    for (i, &divisor) in list.iter().enumerate() {
                        positive(&format!("{field}[{i}]"), divisor)?;
                    }
                }
                // The attention factor divides by the logarithm of the length.
                check(
                    *original_max_position_embeddings > 1,
                    "original_max_position_embeddings",
                    original_max_position_embeddings,
                    "must be at least 2",
                )?;
                // Below 1 is sound here: a context cut shorter than the trained one, with an
                // attention factor of 1.
                positive("factor", *factor)?;
                optional_positive("attention_factor", *attention_factor)
            }
        }
    }
}
