//! Rotary position embeddings: position as an angle.
//!
//! Source: Su et al. 2021, "RoFormer", arXiv:2104.09864; the rotation by halves is the one of GPT-NeoX and of every
//! Llama checkpoint on the Hugging Face hub (Meta's own files rotate neighbouring pairs; the weights differ to match).

use std::f64::consts::PI;

use burn::tensor::{DType, Tensor};
use glass_config::{LlamaConfig, RopeType};

/// The frequencies of one model.
///
/// Angles, cosines and sines are computed in float64 and rounded once, to float32.
#[derive(Clone, Debug)]
pub struct Rope {
    head_dim: usize,
    theta: f64,
    max_position_embeddings: usize,
    rope_type: RopeType,
}

/// Cosine and sine of every angle of one forward pass, the model's attention scaling multiplied in.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RopeTable {
    /// `[rows, seq, head_dim / 2]`, row-major.
    pub cos: Vec<f32>,
    /// `[rows, seq, head_dim / 2]`, row-major.
    pub sin: Vec<f32>,
}

impl RopeTable {
    /// The angles of more tokens, behind these.
    pub(crate) fn append(&mut self, next: Self) {
        self.cos.extend(next.cos);
        self.sin.extend(next.sin);
    }
}

impl Rope {
    /// The rotation that a model's config asks for.
    pub fn new(config: &LlamaConfig) -> Self {
        Self {
            head_dim: config.head_dim,
            theta: config.rope_parameters.rope_theta,
            max_position_embeddings: config.max_position_embeddings,
            rope_type: config.rope_parameters.rope_type.clone(),
        }
    }

    /// The table for rows of positions, all of one length.
    ///
    /// `dynamic` and `longrope` choose their frequencies by the longest position of the pass. Keys that are cached
    /// already stay as they were rotated, as in `transformers`.
    pub fn table(&self, positions: &[Vec<usize>]) -> RopeTable {
        let length = positions
            .iter()
            .flatten()
            .max()
            .map_or(0, |longest| longest + 1);
        let inv_freq = self.inv_freq(length);
        let scaling = self.attention_scaling();
        let angles = positions
            .iter()
            .flatten()
            .flat_map(|&position| inv_freq.iter().map(move |f| position as f64 * f));
        let (cos, sin) = angles
            .map(|angle| {
                (
                    (angle.cos() * scaling) as f32,
                    (angle.sin() * scaling) as f32,
                )
            })
            .unzip();
        RopeTable { cos, sin }
    }

    /// Angle per position, in radians, for each of the `head_dim / 2` pairs, in a pass that reaches `length` positions.
    pub fn inv_freq(&self, length: usize) -> Vec<f64> {
        match &self.rope_type {
            RopeType::Default => self.unscaled(self.theta),
            // Position interpolation: Chen et al. 2023, arXiv:2306.15595.
            RopeType::Linear { factor } => scaled(self.unscaled(self.theta), |_, f| f / factor),
            // Dynamic NTK: the base grows with the length beyond the trained one (bloc97 and emozilla, 2023).
            RopeType::Dynamic { factor } => {
                let trained = self.max_position_embeddings as f64;
                let length = trained.max(length as f64);
                let d = self.head_dim as f64;
                let growth = (factor * length / trained) - (factor - 1.0);
                self.unscaled(self.theta * growth.powf(d / (d - 2.0)))
            }
            // "NTK by parts": Peng et al. 2023, arXiv:2309.00071, section 3.2.
            RopeType::Yarn {
                factor,
                original_max_position_embeddings,
                beta_fast,
                beta_slow,
                truncate,
                ..
            } => {
                let trained = *original_max_position_embeddings as f64;
                let (mut low, mut high) = (
                    self.pair_that_turns(*beta_fast, trained),
                    self.pair_that_turns(*beta_slow, trained),
                );
                if *truncate {
                    (low, high) = (low.floor(), high.ceil());
                }
                low = low.max(0.0);
                high = high.min(self.head_dim as f64 - 1.0);
                if low == high {
                    high += 0.001; // A ramp of no width would divide by zero; the reference widens it by as much.
                }
                scaled(self.unscaled(self.theta), |i, f| {
                    let interpolated = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
                    f / factor * interpolated + f * (1.0 - interpolated)
                })
            }
            // Llama 3.1 (Grattafiori et al. 2024, arXiv:2407.21783): long waves are stretched, short ones are not.
            RopeType::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings,
            } => {
                let trained = *original_max_position_embeddings as f64;
                scaled(self.unscaled(self.theta), |_, f| {
                    let turns = trained * f / (2.0 * PI);
                    if turns < *low_freq_factor {
                        f / factor
                    } else if turns > *high_freq_factor {
                        f
                    } else {
                        let kept = (turns - low_freq_factor) / (high_freq_factor - low_freq_factor);
                        (1.0 - kept) * f / factor + kept * f
                    }
                })
            }
            // LongRoPE: Ding et al. 2024, arXiv:2402.13753; a searched factor per pair, in two sets.
            RopeType::Longrope {
                short_factor,
                long_factor,
                original_max_position_embeddings,
                ..
            } => {
                let factors = match length > *original_max_position_embeddings {
                    true => long_factor,
                    false => short_factor,
                };
                scaled(self.unscaled(self.theta), |i, f| f / factors[i])
            }
        }
    }

    /// Whether the angles of a sequence of `length` tokens differ from those of shorter ones: then only one pass over all
    /// of it gives what the definition gives.
    pub fn depends_on_length(&self, length: usize) -> bool {
        match &self.rope_type {
            RopeType::Dynamic { .. } => length > self.max_position_embeddings,
            RopeType::Longrope {
                original_max_position_embeddings,
                ..
            } => length > *original_max_position_embeddings,
            _ => false,
        }
    }

    /// What a config calls this type.
    pub fn name(&self) -> &'static str {
        self.rope_type.name()
    }

    /// What cosine and sine are multiplied by, so that scores are multiplied by its square.
    pub fn attention_scaling(&self) -> f64 {
        // YaRN, section 3.4: the temperature that entropy asks for in a context `scale` times longer.
        let temperature = |scale: f64, weight: f64| match scale > 1.0 {
            true => 0.1 * weight * scale.ln() + 1.0,
            false => 1.0,
        };
        match &self.rope_type {
            RopeType::Yarn {
                attention_factor: Some(given),
                ..
            }
            | RopeType::Longrope {
                attention_factor: Some(given),
                ..
            } => *given,
            RopeType::Yarn {
                factor,
                mscale,
                mscale_all_dim,
                ..
            } => match (mscale, mscale_all_dim) {
                (Some(mscale), Some(all)) if *mscale != 0.0 && *all != 0.0 => {
                    temperature(*factor, *mscale) / temperature(*factor, *all)
                }
                _ => temperature(*factor, 1.0),
            },
            RopeType::Longrope {
                factor,
                original_max_position_embeddings,
                ..
            } if *factor > 1.0 => {
                (1.0 + factor.ln() / (*original_max_position_embeddings as f64).ln()).sqrt()
            }
            _ => 1.0,
        }
    }

    /// `base^(-2i/d)` for each pair i.
    fn unscaled(&self, base: f64) -> Vec<f64> {
        (0..self.head_dim / 2)
            .map(|i| base.powf(-(2.0 * i as f64) / self.head_dim as f64))
            .collect()
    }

    /// The (fractional) number of the pair that makes `turns` full turns over `length` positions.
    fn pair_that_turns(&self, turns: f64, length: f64) -> f64 {
        self.head_dim as f64 * (length / (turns * 2.0 * PI)).ln() / (2.0 * self.theta.ln())
    }
}

fn scaled(frequencies: Vec<f64>, scale: impl Fn(usize, f64) -> f64) -> Vec<f64> {
    frequencies
        .into_iter()
        .enumerate()
        .map(|(i, f)| scale(i, f))
        .collect()
}

/// Rotates the pair `(x[i], x[i + head_dim/2])` of every head by the angle of its position.
///
/// `x` `[batch, heads, seq, head_dim]`, `cos` and `sin` `[batch or 1, 1, seq, head_dim / 2]` in float32 -> as `x`.
/// The rotation is computed in float32 whatever the type of `x`.
pub fn rotate(x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
    let dtype = x.dtype();
    let half = x.dims()[3] / 2;
    let x = x.cast(DType::F32);
    let x1 = x.clone().narrow(3, 0, half); // [batch, heads, seq, head_dim / 2]
    let x2 = x.narrow(3, half, half); // [batch, heads, seq, head_dim / 2]
    let rotated = Tensor::cat(
        vec![
            x1.clone() * cos.clone() - x2.clone() * sin.clone(),
            x2 * cos + x1 * sin,
        ],
        3,
    ); // [batch, heads, seq, head_dim]
    rotated.cast(dtype)
}
