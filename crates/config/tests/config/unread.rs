//! Fields that a family's class in `transformers` 5.23 does not read, or reads otherwise than most: the config is that of
//! the class, with a word about what has no say.

use glass_config::{LlamaConfig, MixerConfig, RopeScaling};
use serde_json::{Value, json};

use crate::common::{attention, file, read, read_with, scaling};

fn config(family: &str, changes: Value) -> LlamaConfig {
    read(&file(family, changes.clone())).unwrap_or_else(|error| panic!("{family} {changes}: {error}"))
}

/// The same config as that of the `other` changes, and a warning of each of these fields.
fn same(family: &str, changes: Value, other: Value, warned: &[&str]) {
    let what = format!("{family} {changes}");
    let mut config = config(family, changes);
    let mut ignored = std::mem::take(&mut config.ignored);
    // The small file has heads whatever the family.
    ignored.retain(|field| !field.name.ends_with("_heads"));
    assert_eq!(ignored.iter().map(|field| field.name.as_str()).collect::<Vec<_>>(), warned, "{what}");
    let other = LlamaConfig { ignored: Vec::new(), ..self::config(family, other) };
    assert_eq!(config, other, "{what}");
    assert_eq!(read(&config.to_json()).expect("what was written"), config, "{what}");
}

/// As the files of Apertus 8B say.
#[test]
fn a_norm_that_the_family_has_may_be_named() {
    let apertus = json!({"qk_norm": true, "post_norm": false, "mlp_bias": false, "hidden_dropout": 0.0});
    same("apertus", apertus, json!({}), &[]);
    same("qwen3", json!({"use_qk_norm": true}), json!({}), &[]);
    assert!(read(&file("llama", json!({"qk_norm": true}))).is_err());
}

/// As the file of Falcon Mamba 7B says.
#[test]
fn the_channels_of_mamba_are_those_of_the_file() {
    for family in ["mamba", "falcon_mamba"] {
        let changes = json!({"expand": 16, "intermediate_size": 64});
        let MixerConfig::Mamba(mamba) = config(family, changes.clone()).layers[0].mixer.clone() else { panic!() };
        assert_eq!(mamba.intermediate_size, 64);
        same(family, changes, json!({"intermediate_size": 64}), &[]);
        let line = read_with(&file(family, json!({})), &["expand=3"]).expect_err("without effect").to_string();
        assert_eq!(line, "override `expand=3`: intermediate_size says the number of channels");
        assert!(read(&file(family, json!({"intermediate_size": 1u64 << 60}))).is_err());
    }
    let heads = |inner: Value| json!({"num_heads": 6, "head_dim": 16, "n_groups": 2, "intermediate_size": inner});
    same("mamba2", heads(json!(95)), heads(json!(96)), &["intermediate_size"]);
}

#[test]
fn phi3_reads_the_original_length_outside() {
    let longrope = |inner: Value, outer: Option<usize>| {
        let ones = [1.0; 6];
        let scaling = json!({"type": "longrope", "short_factor": ones, "long_factor": ones,
                             "original_max_position_embeddings": inner});
        let mut changes = json!({"max_position_embeddings": 8192, "rope_scaling": scaling});
        if let Some(outer) = outer {
            changes["original_max_position_embeddings"] = outer.into();
        }
        changes
    };
    let warned = ["rope_scaling.original_max_position_embeddings"];
    same("phi3", longrope(json!(32), None), longrope(json!(4096), Some(4096)), &warned);
    same("phi3", longrope(json!(4096), None), longrope(json!(null), Some(4096)), &[]);
    // What is written has it where the class reads it.
    let written = config("phi3", longrope(json!(32), Some(32))).to_json();
    assert_eq!(written["original_max_position_embeddings"], 32);
}

#[test]
fn a_null_or_empty_rope_scaling_is_an_absent_one() {
    for family in ["gpt_oss", "apertus", "ministral3", "llama"] {
        for nothing in [json!(null), json!({})] {
            same(family, json!({ "rope_scaling": nothing }), json!({}), &[]);
        }
    }
    // An empty object of version 5 is one that says nothing.
    assert_eq!(scaling(&config("gpt_oss", json!({"rope_parameters": {}}))), RopeScaling::Default);
    assert_eq!(config("gpt_oss", json!({"rope_scaling": null, "rope_theta": 777})).ropes[0].rope_theta, 777.0);
}

#[test]
fn an_object_that_the_class_fills_in_has_its_theta() {
    for (family, theta) in [("apertus", 12e6), ("ministral3", 1e6)] {
        same(family, json!({"rope_theta": 777}), json!({}), &["rope_theta"]);
        same(family, json!({"rope_theta": theta}), json!({}), &[]);
        for key in ["rope_theta", "rope_parameters.rope_theta"] {
            let set = read_with(&file(family, json!({})), &[&format!("{key}=777")]).expect("a config");
            assert_eq!(set.ropes[0].rope_theta, 777.0);
        }
    }
    let beside = json!({"rope_theta": 777, "rope_scaling": {"rope_type": "linear", "factor": 2}});
    assert_eq!(config("apertus", beside).ropes[0].rope_theta, 777.0);
}

#[test]
fn gemma3_caps_no_scores() {
    same("gemma3_text", json!({"attn_logit_softcapping": 2.0}), json!({}), &["attn_logit_softcapping"]);
    same("gemma3_text", json!({"attn_logit_softcapping": null}), json!({}), &[]);
    assert_eq!(attention(&config("gemma2", json!({"attn_logit_softcapping": 2.0}))).soft_cap, Some(2.0));
}

/// A model of text and images has the head outside of its text.
#[test]
fn the_outer_model_says_whether_the_head_is_tied() {
    for (wrapper, text) in [("gemma3", "gemma3_text"), ("mistral3", "mistral"), ("mistral3", "ministral3")] {
        for outer in [None, Some(true), Some(false)] {
            for inner in [None, Some(true), Some(false)] {
                let mut file = json!({"model_type": wrapper, "text_config": file(text, json!({}))});
                if let Some(outer) = outer {
                    file["tie_word_embeddings"] = outer.into();
                }
                if let Some(inner) = inner {
                    file["text_config"]["tie_word_embeddings"] = inner.into();
                }
                let config = read(&file).expect("a config");
                let tied = outer.unwrap_or(true);
                assert_eq!(config.tie_word_embeddings, tied, "{file}");
                let warned: Vec<_> = config.ignored.iter().map(|field| field.name.as_str()).collect();
                let differs = inner.is_some_and(|inner| inner != tied);
                assert_eq!(warned, if differs { vec!["text_config.tie_word_embeddings"] } else { vec![] }, "{file}");
            }
        }
    }
}

#[test]
fn a_rope_for_each_kind_of_layer() {
    for (family, theta) in [("olmo3", 5e5), ("gemma3_text", 1e6)] {
        let flat = |object: Value| json!({ "rope_parameters": object });
        let yarn = json!({"rope_type": "yarn", "factor": 8.0, "rope_theta": 777.0});
        let [kind, factor, base] = ["rope_type", "factor", "rope_theta"].map(|name| format!("rope_parameters.{name}"));
        same(family, flat(yarn), json!({}), &[&kind, &factor, &base]);
        same(family, flat(json!({"rope_type": "default", "rope_theta": theta})), json!({}), &[]);
        let nested =
            |outer: Value| json!({"rope_theta": 777, "rope_parameters": {"rope_theta": outer, "full_attention": {}}});
        same(family, nested(json!(888)), json!({"rope_theta": 777}), &[&base]);

        let linear = |key: &str| json!({"rope_scaling": {key: "linear", "factor": 4.0}});
        same(family, linear("type"), json!({}), &["rope_scaling.type", "rope_scaling.factor"]);
        let ropes = config(family, linear("rope_type")).ropes;
        assert_eq!(ropes.iter().map(|rope| rope.scaling.name()).collect::<Vec<_>>(), ["linear", "default"]);

        let yarn = json!({"rope_type": "yarn", "factor": 8.0});
        let not_cut = json!({"rope_type": "yarn", "factor": 8.0, "truncate": false});
        let full = |yarn: &Value| json!({"rope_parameters": {"full_attention": yarn}});
        same(family, full(&not_cut), full(&yarn), &["rope_parameters.full_attention.truncate"]);
        let old = |yarn: &Value| json!({ "rope_scaling": yarn });
        same(family, old(&not_cut), old(&yarn), &["rope_scaling.truncate"]);
        let beside = json!({"rope_scaling": yarn, "original_max_position_embeddings": 32});
        same(family, beside, old(&yarn), &["original_max_position_embeddings"]);
    }
    same("olmo3", json!({"rope_local_base_freq": 777}), json!({}), &["rope_local_base_freq"]);
    assert_eq!(config("gemma3_text", json!({"rope_local_base_freq": 777})).ropes[1].rope_theta, 777.0);
}

/// Published, and without effect.
#[test]
fn recurrent_gemma_goes_by_rope_theta() {
    same("recurrent_gemma", json!({"rotary_emb_base": 500}), json!({}), &[]);
}
