//! The gradients that one optimizer step uses, part by part and of the whole.

use std::ops::Range;

use burn::{
    module::Param,
    tensor::{Int, Tensor, TensorData},
};
use glass_attention::{ForwardContext, LlamaAttention, Rope, RopeTable, Sequences, Unobserved, rotate};
use glass_backend::{Device, Dtype, RecurrentWeight, WeightError, WeightRole, WeightSource, WeightSpec, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::{
    Activation, DenseMlpConfig, ExpertsConfig, Gate, LlamaConfig, Mamba2Config, MambaConfig, MixerConfig, MlpConfig,
    NormConfig, NormWeight, RgLruConfig, RouterConfig, RouterWeights, SharedExpertConfig, TimeStepConfig,
};
use glass_decoder::{LlamaExperts, LlamaMlp, Norm};
use glass_kv_cache::{LayerState, RecurrentState};
use glass_recurrent::RecurrentMixer;
use glass_testing::{RandomWeights, with_windows};
use glass_train::cross_entropy;
use serde_json::{Value, json};

use crate::{
    devices,
    finite_differences::{check, random},
    runs,
};

const BATCH: usize = 2;
const SEQ: usize = 7;

fn config(fields: Value) -> LlamaConfig {
    let fields = runs::config(fields).to_string();
    LlamaConfig::from_json(&fields, "test", &[]).expect("a config")
}

/// An input that has a gradient, too.
fn input<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let values = random(shape.iter().product(), 5).iter().map(|&x| x as f32).collect::<Vec<_>>();
    Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device.burn()))
}

fn ids(seq: usize, vocab_size: usize, seed: u64, device: &Device) -> Tensor<2, Int> {
    let random = random(BATCH * seq, seed);
    let ids: Vec<i64> = random.iter().map(|x| (x.abs() * (vocab_size - 1) as f64) as i64).collect();
    Tensor::from_data(TensorData::new(ids, [BATCH, seq]), device.burn())
}

#[test]
fn norms() {
    let device = devices::flex().training();
    // Epsilons without and with weight beside the mean of the squares.
    let kinds = |eps| [NormConfig::rms(eps), NormConfig::rms(eps).one_plus(), NormConfig::layer(eps, true)];
    for norm in [1e-5, 0.3].into_iter().flat_map(kinds) {
        let norm = Norm::load(Weights::new(&mut RandomWeights(7), &device, Dtype::F32), 8, &norm);
        let module = (input([BATCH, 3, 8], &device), norm.expect("weights"));
        check("norm", &module, |(x, norm)| norm.forward(x.val()).flatten(0, 2));
    }
}

#[test]
fn rotation() {
    let device = devices::flex().training();
    let config = config(json!({}));
    let head_dim = config.layers[0].attention().expect("attention").head_dim;
    let RopeTable { cos, sin } = Rope::all(&config)[0].table(&[(0..SEQ).collect()]);
    let table = |values: Vec<f32>| {
        let shape = [1, 1, SEQ, head_dim / 2];
        Tensor::<4>::from_data(TensorData::new(values, shape), device.burn())
    };
    let (cos, sin) = (table(cos), table(sin));
    let x = input([BATCH, 2, SEQ, head_dim], &device);
    for interleaved in [false, true] {
        // The whole head, and all of it but one pair.
        let wide = input([BATCH, 2, SEQ, head_dim + 2], &device);
        for x in [&x, &wide] {
            check("rotate", x, |x| rotate(x.val(), cos.clone(), sin.clone(), interleaved).flatten(0, 3));
        }
    }
}

/// Full and sliding, the window shorter than the sequence; four heads on two, with biases and rotation. Once in blocks of
/// queries, as long sequences are computed.
#[test]
fn attention() {
    let device = devices::flex().training();
    let window = json!({"model_type": "mistral", "sliding_window": 3});
    for (case, fields, score_bytes) in [
        ("full", json!({"attention_bias": true}), usize::MAX),
        ("full in blocks", json!({"attention_bias": true}), 4 * 8 * SEQ * 3),
        ("window", window.clone(), usize::MAX),
        ("window in blocks", window, 4 * 8 * SEQ * 2),
    ] {
        let config = config(fields);
        let hidden = config.hidden_size;
        let MixerConfig::Attention(layer) = config.layers[0].mixer else { panic!("no attention") };
        let mut random = RandomWeights(7);
        let weights = Weights::new(&mut random, &device, Dtype::F32);
        let attention = LlamaAttention::load(weights, &layer, hidden, 0).expect("weights");
        let x = input([BATCH, SEQ, hidden], &device);
        check(case, &(x, attention), |(x, attention)| {
            let (mut whole, mut observer) = (Sequences::WHOLE, Unobserved);
            let ropes = Rope::all(&config);
            let ctx = ForwardContext::new(&ropes, hidden, [BATCH, SEQ], &mut whole, &device, &mut observer);
            let ctx = ctx.expect("a pass").with_score_bytes(score_bytes);
            let mut state = LayerState::of_pass(attention.window());
            attention.forward(x.val(), None, &mut [&mut state], &ctx).flatten(0, 2)
        });
    }
}

/// Random weights by which inputs and time steps have more say in a state, and one of RG-LRU lasts for some tokens: else
/// slopes are lost in the rounding of what goes past the state.
struct Lively(RandomWeights);

impl WeightSource for Lively {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let data = self.0.read(weight, rows, dtype)?;
        let offset = match weight.role {
            WeightRole::Recurrent(RecurrentWeight::Skip | RecurrentWeight::TimeStepBias) => return Ok(data),
            WeightRole::Recurrent(RecurrentWeight::DecayParameter) => -3.0,
            WeightRole::Recurrent(_) => 0.0,
            _ => return Ok(data),
        };
        let shape = data.shape().clone();
        let values: Vec<f32> = data.try_to_vec().expect("float32");
        Ok(TensorData::new(values.into_iter().map(|x| 4.0 * x + offset).collect::<Vec<_>>(), shape))
    }
}

/// By the plain operations, through the states that pass from token to token.
#[test]
fn recurrent_mixers() {
    let device = devices::flex().training();
    let (hidden_act, conv_kernel, time_step) = (Activation::Silu, 3, TimeStepConfig::MAMBA);
    let mamba = |inner_norm| {
        MixerConfig::Mamba(MambaConfig {
            intermediate_size: 6,
            state_size: 3,
            conv_kernel,
            time_step_rank: 2,
            use_bias: true,
            use_conv_bias: true,
            hidden_act,
            inner_norm,
            time_step,
        })
    };
    let mamba2 = MixerConfig::Mamba2(Mamba2Config {
        num_heads: 4,
        head_dim: 2,
        n_groups: 2,
        state_size: 3,
        conv_kernel,
        use_bias: false,
        use_conv_bias: true,
        hidden_act,
        norm: NormConfig::rms(0.3),
        time_step_limit: [0.0, f64::INFINITY],
        time_step,
    });
    let rg_lru = MixerConfig::RgLru(RgLruConfig { width: 6, num_blocks: 2, conv_kernel, hidden_act });
    let weightless = NormConfig { weight: NormWeight::None, ..NormConfig::rms(0.1) };
    for (case, config) in [
        ("mamba", mamba(None)),
        ("mamba with norms", mamba(Some(NormConfig::rms(0.1)))),
        ("mamba with norms without weights", mamba(Some(weightless))),
        ("mamba2", mamba2),
        ("rg_lru", rg_lru),
    ] {
        let mut random = Lively(RandomWeights(7));
        let mixer = RecurrentMixer::load(Weights::new(&mut random, &device, Dtype::F32), &config, 8, 0);
        let module = (input([BATCH, SEQ, 8], &device), mixer.expect("weights").expect("recurrent"));
        check(case, &module, |(x, mixer)| {
            let (mut whole, mut observer) = (Sequences::WHOLE, Unobserved);
            let ctx = ForwardContext::new(&[], 8, [BATCH, SEQ], &mut whole, &device, &mut observer).expect("a pass");
            let mut state = LayerState::Recurrent(RecurrentState::default());
            mixer.forward(x.val(), &mut [&mut state], &ctx).flatten(0, 2)
        });
    }
}

#[test]
fn mlp() {
    let device = devices::flex().training();
    for activation in ["silu", "gelu", "gelu_pytorch_tanh"] {
        let config = config(json!({"hidden_act": activation, "mlp_bias": true}));
        let Some(MlpConfig::Dense(layer)) = config.layers[0].mlp else { panic!("experts") };
        let mut random = RandomWeights(7);
        let weights = Weights::new(&mut random, &device, Dtype::F32);
        let mlp = LlamaMlp::load(weights, &layer, config.hidden_size);
        let module = (input([BATCH, 3, config.hidden_size], &device), mlp.expect("weights"));
        check(activation, &module, |(x, mlp)| mlp.forward(x.val()).flatten(0, 2));
    }
}

/// The gates that a Llama has not.
#[test]
fn gates() {
    let device = devices::flex().training();
    // The limit is beyond what any number moves to: there is no slope at its edge.
    let clamped = Gate::Clamped { alpha: 1.702, limit: 20.0 };
    for (gate, hidden_act) in [(Gate::None, Activation::Relu2), (clamped, Activation::Silu)] {
        let layer = DenseMlpConfig { intermediate_size: 12, hidden_act, gate, bias: true };
        let mlp = LlamaMlp::load(Weights::new(&mut RandomWeights(7), &device, Dtype::F32), &layer, 8);
        let module = (input([BATCH, 3, 8], &device), mlp.expect("weights"));
        check(&format!("{gate:?}"), &module, |(x, mlp)| mlp.forward(x.val()).flatten(0, 2));
    }
}

/// Through the router's weights, the chosen experts, and the shared one. All are chosen: which ones are changes in steps.
#[test]
fn experts() {
    let device = devices::flex().training();
    let mlp = |intermediate_size| DenseMlpConfig {
        intermediate_size,
        hidden_act: Activation::Silu,
        gate: Gate::Product,
        bias: false,
    };
    for weights in [RouterWeights::SoftmaxAll, RouterWeights::SoftmaxAllRenormalised, RouterWeights::SoftmaxChosen] {
        let config = ExpertsConfig {
            num_experts: 3,
            num_experts_per_tok: 3,
            expert: mlp(6),
            router: RouterConfig { weights, bias: true },
            shared: Some(SharedExpertConfig { mlp: mlp(5), gate: true }),
        };
        let experts = LlamaExperts::load(Weights::new(&mut RandomWeights(7), &device, Dtype::F32), &config, 8);
        let module = (input([BATCH, SEQ, 8], &device), experts.expect("weights"));
        check(&format!("{weights:?}"), &module, |(x, experts)| experts.forward(x.val()).flatten(0, 2));
    }
}

#[test]
fn loss() {
    let device = devices::flex().training();
    let targets: Tensor<1, Int> = ids(SEQ, 9, 2, &device).flatten(0, 1);
    let logits = input([BATCH * SEQ, 9], &device);
    check("loss", &logits, |logits| cross_entropy(logits.val() * 4.0, targets.clone()));

    // What it is: the mean of -ln p, here of p = 1/2 and p = 1/4.
    let logits = [[2f32.ln(), 0.0, 0.0], [0.0, 0.0, 2f32.ln()]];
    let logits = Tensor::<2>::from_data(logits, device.burn());
    let loss = cross_entropy(logits, Tensor::from_data([0, 1], device.burn()));
    assert!((loss.into_scalar::<f32>() - 1.5 * 2f32.ln()).abs() < 1e-6);
}

/// Everything from ids to loss, with full and sliding layers. The tied embedding is used at both ends.
#[test]
fn whole_model() {
    let flex = devices::flex();
    let untied = json!({"tie_word_embeddings": false});
    whole("tied", json!({}), &[None, Some(3)], &flex);
    whole("untied", untied, &[Some(2), None], &flex);
    // Every matrix in several tensors, as a device with small bindings needs it.
    whole("split", json!({}), &[Some(3)], &flex.with_max_binding(2000));
    for device in devices::all() {
        // Small: software Vulkan compiles every kernel for seconds.
        whole(device.name(), json!({}), &[Some(3)], &device);
    }
}

fn whole(case: &str, fields: Value, windows: &[Option<usize>], device: &Device) {
    let device = device.training();
    let config = with_windows(config(fields), windows);
    let model = LlamaForCausalLM::load(Weights::new(&mut RandomWeights(7), &device, Dtype::F32), &config);
    let vocab = config.vocab_size;
    let targets: Tensor<1, Int> = ids(SEQ, vocab, 4, &device).flatten(0, 1);
    check(case, &model.expect("weights"), |model| {
        let ids = ids(SEQ, vocab, 3, &device);
        let logits = model.forward(ids, Sequences::WHOLE, &mut Unobserved);
        cross_entropy(logits.expect("a pass").flatten(0, 1), targets.clone())
    });
}
