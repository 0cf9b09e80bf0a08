//! Where a family's files hold a model's weights.

use glass_config::{LlamaConfig, StoredRows};
use serde_json::json;

use crate::common::{file, read};
use crate::fixtures::files;

fn config(family: &str) -> LlamaConfig {
    let files = files();
    let file = files.iter().find(|(name, _)| name == family).map(|(_, file)| &file["version_5"]);
    read(file.expect("a family")).expect("a config")
}

/// Where the family's own files have it.
fn own(family: &str, name: &str, shape: &[usize]) -> Vec<StoredRows> {
    config(family).stored(name, shape).swap_remove(0)
}

fn name(family: &str, name: &str) -> String {
    own(family, name, &[4, 4]).swap_remove(0).name
}

#[test]
fn renamed() {
    for (family, ours, theirs) in [
        ("qwen3", "model.layers.2.self_attn.q_norm.weight", "model.layers.2.self_attn.q_norm.weight"),
        ("starcoder2", "model.layers.0.mlp.up_proj.bias", "model.layers.0.mlp.c_fc.bias"),
        ("glm4", "model.layers.1.post_attention_layernorm.weight", "model.layers.1.post_self_attn_layernorm.weight"),
        ("glm4", "model.layers.1.pre_feedforward_layernorm.weight", "model.layers.1.post_attention_layernorm.weight"),
        ("hyperclovax", "model.layers.0.post_feedforward_layernorm.weight", "model.layers.0.post_norm2.weight"),
        ("mixtral", "model.layers.0.mlp.gate.weight", "model.layers.0.block_sparse_moe.gate.weight"),
        (
            "mixtral",
            "model.layers.0.mlp.experts.3.down_proj.weight",
            "model.layers.0.block_sparse_moe.experts.3.w2.weight",
        ),
        ("gpt_oss", "model.layers.0.mlp.gate.bias", "model.layers.0.mlp.router.bias"),
        ("apertus", "model.layers.0.input_layernorm.weight", "model.layers.0.attention_layernorm.weight"),
    ] {
        assert_eq!(name(family, ours), theirs, "{family}");
    }
    let exaone = read(&json!({
        "model_type": "exaone", "num_layers": 2, "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48,
        "num_attention_heads": 4, "activation_function": "silu", "layer_norm_epsilon": 1e-6
    }));
    let exaone = exaone.expect("a config");
    assert_eq!((exaone.layers.len(), exaone.norm.eps), (2, 1e-6));
    let name = |ours: &str| exaone.stored(ours, &[4, 4])[0][0].name.clone();
    assert_eq!(name("model.embed_tokens.weight"), "transformer.wte.weight");
    assert_eq!(name("model.norm.weight"), "transformer.ln_f.weight");
    assert_eq!(name("model.layers.1.self_attn.q_proj.weight"), "transformer.h.1.attn.attention.q_proj.weight");
    assert_eq!(name("model.layers.1.self_attn.o_proj.weight"), "transformer.h.1.attn.attention.out_proj.weight");
    assert_eq!(name("model.layers.0.mlp.gate_proj.weight"), "transformer.h.0.mlp.c_fc_0.weight");
    assert_eq!(name("lm_head.weight"), "lm_head.weight");
    assert_eq!(exaone.to_json()["num_layers"], 2);
}

/// Without norms behind the blocks, the names are Llama's.
#[test]
fn norms_by_their_place() {
    let plain = read(&file("hyperclovax", json!({"use_post_norm": false}))).expect("a config");
    let ours = "model.layers.0.post_attention_layernorm.weight";
    assert_eq!(plain.stored(ours, &[48])[0][0].name, ours);
}

#[test]
fn rows_of_a_larger_tensor() {
    // 4 heads of 12 over 2: 48, 24 and 24 rows of 48.
    let piece = |part: &str, rows| own("phi3", &format!("model.layers.1.self_attn.{part}.weight"), &[rows, 48]);
    for (part, rows, first) in [("q_proj", 48, 0), ("k_proj", 24, 48), ("v_proj", 24, 72)] {
        let expected = StoredRows {
            name: "model.layers.1.self_attn.qkv_proj.weight".to_owned(),
            shape: vec![96, 48],
            rows: 0..rows,
            start: first * 48,
            strides: [48, 1],
        };
        assert_eq!(piece(part, rows), [expected]);
    }
    let up = own("glm4", "model.layers.0.mlp.up_proj.weight", &[96, 48]).swap_remove(0);
    assert_eq!(
        (up.name.as_str(), up.shape, up.start),
        ("model.layers.0.mlp.gate_up_proj.weight", vec![192, 48], 96 * 48)
    );
}

#[test]
fn a_tensor_for_each_head() {
    let norms = read(&file("stablelm", json!({"qk_layernorm": true, "partial_rotary_factor": 0.5}))).expect("a config");
    let heads = norms.stored("model.layers.0.self_attn.k_norm.weight", &[2, 12]).swap_remove(0);
    let names: Vec<_> = heads.iter().map(|head| (head.name.as_str(), head.rows.clone())).collect();
    let name = |head| format!("model.layers.0.self_attn.k_layernorm.norms.{head}.weight");
    assert_eq!(names, [(name(0).as_str(), 0..1), (name(1).as_str(), 1..2)]);
    assert_eq!(heads[1].shape, [12]);
}

/// Version 5 of transformers holds all experts in one tensor; gpt-oss does so on disk, with other axes.
#[test]
fn experts_in_one_tensor() {
    let mixtral = config("mixtral");
    let ways = mixtral.stored("model.layers.0.mlp.experts.2.up_proj.weight", &[96, 48]);
    let fused = StoredRows {
        name: "model.layers.0.mlp.experts.gate_up_proj".to_owned(),
        shape: vec![4, 192, 48],
        rows: 0..96,
        start: (2 * 192 + 96) * 48,
        strides: [48, 1],
    };
    assert_eq!(ways[1], [fused]);
    // Where the family's files call the module otherwise, so is this tensor's.
    let ways = config("jamba").stored("model.layers.1.mlp.experts.2.up_proj.weight", &[96, 48]);
    let names: Vec<&str> = ways.iter().map(|way| way[0].name.as_str()).collect();
    assert!(names.contains(&"model.layers.1.feed_forward.experts.gate_up_proj"), "{names:?}");
    let gpt_oss = config("gpt_oss");
    let way = |name: &str, shape: &[usize]| {
        gpt_oss.stored(&format!("model.layers.0.mlp.experts.3.{name}"), shape).swap_remove(0).swap_remove(0)
    };
    let up = way("up_proj.weight", &[96, 48]);
    assert_eq!((up.shape, up.start, up.strides), (vec![4, 48, 192], 3 * 48 * 192 + 1, [2, 192]));
    let down = way("down_proj.weight", &[48, 96]);
    assert_eq!((down.shape, down.start, down.strides), (vec![4, 96, 48], 3 * 96 * 48, [1, 48]));
    let bias = way("gate_proj.bias", &[96]);
    assert_eq!(bias.name, "model.layers.0.mlp.experts.gate_up_proj_bias");
    assert_eq!((bias.shape, bias.start, bias.strides), (vec![4, 192], 3 * 192, [2, 1]));
}

#[test]
fn a_llama_keeps_its_names() {
    let llama = read(&file("llama", json!({}))).expect("a config");
    for name in
        ["model.embed_tokens.weight", "model.layers.3.mlp.up_proj.weight", "model.norm.weight", "lm_head.weight"]
    {
        let ways = llama.stored(name, &[8, 4]);
        assert_eq!((ways.len(), ways[0][0].name.as_str()), (1, name));
    }
}
