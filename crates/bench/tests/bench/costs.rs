//! What a pass costs, against what the models hold and against counting.

use glass_attention::Step;
use glass_backend::{Device, Dtype, KvDtype};
use glass_bench::{
    SEED, SHAPES,
    costs::{attention_flops, bytes_per_token, flops, step, weight_bytes, weights_read},
    random_model,
};
use glass_checkpoint::Parameters;
use glass_config::LlamaConfig;

fn config(tied: bool, window: Option<usize>) -> LlamaConfig {
    let window = window.map_or("null".into(), |window| window.to_string());
    let text = format!(
        r#"{{"model_type": "mistral", "vocab_size": 50, "hidden_size": 24, "intermediate_size": 40,
            "num_hidden_layers": 3, "num_attention_heads": 6, "num_key_value_heads": 2, "head_dim": 8,
            "sliding_window": {window}, "tie_word_embeddings": {tied}, "max_position_embeddings": 64}}"#
    );
    LlamaConfig::from_json(&text, "test", &[]).unwrap()
}

/// Whether every layer of a shape has a window; none has it in some only.
fn slides(config: &LlamaConfig) -> bool {
    let mut layers = config.layers.iter().map(|layer| layer.attention());
    layers.all(|layer| layer.expect("attention").window.is_some())
}

#[test]
fn weights_are_those_that_the_model_holds() {
    let device = Device::open("flex").unwrap();
    for tied in [true, false] {
        let config = config(tied, None);
        let llama = random_model(&config, &device, Dtype::F32.into(), SEED).unwrap();
        let mut parameters = Parameters::new(Dtype::F32);
        parameters.add("", &llama.model);
        let all = parameters.elements() as u64;
        assert_eq!(weight_bytes(&config, Dtype::F32.into()), 4 * all);
        // Of an embedding that is no head, a row is read; a tied one is read whole, and its row again.
        let table = 50 * 24;
        let beside = if tied { 0 } else { table };
        assert_eq!(weights_read(&config, 1), all - beside + 24);
        assert_eq!(weights_read(&config, 7), all - beside + 7 * 24);
        assert_eq!(bytes_per_token(&config, Dtype::F16.into()), 2 * (all - beside + 24));
    }
}

#[test]
fn of_experts_only_chosen_ones_are_read() {
    let text = r#"{"model_type": "qwen2_moe", "vocab_size": 50, "hidden_size": 24, "num_hidden_layers": 3,
        "num_attention_heads": 6, "num_key_value_heads": 2, "num_experts": 8, "num_experts_per_tok": 2,
        "intermediate_size": 10, "moe_intermediate_size": 10, "shared_expert_intermediate_size": 12, "max_position_embeddings": 64}"#;
    let config = LlamaConfig::from_json(text, "test", &[]).unwrap();
    let llama = random_model(&config, &Device::open("flex").unwrap(), Dtype::F32.into(), SEED).unwrap();
    let mut parameters = Parameters::new(Dtype::F32);
    parameters.add("", &llama.model);
    let all = parameters.elements() as u64;
    let (table, expert) = (50 * 24, 3 * 24 * 10);
    assert_eq!(config.num_parameters() as u64, all);
    assert_eq!(weights_read(&config, 1), all - table + 24 - 3 * 6 * expert);
    assert_eq!(weights_read(&config, 3), all - table + 3 * 24 - 3 * 2 * expert);
    assert_eq!(weights_read(&config, 9), all - table + 9 * 24);
    assert_eq!(weight_bytes(&config, Dtype::F32.into()), 4 * all);
    assert_eq!(flops(&config, 0, 4) - flops(&config, 0, 3) - (attention_flops(&config, 3, 1)), {
        let attention = 24 * (24 + 2 * 8) + 24 * 24;
        let mlp = 2 * expert + 3 * 24 * 12 + 24 + 8 * 24;
        2.0 * (3 * (attention as u64 + mlp)) as f64
    });
}

#[test]
fn attention_counts_the_keys_that_are_seen() {
    for window in [None, Some(1), Some(5), Some(64)] {
        let config = config(true, window);
        for (depth, tokens) in [(0, 1), (0, 9), (3, 4), (4, 1), (9, 6), (70, 3)] {
            let sees = |query: usize, key: usize| key <= query && window.is_none_or(|window| query - key < window);
            let pairs: usize =
                (depth..depth + tokens).map(|query| (0..=query).filter(|&key| sees(query, key)).count()).sum();
            // Two products of heads · head_dim multiplications and additions, in three layers.
            let expected = (3 * pairs * 2 * 2 * 48) as f64;
            let counted = attention_flops(&config, depth, tokens);
            assert_eq!(counted, expected, "{window:?} {depth} {tokens}");
        }
    }
}

#[test]
fn a_token_costs_two_operations_for_each_weight_of_a_matrix() {
    for shape in SHAPES {
        let config = LlamaConfig::from_json(shape.config, shape.name, &[]).unwrap();
        let [.., (_, norms), _] = config.parameters_by_part()[..] else { panic!("parts") };
        // Beside its four matrices, attention has norms of queries and keys in some shapes.
        let qk_norms = config.layers.iter().map(|layer| {
            let attention = layer.attention().expect("attention");
            let matrices = 2 * config.hidden_size * (attention.q_size() + attention.kv_size());
            layer.mixer.num_parameters(config.hidden_size) - matrices
        });
        let norms = norms + qk_norms.sum::<usize>();
        let rows = config.hidden_size; // of the embedding, which is looked up
        let matrices = weights_read(&config, 1) as f64 - (norms + rows) as f64;
        let one = flops(&config, 100, 1);
        assert_eq!(one - attention_flops(&config, 100, 1), 2.0 * matrices, "{}", shape.name);
        let deeper = flops(&config, 100_000, 1) > flops(&config, 10_000, 1);
        assert_eq!(deeper, !slides(&config), "{}", shape.name);
    }
}

const STEPS: [Step; 10] = [
    Step::Embedding,
    Step::Norm,
    Step::Qkv,
    Step::Rope,
    Step::Cache,
    Step::Attention,
    Step::Output,
    Step::Mlp,
    Step::Residual,
    Step::Head,
];

#[test]
fn steps_add_up_to_the_pass() {
    for shape in SHAPES {
        let config = LlamaConfig::from_json(shape.config, shape.name, &[]).unwrap();
        for slots in [0..1, 0..300, 700..701, 5000..5300] {
            let costs = STEPS.map(|kind| step(&config, Dtype::F16.into(), Dtype::F16.into(), kind, slots.clone(), 1));
            let sum: f64 = costs.iter().map(|cost| cost.flops).sum();
            let whole = flops(&config, slots.start, slots.len());
            assert!((sum / whole - 1.0).abs() < 1e-12, "{} {slots:?}", shape.name);
            // The weights are most of what a token moves, and every step moves something.
            let bytes: u64 = costs.iter().map(|cost| cost.bytes).sum();
            assert!(bytes > bytes_per_token(&config, Dtype::F16.into()), "{}", shape.name);
            assert!(costs.iter().all(|cost| cost.bytes > 0));
        }
        let at = |kept, kind, slots| step(&config, Dtype::F32.into(), kept, kind, slots, 1).bytes;
        let far = |kind| at(KvDtype::Q8, kind, 9000..9001);
        let near = |kind| at(KvDtype::Q8, kind, 5000..5001);
        for kind in STEPS {
            let fewer = matches!(kind, Step::Cache | Step::Attention);
            assert_eq!(far(kind) < at(Dtype::F16.into(), kind, 9000..9001), fewer, "{} {kind:?}", shape.name);
        }
        for kind in STEPS {
            let grows = kind == Step::Attention && !slides(&config);
            assert_eq!(far(kind) > near(kind), grows, "{} {kind:?}", shape.name);
        }
    }
}
