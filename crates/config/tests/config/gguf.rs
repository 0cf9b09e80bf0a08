//! What the keys of a GGUF file say of its model.

mod bad;

use std::path::Path;

use glass_config::{LlamaConfig, Override, RopeScaling};
use glass_gguf::{GgmlType, Gguf, GgufError, Metadata, TensorInfo, Value, Writer};

/// A file with these keys, and zeros for tensors but for those of positions.
struct Draft {
    metadata: Metadata,
    tensors: Vec<(String, Vec<usize>, Vec<f32>)>,
}

impl Draft {
    /// What every file must have, and no more.
    fn of(architecture: &str) -> Self {
        let mut draft = Self { metadata: Metadata::new("model.gguf"), tensors: Vec::new() };
        draft.metadata.insert("general.architecture", architecture);
        for (key, value) in [
            ("block_count", 4),
            ("context_length", 128),
            ("embedding_length", 48),
            ("feed_forward_length", 96),
            ("attention.head_count", 4),
            ("attention.head_count_kv", 2),
        ] {
            draft.set(key, value);
        }
        draft.set("attention.layer_norm_rms_epsilon", 1e-5f32);
        if architecture == "granite" {
            draft.set("logit_scale", 4f32);
        }
        draft.tensor("token_embd.weight", &[32, 48])
    }

    fn set(&mut self, key: &str, value: impl Into<Value>) {
        let architecture = self.metadata.string("general.architecture").unwrap().unwrap().to_owned();
        self.metadata.insert(format!("{architecture}.{key}"), value);
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.set(key, value);
        self
    }

    fn without(mut self, key: &str) -> Self {
        self.metadata.remove(key);
        self
    }

    fn tensor(self, name: &str, shape: &[usize]) -> Self {
        let zeros = vec![0.0; shape.iter().product()];
        self.values(name, shape, zeros)
    }

    fn values(mut self, name: &str, shape: &[usize], values: Vec<f32>) -> Self {
        self.tensors.push((name.to_owned(), shape.to_vec(), values));
        self
    }

    fn file(&self) -> Gguf {
        let info = |(name, shape, _): &(String, Vec<usize>, Vec<f32>)| TensorInfo {
            name: name.clone(),
            ty: GgmlType::F32,
            shape: shape.clone(),
        };
        let writer = Writer::new(&self.metadata, self.tensors.iter().map(info).collect()).unwrap();
        let mut bytes = Vec::new();
        let mut values = self.tensors.iter().map(|(.., values)| values);
        writer
            .write(&mut bytes, |_, out| {
                let values = values.next().unwrap().iter().flat_map(|value| value.to_le_bytes());
                out.write_all(&values.collect::<Vec<u8>>()).map_err(GgufError::Write)
            })
            .unwrap();
        Gguf::from_bytes(Path::new("model.gguf"), bytes).unwrap()
    }

    #[track_caller]
    fn config(&self, overrides: &[&str]) -> LlamaConfig {
        let overrides: Vec<Override> = overrides.iter().map(|set| set.parse().unwrap()).collect();
        LlamaConfig::from_gguf(&self.file(), &overrides).unwrap()
    }

    fn error(&self) -> String {
        LlamaConfig::from_gguf(&self.file(), &[]).unwrap_err().to_string()
    }
}

fn windows(config: &LlamaConfig) -> Vec<Option<usize>> {
    let layers = config.layers.iter().filter_map(|layer| layer.attention());
    layers.map(|attention| attention.window.map(|window| window.get())).collect()
}

#[test]
fn keys_are_the_fields_of_the_family() {
    let config = Draft::of("llama").with("rope.freq_base", 5e5f32).config(&[]);
    let text = r#"{"model_type": "llama", "vocab_size": 32, "hidden_size": 48, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 12,
        "rms_norm_eps": 1e-5, "max_position_embeddings": 128, "tie_word_embeddings": true, "rope_theta": 500000.0,
        "bos_token_id": null, "eos_token_id": null}"#;
    assert_eq!(config, LlamaConfig::from_json(text, "config.json", &[]).unwrap());
    // A head of its own, biases: by their tensors.
    let draft = Draft::of("llama").tensor("output.weight", &[32, 48]).tensor("blk.0.attn_q.bias", &[48]);
    let config = draft.config(&[]);
    assert!(!config.tie_word_embeddings && config.layers[0].attention().unwrap().bias.q_k_v);
}

#[test]
fn every_architecture_is_read() {
    for (architecture, family) in [
        ("llama", "llama"),
        ("qwen2", "qwen2"),
        ("qwen3", "qwen3"),
        ("gemma", "gemma"),
        ("gemma2", "gemma2"),
        ("gemma3", "gemma3_text"),
        ("phi3", "phi3"),
        ("smollm3", "smollm3"),
        ("granite", "granite"),
        ("olmo2", "olmo2"),
        ("exaone4", "exaone4"),
    ] {
        let config = Draft::of(architecture).config(&[]);
        assert_eq!(config.model_type.to_string(), family);
        assert_eq!(config.gguf_architecture().unwrap().name(), architecture);
        assert_eq!(config.ignored, [], "{family}");
        config.validate().unwrap();
    }
    for (architecture, family) in [("llama", "mixtral"), ("qwen3moe", "qwen3_moe"), ("gpt-oss", "gpt_oss")] {
        let draft = Draft::of(architecture).with("expert_count", 8u32).with("expert_used_count", 2u32);
        let config = draft.with("expert_feed_forward_length", 96u32).config(&[]);
        assert_eq!(config.model_type.to_string(), family);
        config.validate().unwrap();
    }
}

#[test]
fn windows_are_where_the_architecture_has_them() {
    let w = Some(16);
    let slides = |architecture: &str| {
        let draft = Draft::of(architecture).with("attention.sliding_window", 16u32);
        let experts = draft.with("expert_count", 8u32).with("expert_used_count", 2u32);
        experts.with("block_count", 6u32)
    };
    assert_eq!(windows(&slides("gemma2").config(&[])), [w, None, w, None, w, None]);
    assert_eq!(windows(&slides("gemma3").config(&[])), [w, w, w, w, w, None]);
    assert_eq!(windows(&slides("gpt-oss").config(&[])), [w, None, w, None, w, None]);
    assert_eq!(windows(&slides("exaone4").config(&[])), [w, w, w, None, w, w]);
    assert_eq!(windows(&slides("phi3").config(&[])), [w; 6]);
    let olmo = slides("olmo2").config(&[]);
    assert_eq!((windows(&olmo), olmo.model_type.to_string().as_str()), (vec![w, w, w, None, w, w], "olmo3"));
    // Said in the file.
    let pattern = vec![false, true, false, true, true, false];
    let said = slides("gemma3").with("attention.sliding_window_pattern", pattern);
    assert_eq!(windows(&said.config(&[])), [None, w, None, w, w, None]);
    assert_eq!(
        windows(&slides("gemma3").with("attention.sliding_window_pattern", 3u32).config(&[])),
        [w, w, None, w, w, None]
    );
    // None at all.
    assert_eq!(windows(&Draft::of("gemma3").config(&[])), [None; 4]);
    // Mistral's files do not say it.
    assert_eq!(windows(&Draft::of("llama").config(&["sliding_window=16"])), [w; 4]);
}

/// Divisors as llama.cpp's converter makes them, in its own words.
fn divisors(theta: f64, dim: usize, (factor, low, high, original): (f64, f64, f64, f64)) -> Vec<f32> {
    (0..dim / 2)
        .map(|i| {
            let wave = 2.0 * std::f64::consts::PI * theta.powf(2.0 * i as f64 / dim as f64);
            if wave < original / high {
                return 1.0;
            }
            let kept = ((original / wave - low) / (high - low)).max(0.0);
            (1.0 / ((1.0 - kept) / factor + kept)) as f32
        })
        .collect()
}

#[test]
fn divisors_of_frequencies_are_llama3_again() {
    for parameters in
        [(8.0, 1.0, 4.0, 8192.0), (32.0, 1.0, 4.0, 8192.0), (4.0, 1.0, 4.0, 64.0), (16.0, 1.0, 2.0, 300.0)]
    {
        let divisors = divisors(5e5, 64, parameters);
        let draft = Draft::of("llama").with("attention.key_length", 64u32).with("rope.freq_base", 5e5f32);
        let config = draft.values("rope_freqs.weight", &[32], divisors.clone()).config(&[]);
        let RopeScaling::Llama3(scaling) = &config.ropes[0].scaling else {
            panic!("{parameters:?} became {:?}", config.ropes[0].scaling)
        };
        let found = (
            scaling.factor,
            scaling.low_freq_factor,
            scaling.high_freq_factor,
            scaling.original_max_position_embeddings as f64,
        );
        assert_eq!(found, parameters);
    }
}

#[test]
fn other_divisors_are_taken_as_they_are() {
    let divisors: Vec<f32> = (0..6).map(|i| 1.0 + (i * i) as f32).collect();
    let config = Draft::of("llama").values("rope_freqs.weight", &[6], divisors.clone()).config(&[]);
    let rope = &config.ropes[0];
    assert_eq!(rope.attention_scaling(), 1.0);
    for length in [1, 128, 100_000] {
        let plain = (0..6).map(|i| 1e4f64.powf(-(2.0 * i as f64) / 12.0));
        let expected = plain.zip(&divisors).map(|(frequency, &divisor)| frequency / f64::from(divisor));
        for (found, expected) in rope.inv_freq(12, length).iter().zip(expected) {
            assert!((found / expected - 1.0).abs() < 1e-12);
        }
    }
}

#[test]
fn positions_are_what_the_keys_say() {
    let scaled = |kind: &str| Draft::of("qwen2").with("rope.scaling.type", kind).with("rope.scaling.factor", 4f32);
    let name = |draft: Draft| draft.config(&[]).ropes[0].scaling.name();
    assert_eq!(name(scaled("linear")), "linear");
    assert_eq!(name(scaled("yarn").with("rope.scaling.original_context_length", 32u32)), "yarn");
    assert_eq!(name(scaled("none")), "default");
    // Of Gemma 3, only full layers are scaled, and sliding ones have a base of their own.
    let gemma = Draft::of("gemma3").with("rope.freq_base", 1e6f32).with("rope.scaling.type", "linear");
    let gemma = gemma.with("rope.scaling.factor", 8f32).with("attention.sliding_window", 16u32).config(&[]);
    let ropes: Vec<_> = gemma.ropes.iter().map(|rope| (rope.rope_theta, rope.scaling.name())).collect();
    assert_eq!(ropes, [(1e6, "linear"), (1e4, "default")]);
    // A part of a head.
    let phi = Draft::of("phi3").with("rope.dimension_count", 6u32).config(&[]);
    assert_eq!(phi.ropes[0].rotary_dim(12), 6);
    let long = Draft::of("phi3").with("rope.scaling.original_context_length", 64u32);
    let long = long.with("rope.scaling.attn_factor", 1.25f32);
    let [longs, shorts] = [2.0, 1.5].map(|divisor| vec![divisor; 6]);
    let long = long.values("rope_factors_long.weight", &[6], longs).values("rope_factors_short.weight", &[6], shorts);
    let rope = &long.config(&[]).ropes[0];
    assert_eq!((rope.scaling.name(), rope.attention_scaling()), ("longrope", 1.25));
    // As in llama.cpp, an absent factor is 1.
    assert_eq!(long.without("phi3.rope.scaling.attn_factor").config(&[]).ropes[0].attention_scaling(), 1.0);
}

#[test]
fn multipliers_and_caps_are_what_the_keys_say() {
    let granite = Draft::of("granite").with("logit_scale", 8f32).with("residual_scale", 0.22f32).config(&[]);
    assert_eq!((granite.logits_multiplier, granite.layers[0].residual_multiplier), (0.125, 0.22));
    let attention = granite.layers[0].attention().unwrap();
    assert_eq!((granite.embedding_multiplier, attention.scale), (1.0, 12f64.powf(-0.5)));
    let gemma = Draft::of("gemma2").with("attn_logit_softcapping", 9f32).with("final_logit_softcapping", 7f32);
    let gemma = gemma.config(&[]);
    assert_eq!((gemma.layers[0].attention().unwrap().soft_cap, gemma.logits_soft_cap), (Some(9.0), Some(7.0)));
}

#[test]
fn what_is_not_honoured_is_said() {
    let mut draft = Draft::of("llama").with("pooling_type", 1u32).with("rope.scaling.finetuned", false);
    draft.metadata.insert("general.name", "a model");
    draft.metadata.insert("bert.context_length", 5u32);
    let names =
        |fields: Vec<glass_config::IgnoredField>| fields.into_iter().map(|field| field.name).collect::<Vec<_>>();
    assert_eq!(names(draft.config(&[]).ignored), ["llama.pooling_type", "bert.context_length"]);
    let harmless = names(LlamaConfig::harmless_keys(&draft.file(), &[]).unwrap());
    assert_eq!(harmless.iter().filter(|name| name.contains('.')).collect::<Vec<_>>(), ["llama.rope.scaling.finetuned"]);
}
