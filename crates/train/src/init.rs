//! Weights before the first step.

use std::{f64::consts::TAU, ops::Range};

use burn::tensor::TensorData;
use glass_backend::{Dtype, WeightError, WeightSource};
use glass_config::LlamaConfig;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Random initial weights, as in GPT-2 and `transformers`' Llama: matrices are normal with mean 0 and standard deviation
/// `initializer_range`; norms are 1; biases are 0. The projections that write to the residual stream (`o_proj`,
/// `down_proj`) have a standard deviation smaller by `1 / sqrt(2 * num_hidden_layers)`, so that the stream's variance does
/// not grow with the depth: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
///
/// Every number depends on the seed, the tensor's name and its row alone: neither on the device nor on the order in which
/// modules load.
pub struct Initializer {
    seed: u64,
    std: f64,
    residual_std: f64,
}

impl Initializer {
    pub fn new(config: &LlamaConfig, seed: u64) -> Self {
        let std = config.initializer_range;
        let residual_writes = 2 * config.num_hidden_layers;
        Self {
            seed,
            std,
            residual_std: std / (residual_writes as f64).sqrt(),
        }
    }

    fn std(&self, name: &str) -> f64 {
        if name.ends_with("o_proj.weight") || name.ends_with("down_proj.weight") {
            self.residual_std
        } else {
            self.std
        }
    }
}

impl WeightSource for Initializer {
    fn read(
        &mut self,
        name: &str,
        shape: &[usize],
        rows: Range<usize>,
        dtype: Dtype,
    ) -> Result<TensorData, WeightError> {
        let mut part = shape.to_vec();
        part[0] = rows.len();
        let values = match shape {
            [_] if name.ends_with("bias") => vec![0.0; rows.len()],
            [_] => vec![1.0; rows.len()],
            _ => {
                let columns = shape[1..].iter().product();
                let std = self.std(name);
                let mut rng = ChaCha12Rng::seed_from_u64(self.seed ^ fnv1a(name.as_bytes()));
                let mut values = Vec::with_capacity(rows.len() * columns);
                for row in rows {
                    rng.set_stream(row as u64);
                    rng.set_word_pos(0);
                    let row = standard_normal(&mut rng).map(|z| (z * std) as f32);
                    values.extend(row.take(columns));
                }
                values
            }
        };
        Ok(TensorData::new(values, part).convert_dtype(dtype.burn()))
    }
}

/// Independent standard normal numbers: Box and Muller 1958, doi 10.1214/aoms/1177706645.
fn standard_normal(rng: &mut ChaCha12Rng) -> impl Iterator<Item = f64> {
    std::iter::repeat_with(|| {
        // In (0, 1]: the logarithm of 0 would be infinite.
        let radius = (rng.next_u32() as f64 + 1.0) / (u32::MAX as f64 + 1.0);
        let angle = TAU * rng.next_u32() as f64 / (u32::MAX as f64 + 1.0);
        let radius = (-2.0 * radius.ln()).sqrt();
        [radius * angle.cos(), radius * angle.sin()]
    })
    .flatten()
}

/// The hash FNV-1a of 64 bits: RFC 9923.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, shape: &[usize], rows: Range<usize>) -> Vec<f32> {
        let mut source = Initializer {
            seed: 7,
            std: 0.02,
            residual_std: 0.005,
        };
        let data = source.read(name, shape, rows, Dtype::F32).unwrap();
        data.try_to_vec().unwrap()
    }

    #[test]
    fn mean_and_standard_deviation_are_as_stated() {
        for (name, std) in [
            ("model.embed_tokens.weight", 0.02),
            ("a.down_proj.weight", 0.005),
        ] {
            let values = read(name, &[300, 101], 0..300);
            let n = values.len() as f64;
            let mean = values.iter().map(|&x| x as f64).sum::<f64>() / n;
            let variance = values
                .iter()
                .map(|&x| (x as f64 - mean).powi(2))
                .sum::<f64>()
                / n;
            // Both within five standard errors.
            assert!(mean.abs() < 5.0 * std / n.sqrt(), "{name}: {mean}");
            let relative = variance.sqrt() / std - 1.0;
            assert!(
                relative.abs() < 5.0 / (2.0 * n).sqrt(),
                "{name}: {relative}"
            );
        }
        assert_eq!(read("a.norm.weight", &[3], 0..3), [1.0; 3]);
        assert_eq!(read("a.q_proj.bias", &[3], 0..3), [0.0; 3]);
    }

    #[test]
    fn a_matrix_read_in_parts_is_the_same() {
        let whole = read("a.q_proj.weight", &[9, 5], 0..9);
        let parts = [
            read("a.q_proj.weight", &[9, 5], 0..4),
            read("a.q_proj.weight", &[9, 5], 4..9),
        ];
        assert_eq!(whole, parts.concat());
        assert_ne!(whole, read("a.k_proj.weight", &[9, 5], 0..9));
    }
}
