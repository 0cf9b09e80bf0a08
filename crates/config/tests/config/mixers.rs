//! Families whose layers are not all attention.

use glass_config::{LlamaConfig, MixerConfig, MlpConfig, NormWeight};
use serde_json::{Value, json};

use crate::common::{check, file, read, windows};
use crate::fixtures::files;

/// The family's own file with `changes` laid over it.
fn own(family: &str, changes: Value) -> LlamaConfig {
    let files = files();
    let (_, file) = files.iter().find(|(name, _)| name == family).expect("a family");
    let (mut fields, changes) = (file["version_5"].clone(), changes);
    let (Some(object), Value::Object(changes)) = (fields.as_object_mut(), changes) else { panic!("objects") };
    object.extend(changes);
    let config = read(&fields).expect("a config");
    let again = read(&config.to_json()).expect("what was written");
    assert_eq!(again, LlamaConfig { ignored: Vec::new(), ..config.clone() });
    config
}

fn attends(config: &LlamaConfig) -> Vec<bool> {
    config.layers.iter().map(|layer| layer.attention().is_some()).collect()
}

#[test]
fn sizes_that_do_not_fit() {
    check(
        "mamba",
        &[
            (
                json!({"state_size": 0}),
                "state_size = 0: must be a whole number (without fraction or exponent) of at least 1",
            ),
            (
                json!({"time_step_rank": "all"}),
                "time_step_rank = \"all\": must be \"auto\" or a whole number of at least 1",
            ),
            (json!({"time_step_max": 1e-4}), "time_step_max = 0.0001: must be at least time_step_min (0.001)"),
        ],
    );
    check(
        "mamba2",
        &[
            (json!({}), "num_heads = 128: times head_dim (64) must be expand times hidden_size, 96"),
            (
                json!({"num_heads": 6, "head_dim": 16, "n_groups": 4}),
                "n_groups = 4: must divide num_heads (6), for each serves equally many heads",
            ),
            (
                json!({"num_heads": 6, "head_dim": 16, "n_groups": 2, "time_step_limit": [0.1, 0.01]}),
                "time_step_limit = [0.1, 0.01]: must be two numbers, the smaller one first",
            ),
            (
                json!({"num_heads": 6, "head_dim": 16, "n_groups": 2, "time_step_limit": [-1.0, 0.01]}),
                "time_step_limit[0] = -1.0: must be a number that is not negative, or Infinity",
            ),
            (
                json!({"num_heads": 6, "head_dim": 16, "n_groups": 2, "state_size": 1u64 << 56}),
                "the state of a layer = overflow: is too large for memory; is a size mistyped?",
            ),
        ],
    );
    check(
        "jamba",
        &[
            (json!({"attn_layer_offset": 8}), "attn_layer_offset = 8: must be below attn_layer_period (8)"),
            (json!({"expert_layer_offset": 2}), "expert_layer_offset = 2: must be below expert_layer_period (2)"),
            (
                json!({"attn_layer_period": 2, "attn_layer_offset": 1,
                       "layers_block_type": ["mamba", "attention", "mamba", "mamba"]}),
                "layers_block_type[3] = mamba: attn_layer_period and attn_layer_offset say attention; \
                 remove layers_block_type, or correct them",
            ),
            (json!({"num_experts_per_tok": 17}), "num_experts_per_tok = 17: must not exceed the number of experts, 16"),
        ],
    );
    check(
        "recurrent_gemma",
        &[
            (
                json!({"lru_width": 50}),
                "lru_width = 50: must be a multiple of num_attention_heads (4), which is the number of its blocks",
            ),
            (json!({"block_types": []}), "block_types = []: must have at least one entry"),
            (json!({"block_types": ["mamba"]}), "block_types[0] = \"mamba\": must be recurrent or attention"),
            (
                json!({"head_dim": 8}),
                "head_dim = 8: must be hidden_size / num_attention_heads in recurrent_gemma, for heads are together 48 wide",
            ),
            (
                json!({"attention_window_size": 0}),
                "attention_window_size = 0: must be a whole number of at least 1, for a query always sees its own key; \
                 null means no window",
            ),
        ],
    );
}

/// A state that no number of parameters gives away.
#[test]
fn states_that_no_memory_holds() {
    let sizes = json!({"num_heads": 1, "head_dim": 1u64 << 40, "n_groups": 1, "hidden_size": 1, "expand": 1u64 << 40,
                       "intermediate_size": null, "state_size": 1u64 << 40});
    let error = read(&file("mamba2", sizes)).expect_err("too large").to_string();
    assert_eq!(error, "config.json: the state of a layer = overflow: is too large for memory; is a size mistyped?");
}

#[test]
fn bounds_of_time_steps() {
    let limit = |limit: Value| match &own("mamba2", json!({ "time_step_limit": limit })).layers[0].mixer {
        MixerConfig::Mamba2(mamba) => mamba.time_step_limit,
        mixer => panic!("{mixer:?}"),
    };
    assert_eq!(limit(json!([0.0, {"__float__": "Infinity"}])), [0.0, f64::INFINITY]);
    assert_eq!(limit(json!([0.001, 0.5])), [0.001, 0.5]);
    // As Python wrote it before.
    let text = own("mamba2", json!({})).to_json().to_string().replace("{\"__float__\":\"Infinity\"}", "Infinity");
    assert!(text.contains("Infinity]"), "{text}");
    LlamaConfig::from_json(&text, "config.json", &[]).expect("a config");
}

#[test]
fn jamba_by_period() {
    let layers = |changes: Value| {
        let mut fields = json!({"num_hidden_layers": 3});
        if let (Value::Object(fields), Value::Object(changes)) = (&mut fields, changes) {
            fields.extend(changes);
        }
        let config = own("jamba", fields);
        let sparse = |mlp| matches!(mlp, Some(MlpConfig::Experts(_)));
        (attends(&config), config.layers.iter().map(|layer| sparse(layer.mlp)).collect::<Vec<_>>())
    };
    let named = json!({"layer_types": ["linear_attention", "full_attention", "linear_attention"]});
    assert_eq!(layers(named), (vec![false, true, false], vec![false, true, false]));
    let early = json!({"num_hidden_layers": 5, "attn_layer_period": 3, "attn_layer_offset": 0, "num_experts": 1});
    assert_eq!(layers(early), (vec![true, false, false, true, false], vec![false; 5]));
    // Of none, one, and all layers.
    for (period, offset) in [(9, 8), (8, 2), (1, 0)] {
        let rule = json!({"attn_layer_period": period, "attn_layer_offset": offset,
                          "expert_layer_period": period, "expert_layer_offset": offset});
        let expected: Vec<bool> = (0..3).map(|i| i % period == offset).collect();
        assert_eq!(layers(rule), (expected.clone(), expected));
    }
    let config = own("jamba", json!({}));
    assert!(config.ropes.is_empty() && config.layers[1].attention().is_some_and(|layer| layer.rope.is_none()));
}

#[test]
fn griffin_by_blocks() {
    let config = own("recurrent_gemma", json!({"num_hidden_layers": 5}));
    assert_eq!(attends(&config), [false, false, true, false, false]);
    assert_eq!(windows(&config), [None, None, Some(8), None, None]);
    // sqrt(48) in bfloat16.
    assert_eq!(config.embedding_multiplier, 6.9375);
    let all = own("recurrent_gemma", json!({"block_types": ["recurrent"], "lru_width": 60, "intermediate_size": 97}));
    assert_eq!(attends(&all), [false; 3]);
    let Some(MlpConfig::Dense(mlp)) = all.layers[0].mlp else { panic!("an MLP") };
    assert_eq!((mlp.intermediate_size, mlp.bias), (48, true));
}

#[test]
fn norms_within_mamba() {
    let norm = |family: &str| match &own(family, json!({})).layers[0].mixer {
        MixerConfig::Mamba(mamba) => mamba.inner_norm.map(|norm| (norm.weight, norm.eps)),
        mixer => panic!("{mixer:?}"),
    };
    assert_eq!(norm("mamba"), None);
    assert_eq!(norm("falcon_mamba"), Some((NormWeight::None, 1e-6)));
    assert_eq!(norm("jamba"), Some((NormWeight::Times, 1e-5)));
}
