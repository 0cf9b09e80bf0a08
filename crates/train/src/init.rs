//! Weights before the first step.

use std::{f64::consts::TAU, ops::Range};

use burn::tensor::TensorData;
use glass_backend::{Dtype, RecurrentWeight, WeightError, WeightRole, WeightSource, WeightSpec};
use glass_config::{LayerConfig, LlamaConfig, MixerConfig, TimeStepConfig};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Random initial weights, as in GPT-2 and `transformers`' Llama: matrices are normal with mean 0 and standard deviation
/// `initializer_range`; norms are 1; biases and sinks are 0. The projections that write to the residual stream have a standard
/// deviation smaller by `1 / sqrt(2 * layers)`, so that the stream's variance does not grow with the depth:
/// Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3.
///
/// Recurrent mixers begin as in the papers of Mamba: A is -1, -2, ..., so that each number of a state forgets at its own rate;
/// D is 1; time steps are log-uniform; convolutions and the projection to time steps are uniform. The decays of Griffin are
/// between 0.9 and 0.999, their squares uniform.
///
/// Every number depends on the seed, the tensor's name and its row alone: neither on the device nor on the order in which
/// modules load.
pub struct Initializer {
    seed: u64,
    std: f64,
    residual_std: f64,
    time_step: TimeStepConfig,
}

/// Of a block gate's weights, for each channel that it reads.
const BLOCK_GATE_VARIANCE: f64 = 0.01;

/// The least and the largest decay of a fresh RG-LRU.
const FRESH_DECAY: [f64; 2] = [0.9, 0.999];

impl Initializer {
    pub fn new(config: &LlamaConfig, seed: u64) -> Self {
        let std = config.initializer_range;
        let residual_writes: usize = config.layers.iter().map(LayerConfig::num_blocks).sum();
        let time_step = config.layers.iter().find_map(|layer| match &layer.mixer {
            MixerConfig::Mamba(mamba) => Some(mamba.time_step),
            MixerConfig::Mamba2(mamba) => Some(mamba.time_step),
            _ => None,
        });
        let residual_std = std / (residual_writes as f64).sqrt();
        Self { seed, std, residual_std, time_step: time_step.unwrap_or(TimeStepConfig::MAMBA) }
    }

    /// Rows of a matrix.
    fn normal(&self, weight: WeightSpec<'_>, rows: Range<usize>, std: f64) -> Vec<f32> {
        let columns = weight.row_len();
        let seed = self.seed ^ fnv1a(weight.name.as_bytes());
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut values = Vec::with_capacity(rows.len() * columns);
        for row in rows {
            rng.set_stream(row as u64);
            rng.set_word_pos(0);
            let row = standard_normal(&mut rng).map(|z| (z * std) as f32);
            values.extend(row.take(columns));
        }
        values
    }

    /// Rows of numbers between -limit and limit, all alike likely.
    fn uniform(&self, weight: WeightSpec<'_>, rows: Range<usize>, limit: f64) -> Vec<f32> {
        let seed = self.seed ^ fnv1a(weight.name.as_bytes());
        let mut rng = ChaCha12Rng::seed_from_u64(seed);
        let mut values = Vec::with_capacity(rows.len() * weight.row_len());
        for row in rows {
            rng.set_stream(row as u64);
            rng.set_word_pos(0);
            let draw = |rng: &mut ChaCha12Rng| (f64::from(rng.next_u32()) / f64::from(u32::MAX) * 2.0 - 1.0) * limit;
            values.extend((0..weight.row_len()).map(|_| draw(&mut rng) as f32));
        }
        values
    }

    fn recurrent(&self, weight: WeightSpec<'_>, role: RecurrentWeight, rows: Range<usize>) -> Vec<f32> {
        let columns = weight.row_len();
        match role {
            RecurrentWeight::Conv | RecurrentWeight::TimeStep => {
                self.uniform(weight, rows, (columns as f64).powf(-0.5))
            }
            // A vector has one for each head.
            RecurrentWeight::Decay if weight.shape.len() == 1 => rows.map(|row| ((row + 1) as f32).ln()).collect(),
            RecurrentWeight::Decay => rows.flat_map(|_| (1..=columns).map(|n| (n as f32).ln())).collect(),
            RecurrentWeight::Skip => vec![1.0; rows.len() * columns],
            RecurrentWeight::TimeStepBias => {
                let TimeStepConfig { min, max, floor } = self.time_step;
                let bias = |draw: f32| {
                    let at = (f64::from(draw) + 1.0) / 2.0; // 0 to 1
                    let step = (min.ln() + at * (max.ln() - min.ln())).exp().max(floor);
                    // softplus of it is the step.
                    (step + (-(-step).exp_m1()).ln()) as f32
                };
                self.uniform(weight, rows, 1.0).into_iter().map(bias).collect()
            }
            RecurrentWeight::BlockGate => {
                let width = weight.shape.last().copied().unwrap_or(1);
                self.normal(weight, rows, (BLOCK_GATE_VARIANCE / width as f64).sqrt())
            }
            RecurrentWeight::DecayParameter => {
                let parameter = |draw: f32| {
                    let [min, max] = FRESH_DECAY.map(|decay| decay * decay);
                    let at = (f64::from(draw) + 1.0) / 2.0; // 0 to 1
                    let decay = (min + at * (max - min)).sqrt();
                    // softplus of it is -ln(decay).
                    (decay.recip() - 1.0).ln() as f32
                };
                self.uniform(weight, rows, 1.0).into_iter().map(parameter).collect()
            }
        }
    }
}

impl WeightSource for Initializer {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let part = weight.shape_of(&rows);
        let values = match weight.role {
            WeightRole::Norm => vec![1.0; rows.len()],
            WeightRole::NormOffset | WeightRole::Bias | WeightRole::Sinks => vec![0.0; rows.len() * weight.row_len()],
            WeightRole::Activation(weight) => vec![weight.fresh()],
            WeightRole::Recurrent(role) => self.recurrent(weight, role, rows),
            WeightRole::ResidualProjection | WeightRole::MlpOutput => self.normal(weight, rows, self.residual_std),
            WeightRole::Embedding
            | WeightRole::Projection
            | WeightRole::Keys
            | WeightRole::Values
            | WeightRole::Head
            | WeightRole::Router => self.normal(weight, rows, self.std),
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
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, role: WeightRole, shape: &[usize], rows: Range<usize>) -> Vec<f32> {
        let mut source = Initializer { seed: 7, std: 0.02, residual_std: 0.005, time_step: TimeStepConfig::MAMBA };
        let weight = WeightSpec { name, shape, role, layer: None };
        let data = source.read(weight, rows, Dtype::F32).unwrap();
        data.try_to_vec().unwrap()
    }

    #[test]
    fn mean_and_standard_deviation_are_as_stated() {
        for (name, role, std) in [
            ("model.embed_tokens.weight", WeightRole::Embedding, 0.02),
            ("a.w2.weight", WeightRole::ResidualProjection, 0.005),
        ] {
            let values = read(name, role, &[300, 101], 0..300);
            let n = values.len() as f64;
            let mean = values.iter().map(|&x| x as f64).sum::<f64>() / n;
            let variance = values.iter().map(|&x| (x as f64 - mean).powi(2)).sum::<f64>() / n;
            // Both within five standard errors.
            assert!(mean.abs() < 5.0 * std / n.sqrt(), "{name}: {mean}");
            let relative = variance.sqrt() / std - 1.0;
            assert!(relative.abs() < 5.0 / (2.0 * n).sqrt(), "{name}: {relative}");
        }
        let recurrent = WeightRole::Recurrent;
        let decays = read("a.a_log", recurrent(RecurrentWeight::Decay), &[2, 3], 0..2);
        assert_eq!(decays, [1.0f32, 2.0, 3.0, 1.0, 2.0, 3.0].map(f32::ln));
        let steps = read("a.dt_proj.bias", recurrent(RecurrentWeight::TimeStepBias), &[100], 0..100);
        assert!(steps.iter().all(|x| (0.00099..0.101).contains(&x.exp().ln_1p())), "softplus of it is 0.001 to 0.1");
        let taps = read("a.conv1d.weight", recurrent(RecurrentWeight::Conv), &[50, 1, 4], 0..50);
        assert!(taps.iter().all(|x| x.abs() <= 0.5) && taps.iter().any(|x| x.abs() > 0.45));
        let vector = |name, role| read(name, role, &[3], 0..3);
        assert_eq!(vector("a.d", recurrent(RecurrentWeight::Skip)), [1.0; 3]);
        assert_eq!(vector("a.norm.weight", WeightRole::Norm), [1.0; 3]);
        assert_eq!(vector("a.q_proj.bias", WeightRole::Bias), [0.0; 3]);
        assert_eq!(vector("a.sinks", WeightRole::Sinks), [0.0; 3]);
    }

    #[test]
    fn recurrent_layers_begin_as_in_the_papers() {
        let read = |name, role, shape: &[usize]| read(name, WeightRole::Recurrent(role), shape, 0..shape[0]);
        let close = |found: &[f32], expected: &[f32]| found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
        let decays = read("a.a_log", RecurrentWeight::Decay, &[2, 3]);
        assert!(close(&decays.iter().map(|x| x.exp()).collect::<Vec<_>>(), &[1.0, 2.0, 3.0, 1.0, 2.0, 3.0]));
        let of_heads = read("a.a_log", RecurrentWeight::Decay, &[3]);
        assert!(close(&of_heads.iter().map(|x| x.exp()).collect::<Vec<_>>(), &[1.0, 2.0, 3.0]));
        let softplus = |x: f32| f64::from(x).exp().ln_1p();
        let within = |values: Vec<f32>, make: &dyn Fn(f32) -> f64, [least, most]: [f64; 2]| {
            let made: Vec<f64> = values.into_iter().map(make).collect();
            let (low, high) = (made.iter().copied().fold(f64::MAX, f64::min), made.iter().copied().fold(0.0, f64::max));
            assert!(
                low > least * 0.999 && low < 1.2 * least && high < most * 1.001 && high > 0.9 * most,
                "{low} to {high}"
            );
        };
        within(read("a.dt_bias", RecurrentWeight::TimeStepBias, &[400]), &softplus, [0.001, 0.1]);
        let parameter = read("a.recurrent_param", RecurrentWeight::DecayParameter, &[400]);
        within(parameter, &|x| (-softplus(x)).exp(), FRESH_DECAY);
        let gate = read("a.input_gate_weight", RecurrentWeight::BlockGate, &[4, 25, 25]);
        let variance = gate.iter().map(|&x| f64::from(x * x)).sum::<f64>() / gate.len() as f64;
        assert_eq!(gate.len(), 2500);
        assert!((variance / (BLOCK_GATE_VARIANCE / 25.0) - 1.0).abs() < 0.15, "{variance}");
    }

    #[test]
    fn a_matrix_read_in_parts_is_the_same() {
        let read = |name, rows| read(name, WeightRole::Projection, &[9, 5], rows);
        let whole = read("a.q_proj.weight", 0..9);
        let parts = [read("a.q_proj.weight", 0..4), read("a.q_proj.weight", 4..9)];
        assert_eq!(whole, parts.concat());
        assert_ne!(whole, read("a.k_proj.weight", 0..9));
    }
}
