//! Attention in blocks of queries, so that scores never take more memory than a pass allows.

use std::ops::Range;

use burn::tensor::Tensor;
use glass_backend::{AttentionParams, KvSegment};

use crate::{Keys, Observer, Pass, Window, attend};

/// What a layer's cache is told of the pass it is in.
pub struct Call<'a> {
    pub pass: &'a Pass,
    pub observer: &'a mut dyn Observer,
    pub layer: usize,
}

/// The same as [`attend`] on everything, but never more scores at a time than the pass allows, and none for keys that no
/// query of the block sees. Only an observer that asks for the probabilities gets them whole. A fused kernel has no scores
/// to cut, and takes the queries at once.
///
/// `q` `[batch, heads, queries, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]`, rotated -> as `q`
pub(crate) fn attend_in_blocks(
    q: Tensor<4>,
    k: Tensor<4>,
    v: Tensor<4>,
    keys: &Keys,
    window: Window,
    queries: Range<usize>,
    call: &mut Call<'_>,
) -> Tensor<4> {
    let Call {
        pass,
        observer,
        layer,
    } = call;
    let dropout = pass.dropouts().attention;
    if observer.wants_attention() {
        let masked = pass.masked(window, queries, keys);
        let (mixed, probabilities) = attend(q, k, v, masked, dropout);
        observer.attention(*layer, probabilities);
        return mixed; // [batch, heads, seq, head_dim]
    }
    let [batch, heads, _, head_dim] = q.dims();
    if dropout.p == 0.0 && pass.padding().is_none() {
        let segment = KvSegment {
            window: window.span(),
            ..KvSegment::new(k.clone(), v.clone(), keys.key_positions())
        };
        let params = AttentionParams {
            scale: (head_dim as f64).powf(-0.5),
            soft_cap: None,
            sinks: None,
        };
        let attended = pass.fused().attend(&q, &[segment], queries.start, &params);
        if let Some(mixed) = attended {
            return mixed; // [batch, heads, queries, head_dim]
        }
    }
    let first = queries.start;
    let blocks = pass
        .blocks(window, batch * heads, queries)
        .into_iter()
        .map(|queries| {
            let q = narrow(q.clone(), queries.start - first, queries.len()); // [batch, heads, block, head_dim]
            let (start, seen) = keys.seen_by(window, queries.clone());
            let k = narrow(k.clone(), start, seen.len()); // [batch, kv_heads, seen, head_dim]
            let v = narrow(v.clone(), start, seen.len()); // [batch, kv_heads, seen, head_dim]
            let masked = pass.masked(window, queries, &seen); // [batch or 1, 1, block, seen]
            attend(q, k, v, masked, dropout).0 // [batch, heads, block, head_dim]
        })
        .collect();
    join(blocks) // [batch, heads, queries, head_dim]
}

/// Stretches of the sequence axis, one behind the other; a single one is not copied.
pub(crate) fn join(mut stretches: Vec<Tensor<4>>) -> Tensor<4> {
    match stretches.len() {
        1 => stretches.swap_remove(0),
        _ => Tensor::cat(stretches, 2),
    }
}

/// Part of the sequence axis; where it is all of it, `start` is 0 and nothing needs to be done.
pub(crate) fn narrow(x: Tensor<4>, start: usize, len: usize) -> Tensor<4> {
    match x.dims()[2] == len {
        true => x,
        false => x.narrow(2, start, len),
    }
}
