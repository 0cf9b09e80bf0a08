//! Fused kernels against the plain versions they stand for, over random shapes, on every backend and in every type.

use std::ops::Range;

use burn::tensor::{DType, Tensor, TensorData};
use glass_backend::{Device, Dtype, KernelMode, Linear, WeightError, WeightRole, WeightSource, WeightSpec, Weights};
use glass_config::{LlamaConfig, MlpConfig, NormConfig};
use glass_decoder::{LlamaMlp, Norm};
use proptest::{prelude::*, sample::select, test_runner::TestRunner};

/// Numbers of about the size 1; which ones depends on the name and the place alone.
fn numbers(name: &str, range: Range<usize>) -> Vec<f32> {
    let seed = name.bytes().fold(7u64, |seed, byte| seed.wrapping_mul(31) + u64::from(byte));
    let number = |place: usize| {
        let mut x = (seed ^ place as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    range.map(number).collect()
}

struct Named;

impl WeightSource for Named {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let row = weight.row_len();
        let values = numbers(weight.name, rows.start * row..rows.end * row);
        let part = weight.shape_of(&rows);
        Ok(TensorData::new(values, part).convert_dtype(dtype.burn()))
    }
}

fn devices() -> Vec<Device> {
    let open = |name| Device::open(name).expect("it is built in");
    let mut devices = vec![open("flex"), open("ndarray")];
    match Device::open("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("not tested on wgpu: {error}"),
    }
    devices
}

/// Where the plain versions are computed that this device's kernels are held to: on an adapter every new shape of theirs
/// would be compiled and tuned for seconds, and the tests of the other crates compare them there.
fn plain(device: &Device) -> Device {
    let device = match device.name().starts_with("wgpu") {
        true => Device::open("flex").expect("it is built in"),
        false => device.clone(),
    };
    device.with_kernel_mode(KernelMode::Plain)
}

/// What modules of this shape make of one input: a projection, a norm, a sum and its norm, a norm of heads, an MLP.
fn outputs([batch, seq, hidden, inner]: [usize; 4], activation: &str, device: &Device, dtype: Dtype) -> Vec<Vec<f32>> {
    let config = serde_json::json!({
        "model_type": "llama", "vocab_size": 7, "hidden_size": hidden, "intermediate_size": inner,
        "num_hidden_layers": 1, "num_attention_heads": 1, "head_dim": 2, "hidden_act": activation, "mlp_bias": true,
    });
    let config = LlamaConfig::from_json(&config.to_string(), "test", &[]).expect("a config");
    let mut source = Named;
    let mut weights = Weights::new(&mut source, device, dtype);
    let [norm, one_plus] = [NormConfig::rms(1e-5), NormConfig::rms(1e-5).one_plus()]
        .map(|norm| Norm::load(weights.at("norm"), hidden, &norm).expect("weights"));
    let Some(MlpConfig::Dense(mlp)) = config.layers[0].mlp else { panic!("a Llama has no experts") };
    let mlp = LlamaMlp::load(weights.at("mlp"), &mlp, hidden).expect("weights");
    let linear = Linear::load(weights.at("linear"), [inner, hidden], true, WeightRole::Projection).expect("weights");
    let input = |name| {
        let values = numbers(name, 0..batch * seq * hidden);
        let data = TensorData::new(values, [batch, seq, hidden]);
        Tensor::<3>::from_data(data, (device.burn(), dtype.burn()))
    };
    let (sum, normed) = norm.forward_sum(input("x"), input("delta"));
    // What a caller may hand over is not always in one piece.
    let turned = input("x").swap_dims(0, 1).swap_dims(0, 1);
    // Queries are normed by head where they lie: one token after the other.
    let heads = Tensor::stack::<4>(vec![input("x"), input("delta")], 2).swap_dims(1, 2); // [batch, 2, seq, hidden]
    let heads = norm.forward(heads).reshape([batch, 2 * seq, hidden]);
    let (_, summed) = one_plus.forward_sum(input("x"), input("delta"));
    let gemma = [one_plus.forward(input("x")), summed];
    let outputs = [linear.forward(input("x")), norm.forward(turned), sum, normed, heads, mlp.forward(input("x"))];
    let outputs = outputs.into_iter().chain(gemma);
    let read = |output: Tensor<3>| output.cast(DType::F32).into_data().try_to_vec::<f32>();
    outputs.map(|output| read(output).expect("float32")).collect()
}

#[test]
fn fused_kernels_are_their_plain_versions() {
    // A device without fused kernels would be compared with itself.
    let has_fused = |device: &Device| device.kernel_mode() == KernelMode::Fused;
    for device in devices().into_iter().filter(has_fused) {
        for &dtype in device.dtypes() {
            let mut runner =
                TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() });
            // The longest are beyond where projections of prompts begin to be computed in another way.
            let seq = prop_oneof![4 => 1usize..12, 1 => 120usize..140];
            let strategy = (1usize..4, seq, 1usize..70, 1usize..90, select(vec!["silu", "gelu", "gelu_pytorch_tanh"]));
            let outcome = runner.run(&strategy, |(batch, seq, hidden, inner, activation)| {
                let shape = [batch, seq, hidden, inner];
                let fused = outputs(shape, activation, &device, dtype);
                let plain = outputs(shape, activation, &plain(&device), dtype);
                let names =
                    ["linear", "norm", "sum", "norm of the sum", "norm of heads", "mlp", "1 + w", "1 + w of the sum"];
                for ((fused, plain), name) in fused.iter().zip(&plain).zip(names) {
                    prop_assert_eq!(fused.len(), plain.len());
                    let largest = plain.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
                    let off = fused.iter().zip(plain).map(|(a, b)| (a - b).abs());
                    let off = off.fold(0.0, |most: f32, off| if off.is_nan() { f32::INFINITY } else { most.max(off) });
                    // A handful of roundings to the type, and sums of at most 90 in float32. What is summed was rounded too, either
                    // way, and may be larger than the sum: that grows with the square root of how many there are.
                    let summed = (hidden.max(inner) as f64).sqrt();
                    let roundings = 8.0 + 2.0 * summed;
                    let allowed = (roundings * dtype.unit_roundoff() + 90.0 * 2f64.powi(-24)) as f32;
                    prop_assert!(off <= allowed * largest, "{name}: {off} of {largest}");
                }
                Ok(())
            });
            outcome.unwrap_or_else(|error| panic!("{} in {dtype}: {error}", device.name()));
        }
    }
}
