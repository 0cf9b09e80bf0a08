//! What is written reads back, for any valid config.

use std::num::NonZeroUsize;

use glass_config::{
    Activation, Bias, Dtype, LayerType, LlamaConfig, ModelType, QuantizationConfig,
    QuantizationGroup, RopeParameters, RopeType,
};
use proptest::prelude::*;
use proptest::{collection::vec, option};

fn rope(head_dim: usize) -> impl Strategy<Value = RopeParameters> {
    let factor = 1.0..100.0f64;
    let original = 2usize..100_000;
    let list = vec(0.1..50.0f64, head_dim / 2);
    let rope_type = prop_oneof![
        Just(RopeType::Default),
        factor
            .clone()
            .prop_map(|factor| RopeType::Linear { factor }),
        factor
            .clone()
            .prop_map(|factor| RopeType::Dynamic { factor }),
        (
            (factor.clone(), original.clone(), any::<bool>()),
            (8.0..64.0f64, 0.5..8.0f64),
            (
                option::of(0.1..2.0f64),
                option::of(0.1..2.0f64),
                option::of(0.1..2.0f64)
            ),
        )
            .prop_map(
                |((factor, original, truncate), (fast, slow), (attention, m, all))| {
                    RopeType::Yarn {
                        factor,
                        original_max_position_embeddings: original,
                        beta_fast: fast,
                        beta_slow: slow,
                        attention_factor: attention,
                        mscale: m,
                        mscale_all_dim: all,
                        truncate,
                    }
                }
            ),
        (factor.clone(), 0.5..2.0f64, 2.5..8.0f64, original.clone()).prop_map(
            |(factor, low_freq_factor, high_freq_factor, original)| RopeType::Llama3 {
                factor,
                low_freq_factor,
                high_freq_factor,
                original_max_position_embeddings: original,
            }
        ),
        (
            list.clone(),
            list,
            0.5..64.0f64,
            original,
            option::of(0.5..2.0f64)
        )
            .prop_map(
                |(short_factor, long_factor, factor, original, attention_factor)| {
                    RopeType::Longrope {
                        short_factor,
                        long_factor,
                        factor,
                        original_max_position_embeddings: original,
                        attention_factor,
                    }
                }
            ),
    ];
    (2.0..1e7f64, rope_type).prop_map(|(rope_theta, rope_type)| RopeParameters {
        rope_theta,
        rope_type,
    })
}

/// The family with biases and layers that it can have.
fn family() -> impl Strategy<Value = (ModelType, Bias, Vec<LayerType>)> {
    let window = (1usize..10_000).prop_map(|window| LayerType::Sliding {
        window: NonZeroUsize::new(window).unwrap(),
    });
    let count = 1usize..6;
    prop_oneof![
        (count.clone(), any::<[bool; 2]>()).prop_map(|(layers, [attention, mlp])| {
            let bias = Bias {
                q_k_v: attention,
                o: attention,
                mlp,
            };
            (ModelType::Llama, bias, vec![LayerType::Full; layers])
        }),
        (count, prop_oneof![Just(LayerType::Full), window.clone()]).prop_map(|(layers, layer)| {
            let bias = Bias {
                q_k_v: false,
                o: false,
                mlp: false,
            };
            (ModelType::Mistral, bias, vec![layer; layers])
        }),
        (window, vec(any::<bool>(), 1..6)).prop_map(|(window, slides)| {
            let bias = Bias {
                q_k_v: true,
                o: false,
                mlp: false,
            };
            let layer = |slides| if slides { window } else { LayerType::Full };
            (
                ModelType::Qwen2,
                bias,
                slides.into_iter().map(layer).collect(),
            )
        }),
    ]
}

fn config() -> impl Strategy<Value = LlamaConfig> {
    let sizes = (
        1usize..1000,
        1usize..300,
        1usize..300,
        1usize..5,
        1usize..5,
        1usize..100_000,
    );
    let head_dim = (2usize..65).prop_map(|half| 2 * half);
    let words = (
        prop::sample::select(vec![
            Activation::Silu,
            Activation::Gelu,
            Activation::GeluTanh,
            Activation::Relu,
        ]),
        option::of(prop::sample::select(vec![
            Dtype::Float32,
            Dtype::Float16,
            Dtype::BFloat16,
        ])),
        any::<bool>(),
        option::of(
            vec(quantization_group(), 1..3).prop_map(|groups| QuantizationConfig {
                groups,
                ignore: vec![],
            }),
        ),
    );
    let numbers = (1e-12..1e-2f64, 0.0..1.0f64, 0.0..0.99f64);
    let ids = (
        option::of(any::<u32>()),
        vec(any::<u32>(), 0..4),
        option::of(any::<u32>()),
    );
    let rope = head_dim.prop_flat_map(|head_dim| (Just(head_dim), rope(head_dim)));
    (sizes, rope, family(), words, numbers, ids).prop_map(
        |(
            (vocab_size, hidden_size, intermediate_size, kv_heads, groups, max_position_embeddings),
            (head_dim, rope_parameters),
            (model_type, bias, layer_types),
            (hidden_act, dtype, tie_word_embeddings, quantization_config),
            (rms_norm_eps, initializer_range, attention_dropout),
            (bos_token_id, eos_token_id, pad_token_id),
        )| LlamaConfig {
            model_type,
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers: layer_types.len(),
            num_attention_heads: kv_heads * groups,
            num_key_value_heads: kv_heads,
            head_dim,
            hidden_act,
            rms_norm_eps,
            max_position_embeddings,
            rope_parameters,
            bias,
            tie_word_embeddings,
            layer_types,
            bos_token_id,
            eos_token_id,
            pad_token_id,
            dtype,
            quantization_config,
            initializer_range,
            attention_dropout,
            ignored: vec![],
        },
    )
}

fn quantization_group() -> impl Strategy<Value = QuantizationGroup> {
    let group_size = option::of((1usize..9).prop_map(|blocks| 32 * blocks));
    (prop::sample::select(vec![4, 8]), group_size).prop_map(|(num_bits, group_size)| {
        QuantizationGroup {
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
