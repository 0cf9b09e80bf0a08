//! Scaled dot-product attention over grouped heads, written like its papers.

use std::ops::Range;

use burn::tensor::{Bool, DType, Tensor, activation::softmax};
use glass_backend::{AttentionParams, KernelSet};
use glass_kv_cache::{AttendsFrom, KvSegment, KvView, Window, join, narrow};

use crate::ForwardContext;

/// Queries, and the positions that they stand at.
pub struct Queries {
    /// `[batch, heads, queries, head_dim]`, rotated
    pub q: Tensor<4>,
    /// The same, rotated for the segments that they attend to from another place ([`KvSegment::attends_from`]).
    pub moved: Vec<(AttendsFrom, Tensor<4>)>,
    pub positions: Range<usize>,
}

impl Queries {
    /// Those at these positions.
    fn at(&self, positions: Range<usize>) -> Self {
        let cut = |q: &Tensor<4>| narrow(q.clone(), positions.start - self.positions.start, positions.len());
        let moved = self.moved.iter().map(|(from, q)| (*from, cut(q))).collect();
        Self { q: cut(&self.q), moved, positions }
    }
}

/// The queries as rotated for this segment alone, out of those that were moved; `None`: as for most.
fn moved_for(moved: &[(AttendsFrom, Tensor<4>)], segment: &KvSegment) -> Option<Tensor<4>> {
    let from = segment.attends_from?;
    moved.iter().find(|(of, _)| *of == from).map(|(_, q)| q.clone())
}

/// `softmax(scale q k^T + mask) v` over the keys that each query sees, and the probabilities where they are wanted.
///
/// Vaswani et al. 2017, arXiv:1706.03762, with the grouped queries of Ainslie et al. 2023, arXiv:2305.13245: query head `h`
/// reads key/value head `h / groups`. The device's kernel computes it where there is one. The plain version computes blocks
/// of queries, so that the scores of a block fit into the budget of the pass.
///
/// -> `[batch, queries, heads * head_dim]`, and `[batch, heads, queries, keys]`
pub fn attend(
    queries: &Queries,
    kv: &KvView,
    params: &AttentionParams,
    kernels: KernelSet,
    weights_wanted: bool,
    ctx: &ForwardContext<'_>,
) -> (Tensor<3>, Option<Tensor<4>>) {
    let plain = weights_wanted || ctx.padding().is_some() || ctx.dropouts().attention.p > 0.0;
    if !plain && let Some(out) = attend_fused(queries, kv, params, kernels) {
        return (out, None); // [batch, queries, heads * head_dim]
    }
    let Range { start, end } = queries.positions.clone();
    let block = if weights_wanted { end - start } else { block_len(queries, kv, ctx.score_bytes()) };
    let blocks = (start..end).step_by(block).map(|from| from..end.min(from + block));
    let (out, mut probabilities): (Vec<_>, Vec<_>) = blocks
        .map(|positions| {
            let seen = kv
                .segments
                .iter()
                .filter_map(|segment| if weights_wanted { Some(segment.clone()) } else { segment.seen_by(&positions) });
            attend_plain(&queries.at(positions.clone()), &seen.collect::<Vec<_>>(), params, ctx)
        })
        .unzip();
    let probabilities = weights_wanted.then(|| probabilities.swap_remove(0));
    let out = join(out); // [batch, heads, queries, head_dim]
    let [batch, heads, queries, head_dim] = out.dims();
    (out.swap_dims(1, 2).reshape([batch, queries, heads * head_dim]), probabilities)
}

/// The definition, for one block of queries.
///
/// -> `[batch, heads, queries, head_dim]`, and the probabilities `[batch, heads, queries, keys]`. A query that
/// sees no key (padding) gets the plain mean of the values: finite, and never read.
fn attend_plain(
    queries: &Queries,
    segments: &[KvSegment],
    params: &AttentionParams,
    ctx: &ForwardContext<'_>,
) -> (Tensor<4>, Tensor<4>) {
    let dtype = queries.q.dtype();
    let logits = segments.iter().map(|segment| {
        let q = moved_for(&queries.moved, segment).unwrap_or_else(|| queries.q.clone());
        let scores = scores(q, segment.k.floats().cast(dtype), params); // [batch, heads, queries, segment's keys]
        match ctx.hidden_mask(segment, &queries.positions) {
            Some(hidden) => mask(scores, hidden),
            None => scores,
        }
    });
    let logits = concat(logits.collect(), 3); // [batch, heads, queries, keys]
    let probabilities = probabilities(logits, params.sinks.as_ref()).cast(dtype); // [batch, heads, queries, keys]
    let values = segments.iter().map(|segment| segment.v.floats().cast(dtype)); // keys and values may be kept in fewer bits
    let v = concat(values.collect(), 2); // [batch, kv_heads, keys, head_dim]
    let weights = ctx.dropouts().attention.apply(probabilities.clone());
    (weighted_sum(weights, v), probabilities)
}

/// How well each query fits each key: `scale q k^T`, capped softly where the family asks for it
/// (`cap tanh(score / cap)`, Gemma 2, arXiv:2408.00118, section 2).
///
/// `q` `[batch, heads, seq, head_dim]`, `k` `[batch, kv_heads, keys, head_dim]` -> `[batch, heads, seq, keys]`, float32
pub fn scores(q: Tensor<4>, k: Tensor<4>, params: &AttentionParams) -> Tensor<4> {
    let [batch, heads, seq, head_dim] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    let groups = heads / kv_heads;

    // Keys are not repeated: the queries of a group are rows of one matrix.
    let q = (q * params.scale).reshape([batch, kv_heads, groups * seq, head_dim]);
    let scores = q.matmul(k.swap_dims(2, 3)); // [batch, kv_heads, groups * seq, keys]
    let scores = scores.reshape([batch, heads, seq, keys]).cast(DType::F32);
    match params.soft_cap {
        Some(cap) => (scores / cap).tanh() * cap,
        None => scores,
    }
}

/// `scores` `[batch, heads, seq, keys]`, `hidden` `[batch or 1, 1, seq, keys]` -> as `scores`
pub fn mask(scores: Tensor<4>, hidden: Tensor<4, Bool>) -> Tensor<4> {
    let shape = scores.dims();
    scores.mask_fill(hidden.expand(shape), f32::MIN)
}

/// Softmax over the keys. A learned sink is one more logit of each head that takes probability and has no value (gpt-oss,
/// arXiv:2508.10925).
///
/// `logits` `[batch, heads, seq, keys]`, `sinks` `[heads]` -> as `logits`
pub fn probabilities(logits: Tensor<4>, sinks: Option<&Tensor<1>>) -> Tensor<4> {
    let Some(sinks) = sinks else {
        return softmax(logits, 3);
    };
    let [batch, heads, seq, keys] = logits.dims();
    let sinks = sinks.clone().cast(DType::F32).reshape([1, heads, 1, 1]);
    let sinks = sinks.expand([batch, heads, seq, 1]);
    softmax(Tensor::cat(vec![logits, sinks], 3), 3).narrow(3, 0, keys)
}

/// The values, weighted by their probabilities.
///
/// `weights` `[batch, heads, seq, keys]`, `v` `[batch, kv_heads, keys, head_dim]` -> `[batch, heads, seq, head_dim]`
pub fn weighted_sum(weights: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let [batch, heads, seq, keys] = weights.dims();
    let [_, kv_heads, _, head_dim] = v.dims();
    let groups = heads / kv_heads;

    let grouped = weights.reshape([batch, kv_heads, groups * seq, keys]);
    let sum = grouped.matmul(v); // [batch, kv_heads, groups * seq, head_dim]
    sum.reshape([batch, heads, seq, head_dim])
}

/// The same in the device's kernel: it visits the keys that a query sees, and makes no scores.
fn attend_fused(queries: &Queries, kv: &KvView, params: &AttentionParams, kernels: KernelSet) -> Option<Tensor<3>> {
    kernels.attend(&queries.q, &for_kernel(kv, &queries.moved)?, queries.positions.start, params)
}

/// The segments as kernels take them; `moved` are the queries as rotated for some of them.
pub(crate) fn for_kernel(kv: &KvView, moved: &[(AttendsFrom, Tensor<4>)]) -> Option<Vec<glass_backend::KvSegment>> {
    kv.segments.iter().map(|segment| segment.for_kernel(moved_for(moved, segment))).collect()
}

/// Queries whose scores fit into `score_bytes`. The block of a sliding layer is about as long as its window, so that its
/// scores cost `O(seq * W)`.
fn block_len(queries: &Queries, kv: &KvView, score_bytes: usize) -> usize {
    let [batch, heads, len, _] = queries.q.dims();
    let end = queries.positions.end;
    let budget = (score_bytes / size_of::<f32>() / (batch * heads).max(1)).max(1);
    let window = kv.segments.last().map_or(Window::Full, |segment| segment.window);
    let mut block = match window.span() {
        None => budget / end,
        Some(w) => w.max(128),
    };
    if let Some(w) = window.span() {
        while block > 1 && block.saturating_mul(block + w.min(end)) > budget {
            block /= 2;
        }
    }
    block.clamp(1, len.max(1))
}

/// Tokens of several texts, or of parts of one, `[batch, seq of each, width]` -> `[batch, seq of all, width]`
pub(crate) fn one_behind_the_other(parts: Vec<Tensor<3>>) -> Tensor<3> {
    concat(parts, 1)
}

fn concat<const D: usize>(mut parts: Vec<Tensor<D>>, dim: usize) -> Tensor<D> {
    if parts.len() == 1 { parts.swap_remove(0) } else { Tensor::cat(parts, dim) }
}
