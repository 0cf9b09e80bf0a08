//! What a pass must at least read and compute, from the config alone.

use std::{num::NonZeroUsize, ops::Range};

use glass_attention::Step;
use glass_backend::{
    KvDtype,
    WeightRole::{Keys, MlpOutput, Projection, ResidualProjection, Values},
};
use glass_config::{AttentionConfig, LayerConfig, LlamaConfig, MlpConfig};

use crate::Precision;

/// Numbers of weights that a pass over `tokens` tokens reads, with the head on its last position: every matrix and every norm
/// once, and of the embedding the tokens' rows. A tied head is the embedding's matrix, which is then read whole. Of experts
/// the chosen ones, as if every token chose others.
pub fn weights_read(config: &LlamaConfig, tokens: usize) -> u64 {
    let vocabulary = config.vocab_size as u64 * config.hidden_size as u64;
    let embedding = if config.tie_word_embeddings { 0 } else { vocabulary };
    let rows = tokens.min(config.vocab_size) as u64 * config.hidden_size as u64;
    let idle = mlp_weights(config, usize::MAX) - mlp_weights(config, tokens);
    config.num_parameters() as u64 - embedding + rows - idle as u64
}

/// Bytes of weights read for one token of decode.
pub fn bytes_per_token(config: &LlamaConfig, precision: Precision) -> u64 {
    bytes(config, precision, weights_read(config, 1), 1)
}

/// Bytes of all weights.
pub fn weight_bytes(config: &LlamaConfig, precision: Precision) -> u64 {
    bytes(config, precision, config.num_parameters() as u64, usize::MAX)
}

/// Of so many weights: the projections that so many tokens read, the head, and the rest in floating point.
fn bytes(config: &LlamaConfig, precision: Precision, weights: u64, tokens: usize) -> u64 {
    let projections = linear_weights(config, tokens);
    let head = (config.vocab_size * config.hidden_size) as f64;
    let others = weights as f64 - projections - head;
    let matrices = projection_bytes(config, precision, tokens) + head * precision.head_bytes();
    (matrices + others * precision.dtype.bytes() as f64) as u64
}

/// Of all matrices of the layers that so many tokens read.
fn projection_bytes(config: &LlamaConfig, precision: Precision, tokens: usize) -> f64 {
    let (q, kv) = widths(config);
    let of = |role| precision.projection_bytes(config, role);
    let attention = q as f64 * (of(Projection) + of(ResidualProjection)) + kv as f64 * (of(Keys) + of(Values));
    config.hidden_size as f64 * attention
        + mlp_weights(config, tokens) as f64 * mlp_bytes(config, precision)
        + recurrent_weights(config) as f64 * of(Projection)
}

/// Bytes of a weight of an MLP: one of its matrices, or two with a gate, read the residual stream, and one writes to it.
fn mlp_bytes(config: &LlamaConfig, precision: Precision) -> f64 {
    let of = |role| precision.projection_bytes(config, role);
    let is_gated = config.layers.iter().find_map(|layer| layer.mlp).is_none_or(|mlp| match mlp {
        MlpConfig::Dense(mlp) => mlp.is_gated(),
        MlpConfig::Experts(experts) => experts.expert.is_gated(),
    });
    let reading = if is_gated { 2.0 } else { 1.0 };
    (reading * of(Projection) + of(MlpOutput)) / (reading + 1.0)
}

/// Floating-point operations of a pass over `tokens` tokens after `depth` others, with the head on its last position: a
/// multiplication and an addition for each weight of a matrix and each token, and for each pair of a query and a key it sees,
/// in both products of attention. Norms, rotation and softmax are left out, as is usual: they are some parts in a thousand.
pub fn flops(config: &LlamaConfig, depth: usize, tokens: usize) -> f64 {
    let linear = 2.0 * tokens as f64 * linear_weights(config, 1);
    let head = 2.0 * config.vocab_size as f64 * config.hidden_size as f64;
    linear + head + attention_flops(config, depth, tokens)
}

/// Of the two products of attention, in all layers.
pub fn attention_flops(config: &LlamaConfig, depth: usize, tokens: usize) -> f64 {
    let flops = |layer: &AttentionConfig| {
        let pairs = pairs(layer.window, depth, tokens);
        4.0 * layer.q_size() as f64 * pairs
    };
    attentions(config).map(flops).sum()
}

fn attentions(config: &LlamaConfig) -> impl Iterator<Item = &AttentionConfig> {
    config.layers.iter().filter_map(LayerConfig::attention)
}

/// Widths of all layers together: of their queries, and of their keys.
fn widths(config: &LlamaConfig) -> (usize, usize) {
    let q = attentions(config).map(AttentionConfig::q_size).sum();
    let kv = attentions(config).map(AttentionConfig::kv_size).sum();
    (q, kv)
}

/// Weights of all MLPs that `tokens` tokens read, their biases included.
fn mlp_weights(config: &LlamaConfig, tokens: usize) -> usize {
    let layers = config.layers.iter();
    layers.filter_map(|layer| layer.mlp).map(|mlp| mlp.parameters_read(config.hidden_size, tokens)).sum()
}

/// Weights in the matrices of the layers that `tokens` tokens read.
fn linear_weights(config: &LlamaConfig, tokens: usize) -> f64 {
    let hidden = config.hidden_size as f64;
    let (q, kv) = widths(config);
    2.0 * hidden * (q + kv) as f64 + mlp_weights(config, tokens) as f64 + recurrent_weights(config) as f64
}

/// Weights of all recurrent mixers.
fn recurrent_weights(config: &LlamaConfig) -> usize {
    let mixers = config.layers.iter().map(|layer| &layer.mixer).filter(|mixer| mixer.state().is_some());
    mixers.map(|mixer| mixer.num_parameters(config.hidden_size)).sum()
}

/// Pairs of a query and a key that it sees, for `tokens` queries that stand behind `depth` others.
fn pairs(window: Option<NonZeroUsize>, depth: usize, tokens: usize) -> f64 {
    let window = window.map_or(usize::MAX, NonZeroUsize::get);
    // The first query sees depth + 1 keys, each one more than the one before, up to the window.
    let growing = tokens.min(window.saturating_sub(depth));
    let (first, last) = (depth as f64 + 1.0, (depth + growing) as f64);
    let grown = match growing {
        0 => 0.0,
        growing => growing as f64 * (first + last) / 2.0,
    };
    grown + (tokens - growing) as f64 * window as f64
}

/// What one kind of step must at least move and compute, in all layers together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    /// Read and written.
    pub bytes: u64,
    /// Floating-point operations of products; the others are few, and memory is their roof.
    pub flops: f64,
}

/// Of a pass that fills these slots of a cache in type `kept`, with `logits` rows of the head at its end.
pub fn step(
    config: &LlamaConfig,
    precision: Precision,
    kept: KvDtype,
    step: Step,
    slots: Range<usize>,
    logits: usize,
) -> Cost {
    let hidden = config.hidden_size;
    let residuals = config.layers.len() * hidden; // The residual stream, once in each layer.
    let (q, kv) = widths(config);
    let tokens = slots.len();
    // Activations: so many values for each token.
    let moved = |values: usize| values * tokens;
    let matrices = |weights: usize| 2.0 * (weights * tokens) as f64;
    let of = |role| precision.projection_bytes(config, role);
    let in_head = precision.head_bytes();
    let in_embedding = if config.tie_word_embeddings { in_head } else { precision.dtype.bytes() as f64 };
    // Of a token's keys and values in one layer.
    let kv_bytes = |layer: &AttentionConfig| 2 * layer.num_key_value_heads * kept.vector_bytes(layer.head_dim);
    // Bytes of weights and of what is kept, values of activations, and operations.
    let (weights, values, flops) = match step {
        Step::Embedding => ((hidden * tokens) as f64 * in_embedding, hidden * tokens, 0.0),
        Step::Norm => {
            let layers = config.layers.iter();
            let norms: usize = layers.map(|layer| layer.norm_parameters(hidden)).sum();
            let norms = (norms + hidden) * (2 * tokens + 1);
            (0.0, norms + moved(2 * residuals), 0.0)
        }
        Step::Qkv => {
            let weights = (q + 2 * kv) * hidden;
            let bytes = q as f64 * of(Projection) + kv as f64 * (of(Keys) + of(Values));
            (bytes * hidden as f64, moved(residuals + q + 2 * kv), matrices(weights))
        }
        Step::Rope => (0.0, moved(2 * (q + kv)), 0.0),
        Step::Cache => ((tokens * attentions(config).map(kv_bytes).sum::<usize>()) as f64, moved(2 * kv), 0.0),
        Step::Attention => {
            let kept = attentions(config).map(|layer| {
                let seen = |window: NonZeroUsize| slots.end.min(window.get() + tokens - 1);
                kv_bytes(layer) * layer.window.map_or(slots.end, seen)
            });
            let kept: usize = kept.sum();
            let flops = attention_flops(config, slots.start, tokens);
            (kept as f64, moved(2 * q), flops)
        }
        Step::Output => ((q * hidden) as f64 * of(ResidualProjection), moved(q + residuals), matrices(q * hidden)),
        // Of a recurrent mixer all weights are counted where it begins.
        Step::Input => {
            let weights = recurrent_weights(config);
            (weights as f64 * of(Projection), moved(residuals), matrices(weights))
        }
        Step::Conv => (0.0, 0, 0.0),
        // The state is read and written once, and for each token it is multiplied, added to and read out.
        Step::Scan => {
            let states = config.layers.iter().filter_map(|layer| layer.mixer.state());
            let state: usize = states.map(|state| state.len()).sum();
            (8.0 * state as f64, 0, 6.0 * moved(state) as f64)
        }
        Step::Mlp => {
            let weights = mlp_weights(config, tokens) as f64;
            (weights * mlp_bytes(config, precision), moved(2 * residuals), matrices(mlp_weights(config, 1)))
        }
        Step::Residual => (0.0, moved(3 * residuals), 0.0),
        Step::Head => {
            let weights = config.vocab_size * hidden;
            (weights as f64 * in_head, (hidden + config.vocab_size) * logits, 2.0 * (weights * logits) as f64)
        }
    };
    Cost { bytes: weights as u64 + (values * precision.dtype.bytes()) as u64, flops }
}
