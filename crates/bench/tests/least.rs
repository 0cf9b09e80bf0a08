//! Models on an adapter that gives no more than WebGPU promises: whoever asks for more is refused there.

use std::ops::Range;

use burn::tensor::TensorData;
use glass_backend::{Device, Dtype, KernelMode, WeightError, WeightSource, WeightSpec, Weights};
use glass_bench::{RandomWeights, SEED, Text, random_model};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::Precision;
use glass_config::LlamaConfig;
use glass_generate::Llama;

/// Long enough for attention in tiles, and for matrix products of many vectors.
const PROMPT: usize = 40;
const TOKENS: usize = 12;

/// Two layers of a plain Llama; and what others have: a window, norms of heads, wide heads.
const PLAIN: &str = r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 192,
    "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": true,
    "max_position_embeddings": 512}"#;
const GEMMA: &str = r#"{"model_type": "gemma3_text", "vocab_size": 300, "hidden_size": 64, "intermediate_size": 128,
    "num_hidden_layers": 2, "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 256, "sliding_window": 16,
    "layer_types": ["sliding_attention", "full_attention"], "max_position_embeddings": 512}"#;

/// The same random matrices as everybody's, rounded to a type, in float32.
struct Rounded(RandomWeights, Dtype);

impl WeightSource for Rounded {
    fn read(&mut self, weight: WeightSpec<'_>, rows: Range<usize>, dtype: Dtype) -> Result<TensorData, WeightError> {
        let numbers = self.0.read(weight, rows, dtype)?;
        Ok(match weight.role.is_matrix() {
            true => numbers.convert_dtype(self.1.burn()).convert_dtype(Dtype::F32.burn()),
            false => numbers,
        })
    }
}

/// What a model is compared with: on flex in float32, of the same numbers.
fn reference(config: &LlamaConfig, precision: Precision) -> Llama {
    let flex = Device::open("flex").expect("flex").with_kernel_mode(KernelMode::Plain);
    if precision.dtype == Dtype::F32 {
        return random_model(config, &flex, precision, SEED).expect("a model");
    }
    let mut rounded = Rounded(RandomWeights::new(SEED), precision.dtype);
    let model = LlamaForCausalLM::load(Weights::new(&mut rounded, &flex, Dtype::F32), config);
    Llama::new(model.expect("a model"), config, &flex, Dtype::F32)
}

/// Of the last token of the prompt, and of each behind it.
fn logits(llama: &Llama) -> Vec<f32> {
    let mut text = Text::new(llama, PROMPT + TOKENS).expect("room");
    let mut all = text.logits_after(0..PROMPT).expect("logits");
    for id in 0..TOKENS {
        all.extend(text.step(7 * id as u32 + 3).expect("logits"));
    }
    all
}

#[test]
fn the_least_of_adapters_computes_what_flex_does() {
    let least = match Device::open_least_wgpu() {
        Ok(device) => device,
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("not tested on wgpu: {error}"),
    };
    assert_eq!((least.dtypes(), least.max_binding()), (&[Dtype::F32][..], Some(128 << 20)));
    // Matrices of 16 bits are packed there.
    for (config, precisions) in [(PLAIN, &["f32", "q8", "q4", "bf16", "f16"][..]), (GEMMA, &["f32", "bf16"])] {
        let config = LlamaConfig::from_json(config, "test", &[]).expect("a config");
        for precision in precisions {
            let precision: Precision = precision.parse().expect("a precision");
            let theirs = logits(&reference(&config, precision));
            let largest = theirs.iter().fold(0.0f32, |most, x| most.max(x.abs()));
            // Kernels for software ask for as many buffers as those for GPUs, and for fewer units.
            let software = (precision == Dtype::F32.into()).then(|| least.clone());
            for device in software.into_iter().chain([least.clone().with_gpu_kernels()]) {
                let ours = logits(&random_model(&config, &device, precision, SEED).expect("a model"));
                let off = ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs()).fold(0.0f32, f32::max);
                assert!(ours.len() == theirs.len() && off < 1e-4 * largest, "{precision}: {off} of {largest}");
            }
        }
    }
}
