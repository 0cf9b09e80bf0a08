//! A text that grows to where Phi-3's angles change is read again: every token follows from one pass over all before it.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_attention::{NextTokens, Sequences, Unobserved};
use glass_config::LlamaConfig;
use glass_generate::{
    BeamOptions, GenerateOptions, Llama, Progress, beam_search, generate, log_softmax_at, sampling::argmax,
};
use glass_kv_cache::CacheConfig;
use glass_testing::devices;
use serde_json::json;

use crate::{fixture, random_model};

/// Tokens that a text has before its angles change.
const SHORT: usize = 16;

fn config(family: &str) -> LlamaConfig {
    let fields = json!({"model_type": family, "vocab_size": 97, "hidden_size": 32, "intermediate_size": 48,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64,
        "original_max_position_embeddings": SHORT, "initializer_range": 0.3, "rope_parameters": {"rope_type": "longrope",
        "rope_theta": 1e4, "original_max_position_embeddings": SHORT, "short_factor": [1.0, 1.2, 1.5, 2.0],
        "long_factor": [4.0, 7.0, 11.0, 19.0]}});
    LlamaConfig::from_json(&fields.to_string(), family, &[]).expect("a config")
}

/// The logits behind `ids`, from one pass over all.
fn logits_behind(llama: &Llama, ids: &[u32]) -> Vec<f32> {
    let cache = &mut llama.cache(CacheConfig::default()).expect("a cache");
    let next = NextTokens { cache, tokens: ids.len() };
    let row = fixture::ids(llama, &[ids.to_vec()]);
    let logits = llama.model.forward(row, Sequences::Next(&mut [next]), &mut Unobserved).expect("a pass");
    fixture::host(logits).values.split_off((ids.len() - 1) * llama.config.vocab_size)
}

fn go_on(_: Progress<'_>) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// `new` tokens behind the prompt, each from one pass over all before it.
fn by_whole_passes(llama: &Llama, prompt: &[u32], new: usize) -> Vec<u32> {
    let mut ids = prompt.to_vec();
    for _ in 0..new {
        ids.push(argmax(&logits_behind(llama, &ids)).expect("logits"));
    }
    ids.split_off(prompt.len())
}

#[test]
fn phi3_reads_a_text_again_where_its_angles_change() {
    let prompt = random_model::tokens(SHORT - 4, 3);
    for device in devices::all() {
        let [llama, other] = ["phi3", "llama"].map(|family| random_model::llama(&config(family), 5, &device));
        for draft in [0, 3] {
            let options = GenerateOptions { prompt_lookup: NonZeroUsize::new(draft), ..GenerateOptions::new(12) };
            let text = |llama| generate(llama, &prompt, &options, &mut go_on).expect("a text").ids;
            let who = format!("drafts of {draft} on {}", device.name());
            assert_eq!(text(&llama), by_whole_passes(&llama, &prompt, 12), "{who}");
            // Others keep the keys that they have.
            assert_ne!(text(&other), by_whole_passes(&other, &prompt, 12), "{who}");
        }

        let options = BeamOptions::new(NonZeroUsize::new(3).expect("not zero"), 8);
        let found = beam_search(&llama, &prompt, &options, &mut go_on).expect("a search");
        let best = &found.sequences[0];
        let (mut ids, mut expected) = (prompt.clone(), 0.0);
        for &id in &best.ids {
            expected += log_softmax_at(&logits_behind(&llama, &ids), id);
            ids.push(id);
        }
        let off = (best.log_prob - expected).abs();
        assert!(off < 1e-3, "{} is not {expected} on {}", best.log_prob, device.name());
    }
}
