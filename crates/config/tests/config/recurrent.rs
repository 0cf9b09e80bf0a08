//! Families whose layers have a state in place of keys and values.

use glass_config::{LlamaConfig, MixerConfig, StateShape};
use serde_json::{Value, json};

use crate::common::{file, read, windows};

/// A small file of a family, without what only attention has.
fn small(family: &str, changes: Value) -> Value {
    let mut file = file(family, changes);
    let fields = file.as_object_mut().expect("an object");
    if family != "samba" {
        fields.retain(|name, _| !["num_attention_heads", "num_key_value_heads"].contains(&name.as_str()));
    }
    if family == "mamba" && fields["intermediate_size"] == 96 {
        fields.remove("intermediate_size");
    }
    if family == "retnet" {
        fields.entry("decoder_retention_heads").or_insert(json!(4));
    }
    file
}

fn config(family: &str, changes: Value) -> LlamaConfig {
    read(&small(family, changes)).unwrap_or_else(|error| panic!("{error}"))
}

fn states(config: &LlamaConfig) -> Vec<Option<StateShape>> {
    config.layers.iter().map(|layer| layer.mixer.state()).collect()
}

#[test]
fn a_mamba_is_as_large_as_its_fields_say() {
    let mamba = config("mamba", json!({}));
    let shape = StateShape { conv: Some([96, 3]), matrix: [96, 1, 16] };
    assert_eq!(states(&mamba), [Some(shape); 4]);
    assert!(mamba.layers.iter().all(|layer| layer.mlp.is_none()) && mamba.ropes.is_empty());
    // A rank that is not given is a sixteenth of the width, rounded up.
    let MixerConfig::Mamba(mixer) = &config("mamba", json!({ "hidden_size": 49 })).layers[0].mixer else { panic!() };
    assert_eq!((mixer.time_step_rank, mixer.intermediate_size), (4, 98));
    let wide = config("mamba", json!({ "expand": 1.5, "state_size": 4, "conv_kernel": 2, "time_step_rank": "auto" }));
    assert_eq!(states(&wide)[0], Some(StateShape { conv: Some([72, 1]), matrix: [72, 1, 4] }));
    let written = LlamaConfig::from_json(&wide.to_json().to_string(), "written", &[]).expect("read again");
    assert_eq!(written, wide);
}

#[test]
fn a_samba_takes_turns() {
    let samba = config("samba", json!({ "num_key_value_heads": 4, "sliding_window": 7 }));
    assert_eq!(windows(&samba), [None, Some(7), None, Some(7)]);
    assert_eq!(states(&samba).iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true, false]);
    let other = config(
        "samba",
        json!({ "num_hidden_layers": 3, "layer_types": ["sliding_attention", "mamba", "mamba"], "nope": true }),
    );
    assert_eq!(states(&other).iter().map(Option::is_some).collect::<Vec<_>>(), [false, true, true]);
    assert!(other.layers.iter().filter_map(|layer| layer.attention()).all(|attention| attention.rope.is_none()));
    let written = LlamaConfig::from_json(&other.to_json().to_string(), "written", &[]).expect("read again");
    assert_eq!(written, other);
}

#[test]
fn a_retnet_reads_the_names_of_torchscale_and_ours() {
    let ours = config("retnet", json!({}));
    assert_eq!(states(&ours)[0], Some(StateShape { conv: None, matrix: [4, 24, 12] }));
    let torchscale = json!({
        "model_type": "retnet", "vocab_size": 128, "decoder_embed_dim": 48, "decoder_layers": 4, "decoder_ffn_embed_dim": 96,
        "decoder_retention_heads": 4, "decoder_value_embed_dim": 96, "activation_fn": "gelu",
    });
    assert_eq!(read(&torchscale).expect("a config"), ours);
}

#[test]
fn what_does_not_fit_is_one_line() {
    for (family, changes, expected) in [
        ("mamba", json!({ "state_size": 0 }), "state_size = 0: must be a whole number"),
        ("mamba", json!({ "conv_kernel": 1 }), "conv_kernel = 1: must be a whole number"),
        ("mamba", json!({ "time_step_rank": "large" }), "time_step_rank = \"large\": must be \"auto\""),
        ("mamba", json!({ "expand": 0.001 }), "expand = 0.001: must give at least one channel"),
        ("mamba", json!({ "time_step_min": 0.2 }), "time_step_max = 0.1: must be at least time_step_min (0.2)"),
        (
            "samba",
            json!({ "layer_types": ["mamba", "mamba"] }),
            "layer_types = 2 entries: must have one entry per layer",
        ),
        (
            "samba",
            json!({ "layer_types": ["mamba", "mamba", "mamba", "mamba"] }),
            "layer_types = one kind: must name both kinds",
        ),
        ("samba", json!({ "sliding_window": 0 }), "sliding_window = 0: must be"),
        ("retnet", json!({ "decoder_retention_heads": 5 }), "decoder_retention_heads = 5: must divide"),
        ("retnet", json!({ "decoder_retention_heads": 48 }), "decoder_retention_heads = 48: must divide"),
        ("retnet", json!({ "decoder_value_embed_dim": 90 }), "decoder_value_embed_dim = 90: must be a multiple"),
        ("retnet", json!({ "deepnorm": true }), "deepnorm = true"),
    ] {
        let changes_text = changes.to_string();
        let error =
            read(&small(family, changes)).err().unwrap_or_else(|| panic!("{family} {changes_text} was accepted"));
        let error = error.to_string();
        assert!(error.contains(expected) && !error.contains('\n'), "{error}");
    }
}
