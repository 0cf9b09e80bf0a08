//! What is written reads back, for any valid config.

use std::num::NonZeroUsize;

use glass_config::{
    Activation, AttentionBias, AttentionConfig, DenseMlpConfig, Dtype, DynamicScaling, Gate, LayerConfig,
    LinearScaling, Llama3Scaling, LlamaConfig, LongropeScaling, MixerConfig, MlpConfig, ModelType, NormPlacement,
    QuantizationConfig, QuantizationGroup, RopeParameters, RopeScaling, YarnScaling,
};
use proptest::prelude::*;
use proptest::{collection::vec, option};

use crate::common::{minimal, read};

fn rope(head_dim: usize, max_position_embeddings: usize) -> impl Strategy<Value = RopeParameters> {
    let factor = 1.0..100.0f64;
    let original = 2usize..100_000;
    let list = vec(0.1..50.0f64, head_dim / 2);
    let multiplier = || option::of(0.1..2.0f64);
    let scaling = prop_oneof![
        Just(RopeScaling::Default),
        factor.clone().prop_map(|factor| RopeScaling::Linear(LinearScaling { factor })),
        factor
            .clone()
            .prop_map(move |factor| { RopeScaling::Dynamic(DynamicScaling { factor, max_position_embeddings }) }),
        (
            (factor.clone(), original.clone(), any::<bool>()),
            (8.0..64.0f64, 0.5..8.0f64),
            (multiplier(), multiplier(), multiplier()),
        )
            .prop_map(|((factor, original, truncate), (fast, slow), (attention, m, all))| {
                RopeScaling::Yarn(YarnScaling {
                    factor,
                    original_max_position_embeddings: original,
                    beta_fast: fast,
                    beta_slow: slow,
                    attention_factor: attention,
                    mscale: m,
                    mscale_all_dim: all,
                    truncate,
                })
            }),
        (factor.clone(), 0.5..2.0f64, 2.5..8.0f64, original.clone()).prop_map(
            |(factor, low_freq_factor, high_freq_factor, original)| {
                RopeScaling::Llama3(Llama3Scaling {
                    factor,
                    low_freq_factor,
                    high_freq_factor,
                    original_max_position_embeddings: original,
                })
            }
        ),
        (list.clone(), list, 0.5..64.0f64, original, multiplier()).prop_map(
            |(short_factor, long_factor, factor, original, attention_factor)| {
                RopeScaling::Longrope(LongropeScaling {
                    short_factor,
                    long_factor,
                    factor,
                    original_max_position_embeddings: original,
                    attention_factor,
                })
            }
        ),
    ];
    (2.0..1e7f64, scaling).prop_map(|(rope_theta, scaling)| RopeParameters {
        rope_theta,
        scaling,
        partial_rotary_factor: 1.0,
        interleaved: false,
    })
}

/// The family with biases (attention's and the MLP's) and windows that it can have.
fn family() -> impl Strategy<Value = (ModelType, AttentionBias, bool, Vec<Option<NonZeroUsize>>)> {
    let window = || (1usize..10_000).prop_map(NonZeroUsize::new);
    let bias = |q_k_v, o| AttentionBias { q_k_v, o };
    let count = 1usize..6;
    prop_oneof![
        (count.clone(), any::<[bool; 2]>()).prop_map(move |(layers, [attention, mlp])| {
            let bias = bias(attention, attention);
            (ModelType::Llama, bias, mlp, vec![None; layers])
        }),
        (count, prop_oneof![Just(None), window()]).prop_map(move |(layers, window)| {
            let windows = vec![window; layers];
            (ModelType::Mistral, bias(false, false), false, windows)
        }),
        (window(), vec(any::<bool>(), 1..6)).prop_map(move |(window, slides)| {
            let windows = slides.into_iter().map(|slides| window.filter(|_| slides));
            (ModelType::Qwen2, bias(true, false), false, windows.collect())
        }),
    ]
}

fn config() -> impl Strategy<Value = LlamaConfig> {
    let sizes = (1usize..1000, 1usize..300, 1usize..300, 1usize..5, 1usize..5);
    let head_dim = (2usize..65).prop_map(|half| 2 * half);
    let words = (
        prop::sample::select(vec![Activation::Silu, Activation::Gelu, Activation::GeluTanh, Activation::Relu]),
        option::of(prop::sample::select(vec![Dtype::Float32, Dtype::Float16, Dtype::BFloat16])),
        any::<bool>(),
        option::of(vec(quantization_group(), 1..3).prop_map(|groups| QuantizationConfig { groups, ignore: vec![] })),
    );
    let numbers = (1e-12..1e-2f64, 0.0..1.0f64, 0.0..0.99f64);
    let ids = (option::of(any::<u32>()), vec(any::<u32>(), 0..4), option::of(any::<u32>()));
    let rope = (head_dim, 1usize..100_000)
        .prop_flat_map(|(head_dim, positions)| (Just(head_dim), Just(positions), rope(head_dim, positions)));
    (sizes, rope, family(), words, numbers, ids).prop_map(
        |(
            (vocab_size, hidden_size, intermediate_size, kv_heads, groups),
            (head_dim, max_position_embeddings, rope),
            (model_type, bias, mlp_bias, windows),
            (hidden_act, dtype, tie_word_embeddings, quantization_config),
            (rms_norm_eps, initializer_range, attention_dropout),
            (bos_token_id, eos_token_id, pad_token_id),
        )| {
            let attention = AttentionConfig { bias, ..AttentionConfig::new(kv_heads * groups, kv_heads, head_dim) };
            let mlp =
                MlpConfig::Dense(DenseMlpConfig { intermediate_size, hidden_act, gate: Gate::Product, bias: mlp_bias });
            let layers = windows.into_iter().map(|window| LayerConfig {
                mixer: MixerConfig::Attention(AttentionConfig { window, ..attention }),
                mlp: Some(mlp),
                norms: NormPlacement::Pre,
                residual_multiplier: 1.0,
            });
            let mut config = read(&minimal("llama")).expect("a config");
            config.model_type = model_type;
            config.vocab_size = vocab_size;
            config.hidden_size = hidden_size;
            config.norm.eps = rms_norm_eps;
            config.max_position_embeddings = max_position_embeddings;
            config.tie_word_embeddings = tie_word_embeddings;
            config.bos_token_id = bos_token_id;
            config.eos_token_id = eos_token_id;
            config.pad_token_id = pad_token_id;
            config.dtype = dtype;
            config.quantization_config = quantization_config;
            config.initializer_range = initializer_range;
            config.attention_dropout = attention_dropout;
            (config.layers, config.ropes) = (layers.collect(), vec![rope]);
            config
        },
    )
}

fn quantization_group() -> impl Strategy<Value = QuantizationGroup> {
    let group_size = option::of((1usize..9).prop_map(|blocks| 32 * blocks));
    (prop::sample::select(vec![4, 8]), group_size, any::<bool>()).prop_map(|(num_bits, group_size, symmetric)| {
        QuantizationGroup {
            symmetric: symmetric || num_bits == 8,
            targets: vec!["Linear".to_owned()],
            num_bits,
            group_size: group_size.and_then(NonZeroUsize::new),
        }
    })
}

proptest! {
    #[test]
    fn written_configs_read_back(config in config()) {
        prop_assert_eq!(config.validate(), Ok(()));
        let text = config.to_json().to_string();
        let read = LlamaConfig::from_json(&text, "config.json", &[]);
        prop_assert_eq!(read, Ok(config));
    }

    /// Whatever the bytes, the answer is a config or one line.
    #[test]
    fn damaged_files_get_one_line(config in config(), cut in 0usize..400, junk in any::<char>()) {
        let mut text: Vec<char> = config.to_json().to_string().chars().collect();
        let place = cut % text.len();
        text[place] = junk;
        let text: String = text.into_iter().collect();
        if let Err(error) = LlamaConfig::from_json(&text, "config.json", &[]) {
            let line = error.to_string();
            prop_assert!(line.starts_with("config.json: "), "{}", line);
            prop_assert!(!line.contains('\n'), "{}", line);
        }
    }
}
