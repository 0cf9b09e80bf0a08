//! Experts against their definition in float64, on every backend. Experts that no token is sent to hold NaN.

use std::{collections::BTreeSet, ops::Range};

use burn::tensor::{Tensor, TensorData};
use glass_backend::{
    Device, Dtype, KernelMode, PlanarRows, QuantizedRows, WeightError, WeightSource, WeightSpec, Weights,
    quant::{QuantFormat, QuantizedMatrix, dequantize, groups, words},
};
use glass_config::{Activation, DenseMlpConfig, ExpertsConfig, Gate, RouterConfig, RouterWeights, SharedExpertConfig};
use glass_decoder::LlamaExperts;
use half::f16;
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

/// Numbers between -1 and 1; which ones depends on the name alone.
fn numbers(name: &str, len: usize) -> Vec<f32> {
    let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let number = |place: usize| {
        let mut x = (seed ^ place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(number).collect()
}

/// Everything but the experts that are not chosen.
struct Chosen(BTreeSet<usize>);

impl WeightSource for Chosen {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let row = weight.row_len();
        let expert = weight.name.strip_prefix("experts.").and_then(|rest| rest.split('.').next());
        let expert: Option<usize> = expert.map(|number| number.parse().expect("a number"));
        let mut values = numbers(weight.name, weight.rows() * row)[rows.start * row..rows.end * row].to_vec();
        if expert.is_some_and(|expert| !self.0.contains(&expert)) {
            values.fill(f32::NAN);
        }
        Ok(TensorData::new(values, weight.shape_of(&rows)).convert_dtype(dtype.burn()))
    }
}

/// `W x + b`, of the tensors of that name
fn linear(name: &str, x: &[f64], out: usize, bias: bool) -> Vec<f64> {
    let matrix = numbers(&format!("{name}.weight"), out * x.len());
    let bias = if bias { numbers(&format!("{name}.bias"), out) } else { vec![0.0; out] };
    let rows = matrix.chunks(x.len()).zip(bias);
    rows.map(|(row, bias)| row.iter().zip(x).map(|(w, x)| f64::from(*w) * x).sum::<f64>() + f64::from(bias)).collect()
}

fn mlp(name: &str, x: &[f64], config: &DenseMlpConfig) -> Vec<f64> {
    let read = |projection: &str| linear(&format!("{name}.{projection}"), x, config.intermediate_size, config.bias);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    let inner = read("gate_proj").into_iter().zip(read("up_proj")).map(|(gate, up)| match config.gate {
        Gate::Clamped { alpha, limit } => {
            let (gate, up) = (gate.min(limit), up.clamp(-limit, limit));
            gate * sigmoid(alpha * gate) * (up + 1.0)
        }
        _ => gate * sigmoid(gate) * up,
    });
    linear(&format!("{name}.down_proj"), &inner.collect::<Vec<_>>(), x.len(), config.bias)
}

/// The chosen experts of one token, and their weights.
fn route(x: &[f64], config: &ExpertsConfig) -> Vec<(usize, f64)> {
    let logits = linear("gate", x, config.num_experts, config.router.bias);
    let exp: Vec<f64> = logits.iter().map(|logit| logit.exp()).collect();
    let mut order: Vec<usize> = (0..logits.len()).collect();
    order.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
    order.truncate(config.num_experts_per_tok);
    let all: f64 = match config.router.weights {
        RouterWeights::SoftmaxAll => exp.iter().sum(),
        RouterWeights::SoftmaxAllRenormalised | RouterWeights::SoftmaxChosen => order.iter().map(|&i| exp[i]).sum(),
    };
    order.into_iter().map(|i| (i, exp[i] / all)).collect()
}

fn defined(x: &[f64], config: &ExpertsConfig) -> Vec<f64> {
    let mut sum = vec![0.0; x.len()];
    let mut add = |weight: f64, values: Vec<f64>| {
        sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += weight * value);
    };
    for (expert, weight) in route(x, config) {
        add(weight, mlp(&format!("experts.{expert}"), x, &config.expert));
    }
    if let Some(shared) = config.shared {
        let gate = if shared.gate { linear("shared_expert_gate", x, 1, false)[0] } else { f64::INFINITY };
        add(1.0 / (1.0 + (-gate).exp()), mlp("shared_expert", x, &shared.mlp));
    }
    sum
}

fn devices() -> Vec<Device> {
    let open = |name| Device::open(name).expect("it is built in");
    let mut devices = vec![open("flex"), open("flex").with_kernel_mode(KernelMode::Plain), open("ndarray")];
    match Device::open("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("not tested on wgpu: {error}"),
    }
    devices
}

#[test]
fn experts_are_their_definition_and_only_chosen_ones_are_read() {
    let weights =
        select(vec![RouterWeights::SoftmaxAll, RouterWeights::SoftmaxAllRenormalised, RouterWeights::SoftmaxChosen]);
    let gate = select(vec![Gate::Product, Gate::Clamped { alpha: 1.702, limit: 0.9 }]);
    let tokens = prop_oneof![Just([1, 1]), [1usize..3, 1usize..20].prop_map(|shape| shape)];
    let experts = (1usize..9).prop_flat_map(|experts| (Just(experts), 1..=experts));
    let strategy = (tokens, 1usize..40, 1usize..30, experts, (weights, gate), any::<[bool; 3]>());
    for device in devices() {
        let cases = if device.name().starts_with("wgpu") { 4 } else { 60 };
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let outcome = runner.run(&strategy, |(tokens, hidden, inner, (num_experts, k), (weights, gate), flags)| {
            let [bias, has_shared, shared_gate] = flags;
            let expert = DenseMlpConfig { intermediate_size: inner, hidden_act: Activation::Silu, gate, bias };
            let config = ExpertsConfig {
                num_experts,
                num_experts_per_tok: k,
                expert,
                router: RouterConfig { weights, bias },
                shared: has_shared.then_some(SharedExpertConfig {
                    mlp: DenseMlpConfig { intermediate_size: inner + 3, gate: Gate::Product, ..expert },
                    gate: shared_gate,
                }),
            };
            let [batch, seq] = tokens;
            let values = numbers("x", batch * seq * hidden);
            let rows: Vec<Vec<f64>> =
                values.chunks(hidden).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
            let chosen = rows.iter().flat_map(|row| route(row, &config)).map(|(expert, _)| expert).collect();
            let mut source = Chosen(chosen);
            let experts = LlamaExperts::load(Weights::new(&mut source, &device, Dtype::F32), &config, hidden);
            let x = Tensor::<3>::from_data(TensorData::new(values, [batch, seq, hidden]), device.burn());
            let found = experts.expect("weights").forward(x).into_data().try_to_vec::<f32>().expect("float32");
            let expected: Vec<f64> = rows.iter().flat_map(|row| defined(row, &config)).collect();
            let largest = expected.iter().fold(1.0f64, |most, x| most.max(x.abs()));
            for (found, expected) in found.iter().zip(&expected) {
                let off = (f64::from(*found) - expected).abs();
                prop_assert!(off <= 2e-5 * largest, "{found} is not {expected}");
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{}: {error}", device.name()));
    }
}

/// Experts whose matrices are MXFP4: as codes, or as the numbers that these stand for.
struct Mxfp4 {
    as_codes: bool,
}

impl Mxfp4 {
    fn is_expert(weight: WeightSpec<'_>) -> bool {
        weight.name.starts_with("experts.") && weight.name.ends_with(".weight")
    }

    fn codes(weight: WeightSpec<'_>) -> (Vec<i32>, Vec<f16>) {
        let (rows, columns) = (weight.rows(), weight.row_len());
        let words = numbers(weight.name, rows * words(columns, QuantFormat::Mxfp4));
        let powers = numbers(&format!("{} scales", weight.name), rows * groups(columns));
        let scales = powers.into_iter().map(|power| f16::from_f32(2f32.powi((power * 3.0) as i32 - 4)));
        (
            words.into_iter().map(|number| (number.to_bits() << 9) as i32 ^ number.to_bits() as i32).collect(),
            scales.collect(),
        )
    }
}

impl WeightSource for Mxfp4 {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let row = weight.row_len();
        let mut values = numbers(weight.name, weight.rows() * row);
        if Self::is_expert(weight) {
            let (codes, scales) = Self::codes(weight);
            dequantize(QuantizedMatrix::new(QuantFormat::Mxfp4, &codes, &scales, &[], row), &mut values);
        }
        let part = values[rows.start * row..rows.end * row].to_vec();
        Ok(TensorData::new(part, weight.shape_of(&rows)).convert_dtype(dtype.burn()))
    }

    fn is_quantized(&mut self, weight: WeightSpec<'_>) -> Result<bool, WeightError> {
        Ok(self.as_codes && Self::is_expert(weight))
    }

    fn read_quantized(&mut self, weight: WeightSpec<'_>, rows: Range<usize>) -> Result<QuantizedRows, WeightError> {
        let (codes, scales) = Self::codes(weight);
        let per_row = [words(weight.row_len(), QuantFormat::Mxfp4), groups(weight.row_len())];
        let of = |i: usize| rows.start * per_row[i]..rows.end * per_row[i];
        Ok(QuantizedRows::Planar(PlanarRows {
            format: QuantFormat::Mxfp4,
            quants: TensorData::new(codes[of(0)].to_vec(), [rows.len(), per_row[0]]),
            scales: TensorData::new(scales[of(1)].to_vec(), [rows.len(), per_row[1]]),
            zero_points: None,
        }))
    }
}

/// Codes are their numbers on every device; kernels round activations to 8 bits beside.
#[test]
fn experts_in_mxfp4_are_their_numbers() {
    let (hidden, [batch, seq]) = (64, [1, 40]);
    let gate = Gate::Clamped { alpha: 1.702, limit: 7.0 };
    let expert = DenseMlpConfig { intermediate_size: 96, hidden_act: Activation::Silu, gate, bias: true };
    let router = RouterConfig { weights: RouterWeights::SoftmaxChosen, bias: true };
    let config = ExpertsConfig { num_experts: 4, num_experts_per_tok: 2, expert, router, shared: None };
    let outputs = |device: &Device, as_codes: bool, tokens: usize| {
        let mut source = Mxfp4 { as_codes };
        let experts = LlamaExperts::load(Weights::new(&mut source, device, Dtype::F32), &config, hidden);
        let values = numbers("x", batch * seq * hidden)[..tokens * hidden].to_vec();
        let x = Tensor::<3>::from_data(TensorData::new(values, [batch, tokens, hidden]), device.burn());
        experts.expect("weights").forward(x).into_data().try_to_vec::<f32>().expect("float32")
    };
    for device in devices() {
        for tokens in [1, seq] {
            let exact = outputs(&Device::open("ndarray").expect("it is built in"), false, tokens);
            let found = outputs(&device, true, tokens);
            let largest = exact.iter().fold(0f32, |most, x| most.max(x.abs()));
            let off = exact.iter().zip(&found).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            let whole_numbers = device.name() == "flex" && device.kernel_mode() == KernelMode::Fused;
            let allowed = if whole_numbers { 2e-2 } else { 1e-5 } * largest;
            assert!(
                off <= allowed,
                "{} ({}), {tokens} tokens: {off} of {largest}",
                device.name(),
                device.kernel_mode()
            );
            assert_eq!(off > 1e-5 * largest, whole_numbers, "{}: four bits are multiplied as such", device.name());
        }
    }
}
