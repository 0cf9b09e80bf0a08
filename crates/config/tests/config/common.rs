//! A small valid file of each family, to be changed one field at a time.

use std::num::NonZeroUsize;

use glass_config::{AttentionConfig, ConfigError, DenseMlpConfig, LlamaConfig, MlpConfig, Override, RopeScaling};
use serde_json::{Value, json};

/// Every `model_type`, as errors list them.
pub const FAMILIES: &str = "llama, mistral, qwen2, qwen3, gemma, gemma2, gemma3_text, smollm3, phi3, exaone, exaone4, hyperclovax, olmo2, olmo3, granite, ministral3, mixtral, qwen2_moe, qwen3_moe, gpt_oss, cohere2, glm, glm4, stablelm, starcoder2, arcee, seed_oss, helium, nemotron, apertus, mamba, samba, retnet, falcon_mamba, mamba2, jamba, recurrent_gemma";

/// A file that holds what every file must, and nothing else.
pub fn minimal(model_type: &str) -> Value {
    json!({
        "model_type": model_type, "vocab_size": 128, "hidden_size": 48, "intermediate_size": 96,
        "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    })
}

/// `minimal` with `changes` laid over it.
pub fn file(model_type: &str, changes: Value) -> Value {
    let mut file = minimal(model_type);
    let (Value::Object(fields), Value::Object(changes)) = (&mut file, changes) else {
        panic!("both are objects");
    };
    fields.extend(changes);
    file
}

pub fn read_with(file: &Value, overrides: &[&str]) -> Result<LlamaConfig, ConfigError> {
    let overrides: Vec<Override> = overrides.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
    LlamaConfig::from_json(&file.to_string(), "config.json", &overrides)
}

pub fn read(file: &Value) -> Result<LlamaConfig, ConfigError> {
    read_with(file, &[])
}

/// Each change to a small valid file, and the line it gets after `config.json: `.
pub fn check(family: &str, cases: &[(Value, &str)]) {
    for (changes, expected) in cases {
        match read(&file(family, changes.clone())) {
            Ok(_) => panic!("{changes} was accepted"),
            Err(error) => assert_eq!(error.to_string(), format!("config.json: {expected}")),
        }
    }
}

/// The attention of the first layer.
pub fn attention(config: &LlamaConfig) -> AttentionConfig {
    *config.layers[0].attention().expect("attention")
}

/// The MLP of the first layer.
pub fn mlp(config: &LlamaConfig) -> DenseMlpConfig {
    let Some(MlpConfig::Dense(mlp)) = config.layers[0].mlp else { panic!("experts") };
    mlp
}

/// The window of each layer.
pub fn windows(config: &LlamaConfig) -> Vec<Option<usize>> {
    let layers = config.layers.iter();
    layers.map(|layer| layer.attention()?.window.map(NonZeroUsize::get)).collect()
}

/// The scaling of the one rotation.
pub fn scaling(config: &LlamaConfig) -> RopeScaling {
    let [rope] = config.ropes.as_slice() else { panic!("one rotation: {:?}", config.ropes) };
    rope.scaling.clone()
}
