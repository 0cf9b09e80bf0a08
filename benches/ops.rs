//! The operations of a layer, and whole steps, on every backend of this build, measured by Criterion.
//!
//!     cargo bench -p glass-benches --bench ops
//!     cargo bench -p glass-benches --bench ops -- 'mlp|decode'
//!
//! The shape is `llama-40M` in float32. `1` is a token of decode, `128` a prompt. A device may work later than it is asked to:
//! each iteration ends when it is done. Where the time of a whole model goes, `glass bench --ops` says.

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use burn::tensor::{Distribution, Int, Tensor, TensorData};
use criterion::{Criterion, criterion_group, criterion_main};
use glass_attention::{ForwardContext, LlamaAttention, Rope, Sequences, Unobserved, rotate};
use glass_backend::{Device, Dtype, Embedding, Linear, WeightRole, Weights};
use glass_bench::{RandomWeights, SEED, SHAPES, Text, random_model};
use glass_config::{LlamaConfig, MixerConfig, MlpConfig};
use glass_decoder::{LlamaMlp, Norm};
use glass_kv_cache::LayerState;

const LENGTHS: [usize; 2] = [1, 128];

fn config() -> LlamaConfig {
    let [shape, ..] = SHAPES;
    LlamaConfig::from_json(shape.config, shape.name, &[]).expect("a known shape")
}

/// Those of this build that open.
fn devices() -> Vec<Device> {
    let names = Device::known().into_iter().filter(|name| name != "auto");
    let open = |name: String| match Device::open(&name) {
        Ok(device) => Some(device),
        Err(error) => {
            eprintln!("{name} is left out: {error}");
            None
        }
    };
    names.filter_map(open).collect()
}

/// One operation, on inputs of this many tokens.
fn each<O: FnMut()>(
    criterion: &mut Criterion,
    devices: &[Device],
    name: &str,
    make: impl Fn(&mut Weights<'_>, usize) -> O,
) {
    let mut group = criterion.benchmark_group(name);
    for tokens in LENGTHS {
        for device in devices {
            let mut source = RandomWeights::new(SEED);
            let mut weights = Weights::new(&mut source, device, Dtype::F32);
            let mut op = make(&mut weights, tokens);
            group.bench_function(format!("{tokens}/{}", device.name()), |bencher| {
                bencher.iter(|| {
                    op();
                    device.sync().expect("the device works");
                });
            });
        }
    }
    group.finish();
}

fn operations(criterion: &mut Criterion) {
    let (config, devices) = (config(), devices());
    let hidden = config.hidden_size;
    let random = |device: &Device, shape: [usize; 3]| {
        let spread = Distribution::Uniform(-1.0, 1.0);
        Tensor::<3>::random(shape, spread, (device.burn(), Dtype::F32.burn()))
    };
    each(criterion, &devices, "embedding", |weights, tokens| {
        let device = weights.device().clone();
        let shape = [config.vocab_size, hidden];
        let embedding = Embedding::load(weights.at("embed_tokens"), shape).expect("random weights fit");
        let ids: Vec<i32> = (0..tokens as i32).collect();
        let ids = TensorData::new(ids, [1, tokens]);
        let ids = Tensor::<2, Int>::from_data(ids, device.burn());
        move || drop(black_box(embedding.forward(ids.clone())))
    });
    each(criterion, &devices, "norm", |weights, tokens| {
        let x = random(weights.device(), [1, tokens, hidden]);
        let norm = Norm::load(weights.at("norm"), hidden, &config.norm);
        let norm = norm.expect("random weights fit");
        move || drop(black_box(norm.forward(x.clone())))
    });
    each(criterion, &devices, "rope", |weights, tokens| {
        let device = weights.device().clone();
        let MixerConfig::Attention(layer) = config.layers[0].mixer else { panic!("no attention") };
        let [heads, head_dim] = [layer.num_attention_heads, layer.head_dim];
        let x = random(&device, [heads, tokens, head_dim]).unsqueeze::<4>();
        let table = Rope::all(&config)[0].table(&[(0..tokens).collect()]);
        let angles = |values: Vec<f32>| {
            let shape = [1, 1, tokens, head_dim / 2];
            Tensor::<4>::from_data(TensorData::new(values, shape), device.burn())
        };
        let (cos, sin) = (angles(table.cos), angles(table.sin));
        move || drop(black_box(rotate(x.clone(), cos.clone(), sin.clone(), false)))
    });
    each(criterion, &devices, "projection", |weights, tokens| {
        let x = random(weights.device(), [1, tokens, hidden]);
        let role = WeightRole::Projection;
        let linear = Linear::load(weights.at("q_proj"), [hidden, hidden], false, role);
        let linear = linear.expect("random weights fit");
        move || drop(black_box(linear.forward(x.clone())))
    });
    // Alone, without a past: `decode` below has one.
    each(criterion, &devices, "attention", |weights, tokens| {
        let device = weights.device().clone();
        let x = random(&device, [1, tokens, hidden]);
        let MixerConfig::Attention(layer) = config.layers[0].mixer else { panic!("no attention") };
        let weights = weights.at("self_attn");
        let attention = LlamaAttention::load(weights, &layer, hidden, 0);
        let attention = attention.expect("random weights fit");
        let ropes = Rope::all(&config);
        move || {
            let (mut whole, mut observer, shape) = (Sequences::WHOLE, Unobserved, [1, tokens]);
            let ctx = ForwardContext::new(&ropes, hidden, shape, &mut whole, &device, &mut observer);
            let mut state = LayerState::of_pass(attention.window());
            let ctx = ctx.expect("it fits");
            drop(black_box(attention.forward(x.clone(), None, &mut [&mut state], &ctx)));
        }
    });
    each(criterion, &devices, "mlp", |weights, tokens| {
        let x = random(weights.device(), [1, tokens, hidden]);
        let Some(MlpConfig::Dense(layer)) = config.layers[0].mlp else { panic!("experts") };
        let mlp = LlamaMlp::load(weights.at("mlp"), &layer, hidden).expect("random weights fit");
        move || drop(black_box(mlp.forward(x.clone())))
    });
    each(criterion, &devices, "head", |weights, tokens| {
        let x = random(weights.device(), [1, tokens, hidden]);
        let shape = [config.vocab_size, hidden];
        let head = Linear::load(weights.at("lm_head"), shape, false, WeightRole::Head);
        let head = head.expect("random weights fit");
        move || drop(black_box(head.forward(x.clone())))
    });
}

/// A prompt, and a token after it. As in generation, each ends with its logits on the host.
fn steps(criterion: &mut Criterion) {
    const DEPTH: usize = 128;
    let config = config();
    for device in devices() {
        let llama = random_model(&config, &device, Dtype::F32.into(), SEED).expect("it fits");
        criterion.bench_function(&format!("prefill/{DEPTH}/{}", device.name()), |bencher| {
            let begin = || Text::new(&llama, DEPTH).expect("it fits");
            bencher.iter(|| begin().logits_after(0..DEPTH).expect("the device works"));
        });
        criterion.bench_function(&format!("decode/{DEPTH}/{}", device.name()), |bencher| {
            // The text grows by a token each time: another one begins before that shows.
            const STEPS: u64 = 16;
            bencher.iter_custom(|steps| {
                let mut took = Duration::ZERO;
                for done in (0..steps).step_by(STEPS as usize) {
                    let mut text = Text::new(&llama, 2 * DEPTH).expect("it fits");
                    text.read(0..DEPTH).expect("the device works");
                    let start = Instant::now();
                    for id in 0..STEPS.min(steps - done) {
                        black_box(text.step(id as u32).expect("the device works"));
                    }
                    took += start.elapsed();
                }
                took
            });
        });
    }
}

criterion_group! {
    name = all;
    // Enough to compare, and few enough that software Vulkan is done in minutes.
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(2))
        .without_plots();
    targets = operations, steps
}
criterion_main!(all);
