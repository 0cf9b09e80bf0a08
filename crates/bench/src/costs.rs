//! What a pass must at least read and compute, from the config alone.

use glass_backend::Dtype;
use glass_config::{LayerType, LlamaConfig};

/// Numbers of weights that a pass over `tokens` tokens reads, with the head on its last position: every matrix and every norm
/// once, and of the embedding the tokens' rows. A tied head is the embedding's matrix, which is then read whole.
pub fn weights_read(config: &LlamaConfig, tokens: usize) -> u64 {
    let vocabulary = config.vocab_size as u64 * config.hidden_size as u64;
    let beside = match config.tie_word_embeddings {
        true => 0,
        false => vocabulary,
    };
    let rows = tokens.min(config.vocab_size) as u64 * config.hidden_size as u64;
    config.num_parameters() as u64 - beside + rows
}

/// Bytes of weights read for one token of decode.
pub fn bytes_per_token(config: &LlamaConfig, dtype: Dtype) -> u64 {
    weights_read(config, 1) * dtype.bytes() as u64
}

/// Bytes of all weights.
pub fn weight_bytes(config: &LlamaConfig, dtype: Dtype) -> u64 {
    config.num_parameters() as u64 * dtype.bytes() as u64
}

/// Floating-point operations of a pass over `tokens` tokens after `depth` others, with the head on its last position: a
/// multiplication and an addition for each weight of a matrix and each token, and for each pair of a query and a key it sees,
/// in both products of attention. Norms, rotation and softmax are left out, as is usual: they are some parts in a thousand.
pub fn flops(config: &LlamaConfig, depth: usize, tokens: usize) -> f64 {
    let layer = linear_weights(config);
    let linear = 2.0 * tokens as f64 * layer * config.num_hidden_layers as f64;
    let head = 2.0 * config.vocab_size as f64 * config.hidden_size as f64;
    linear + head + attention_flops(config, depth, tokens)
}

/// Of the two products of attention, in all layers.
pub fn attention_flops(config: &LlamaConfig, depth: usize, tokens: usize) -> f64 {
    let pairs = config
        .layer_types
        .iter()
        .map(|&layer| pairs(layer, depth, tokens));
    4.0 * config.q_size() as f64 * pairs.sum::<f64>()
}

/// Weights in the matrices of one layer.
fn linear_weights(config: &LlamaConfig) -> f64 {
    let hidden = config.hidden_size as f64;
    let attention = 2.0 * hidden * (config.q_size() + config.kv_size()) as f64;
    attention + 3.0 * hidden * config.intermediate_size as f64
}

/// Pairs of a query and a key that it sees, for `tokens` queries that stand behind `depth` others.
fn pairs(layer: LayerType, depth: usize, tokens: usize) -> f64 {
    let window = match layer {
        LayerType::Full => usize::MAX,
        LayerType::Sliding { window } => window.get(),
    };
    // The first query sees depth + 1 keys, each one more than the one before, up to the window.
    let growing = tokens.min(window.saturating_sub(depth));
    let (first, last) = (depth as f64 + 1.0, (depth + growing) as f64);
    let grown = match growing {
        0 => 0.0,
        growing => growing as f64 * (first + last) / 2.0,
    };
    grown + (tokens - growing) as f64 * window as f64
}
