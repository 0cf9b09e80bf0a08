//! The definition of every policy in float64: which states a query sees, at which positions, and what is forgotten.

use glass_attention::Rope;
use glass_config::DualChunk;
use glass_kv_cache::CachePolicy;

/// What a family may change about scores.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scores {
    pub soft_cap: Option<f64>,
    /// Logits of learned sinks, one per head.
    pub sinks: Option<[f32; crate::HEADS]>,
    /// Positions within chunks.
    pub dual_chunk: Option<DualChunk>,
}

/// Queries, keys and values of one layer, not rotated: `[heads or kv_heads][seq][head_dim]`.
pub struct Heads {
    pub q: Vec<Vec<Vec<f64>>>,
    pub k: Vec<Vec<Vec<f64>>>,
    pub v: Vec<Vec<Vec<f64>>>,
}

/// The output `[seq][heads][head_dim]`, and how near the state that was dropped was to being another (infinite where nothing
/// was dropped).
pub struct Expected {
    pub mixed: Vec<Vec<Vec<f64>>>,
    pub margin: f64,
}

/// One token after the other, each attending to what its policy has kept.
pub fn run(row: &Heads, policy: CachePolicy, own_window: Option<usize>, rope: &Rope, rules: Scores) -> Expected {
    let heads = row.q.len();
    let groups = heads / row.k.len();
    let head_dim = row.q[0][0].len();
    let seq = row.q[0].len();
    let mut kept: Vec<usize> = Vec::new();
    let mut expected = Expected { mixed: Vec::new(), margin: f64::INFINITY };
    for token in 0..seq {
        kept.push(token);
        let own = own_window.unwrap_or(usize::MAX);
        let visible: Vec<usize> = kept.iter().copied().filter(|&j| token - j < own).collect();
        let visible: Vec<usize> = match policy {
            CachePolicy::Ring { window: Some(w) } => visible.into_iter().filter(|&j| token - j < w.get()).collect(),
            CachePolicy::StreamingLlm { sinks, window } => {
                kept.iter().copied().filter(|&j| j < sinks.get() || token - j < window.get()).collect()
            }
            _ => visible,
        };
        // StreamingLLM counts positions within the cache; all others have them from the text.
        let places = |index: usize, j: usize| match policy {
            CachePolicy::StreamingLlm { .. } => (visible.len() - 1, index),
            _ => rules.dual_chunk.map_or((token, j), |dual| in_chunks(dual, token, j)),
        };
        let factor = rules.dual_chunk.map_or(1.0, |dual| match dual.original_max_position_embeddings {
            Some(trained) if token + 1 > trained => 0.1 * ((token + 1) as f64 / trained as f64).ln() + 1.0,
            _ => 1.0,
        });
        let mut attention = vec![0.0; visible.len()];
        let mut out = Vec::new();
        for head in 0..heads {
            let mut q = (None, Vec::new()); // rotated by the place that it was last asked for
            let scores: Vec<f64> = visible
                .iter()
                .enumerate()
                .map(|(index, &j)| {
                    let (query_place, key_place) = places(index, j);
                    if q.0 != Some(query_place) {
                        q = (Some(query_place), rotated(&row.q[head][token], query_place, rope));
                    }
                    let k = rotated(&row.k[head / groups][j], key_place, rope);
                    let score = factor * dot(&q.1, &k) / (head_dim as f64).sqrt();
                    rules.soft_cap.map_or(score, |cap| cap * (score / cap).tanh())
                })
                .collect();
            let weights = softmax(&scores, rules.sinks.map(|sinks| f64::from(sinks[head])));
            let mut mixed = vec![0.0; head_dim];
            for ((share, &j), sum) in weights.iter().zip(&visible).zip(&mut attention) {
                *sum += share / heads as f64;
                for (m, v) in mixed.iter_mut().zip(&row.v[head / groups][j]) {
                    *m += share * v;
                }
            }
            out.push(mixed);
        }
        expected.mixed.push(out);
        if let CachePolicy::Tova { states } = policy
            && kept.len() > states.get()
        {
            // What the layer's window hides is attended to least of all.
            match kept.iter().position(|j| !visible.contains(j)) {
                Some(hidden) => {
                    kept.remove(hidden);
                }
                None => {
                    let mut order: Vec<usize> = (0..kept.len()).collect();
                    order.sort_by(|&a, &b| attention[a].total_cmp(&attention[b]));
                    let margin = attention[order[1]] - attention[order[0]];
                    expected.margin = expected.margin.min(margin);
                    kept.remove(order[0]);
                }
            }
        }
    }
    expected
}

/// Where query i and key j stand in each other's eyes: An et al. 2024, arXiv:2402.17463, sections 3.1 to 3.3. A chunk has s
/// tokens, and c is the largest place of a query.
fn in_chunks(dual: DualChunk, i: usize, j: usize) -> (usize, usize) {
    let (s, c) = (dual.chunk_size - dual.local_size, dual.chunk_size);
    let query = match i / s - j / s {
        0 => i % s,
        1 => (s + i % s).min(c),
        _ => (s + s - 1).min(c),
    };
    (query, j % s)
}

fn rotated(x: &[f64], place: usize, rope: &Rope) -> Vec<f64> {
    let half = x.len() / 2;
    let scaling = rope.parameters().attention_scaling();
    let mut turned = vec![0.0; x.len()];
    for (i, frequency) in rope.parameters().inv_freq(x.len(), 1).iter().enumerate() {
        let (sin, cos) = (place as f64 * frequency).sin_cos();
        turned[i] = (x[i] * cos - x[i + half] * sin) * scaling;
        turned[i + half] = (x[i + half] * cos + x[i] * sin) * scaling;
    }
    turned
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// The probabilities of these scores beside that of a sink.
fn softmax(scores: &[f64], sink: Option<f64>) -> Vec<f64> {
    let max = scores.iter().copied().chain(sink).fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = scores.iter().map(|score| (score - max).exp()).collect();
    let sum: f64 = weights.iter().sum::<f64>() + sink.map_or(0.0, |sink| (sink - max).exp());
    weights.iter().map(|weight| weight / sum).collect()
}
