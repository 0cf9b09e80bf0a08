//! Scaled dot-product attention over grouped heads, written like its papers.

use burn::tensor::{Bool, DType, Tensor, activation::softmax};

use crate::Dropout;

/// `softmax(q k^T / sqrt(head_dim)) v`, and the probabilities.
///
/// Vaswani et al. 2017, arXiv:1706.03762, with the grouped queries of Ainslie et al. 2023, arXiv:2305.13245: query
/// head `h` reads key/value head `h / groups`. Keys are not repeated for it: the queries of one group stand
/// below each other as rows of one matrix.
///
/// `q` `[batch, heads, seq, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]`, `masked`
/// `[batch or 1, 1, seq, keys]` -> `[batch, heads, seq, head_dim]`, `[batch, heads, seq, keys]`
///
/// `masked` is true where a query must not see a key. A query that sees none (padding) gets the plain mean of the values: finite, and meaningless.
pub fn attend(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    masked: Option<Tensor<4, Bool>>,
    dropout: Dropout,
) -> (Tensor<4>, Tensor<4>) {
    let dtype = q.dtype();
    let probabilities = probabilities(scores(q, k), masked).cast(dtype); // [batch, heads, seq, keys]
    let mixed = mix(dropout.apply(probabilities.clone()), v); // [batch, heads, seq, head_dim]
    (mixed, probabilities)
}

/// How well each query fits each key: `q k^T / sqrt(head_dim)`.
///
/// `q` `[batch, heads, seq, head_dim]`, `k` `[batch, kv_heads, keys, head_dim]` -> `[batch, heads, seq, keys]`, float32
pub fn scores(q: Tensor<4>, k: Tensor<4>) -> Tensor<4> {
    let [batch, heads, seq, head_dim] = q.dims();
    let [_, kv_heads, keys, _] = k.dims();
    let groups = heads / kv_heads;

    let q = q * (head_dim as f64).powf(-0.5);
    let q = q.reshape([batch, kv_heads, groups * seq, head_dim]);
    let scores = q.matmul(k.swap_dims(2, 3)); // [batch, kv_heads, groups * seq, keys]
    scores.reshape([batch, heads, seq, keys]).cast(DType::F32)
}

/// Scores as shares of one whole: what is masked gets none.
///
/// `scores` `[batch, heads, seq, keys]`, `masked` `[batch or 1, 1, seq, keys]` -> as `scores`
pub fn probabilities(scores: Tensor<4>, masked: Option<Tensor<4, Bool>>) -> Tensor<4> {
    let shape = scores.dims();
    let scores = match masked {
        Some(masked) => scores.mask_fill(masked.expand(shape), f32::MIN),
        None => scores,
    };
    softmax(scores, 3) // [batch, heads, seq, keys]
}

/// The values, each weighed by its probability.
///
/// `probabilities` `[batch, heads, seq, keys]`, `v` `[batch, kv_heads, keys, head_dim]` -> `[batch, heads, seq, head_dim]`
pub fn mix(probabilities: Tensor<4>, v: Tensor<4>) -> Tensor<4> {
    let [batch, heads, seq, keys] = probabilities.dims();
    let [_, kv_heads, _, head_dim] = v.dims();
    let groups = heads / kv_heads;

    let grouped = probabilities.reshape([batch, kv_heads, groups * seq, keys]);
    let mixed = grouped.matmul(v); // [batch, kv_heads, groups * seq, head_dim]
    mixed.reshape([batch, heads, seq, head_dim])
}
