//! Dual chunk attention: An et al. 2024, arXiv:2402.17463.
//!
//! A query of chunk c attends to three groups of keys, each rotated by their place in their own chunk of L tokens: to those of
//! its chunk from its place there (*intra*), to those of chunk c - 1 from L further on, but at most from `chunk_size`
//! (*successive*), and to all before from as far as that goes (*inter*). One softmax runs over the three.

use std::ops::Range;

use glass_config::DualChunk;
use glass_kv_cache::{AttendsFrom, KeyPositions, KvView};

/// Queries cut where a chunk ends, and for each part the keys in groups with the places that its queries attend to them from.
/// Without chunks there is one part, and `kv` is its view as it is.
pub fn parts(chunks: Option<DualChunk>, queries: Range<usize>, kv: KvView) -> Vec<(Range<usize>, KvView)> {
    let Some(dual) = chunks else { return vec![(queries, kv)] };
    let len = dual.chunk();
    let chunks = queries.start / len..queries.end.div_ceil(len);
    chunks
        .map(|chunk| {
            let part = queries.start.max(chunk * len)..queries.end.min((chunk + 1) * len);
            (part, groups(dual, chunk, &kv))
        })
        .collect()
}

/// The keys as the queries of one chunk attend to them.
fn groups(dual: DualChunk, chunk: usize, kv: &KvView) -> KvView {
    let (len, max) = (dual.chunk(), dual.chunk_size);
    let (begin, previous) = (chunk * len, chunk.saturating_sub(1) * len);
    let inter = AttendsFrom { back: 0, max: max.min(2 * len - 1) };
    let successive = AttendsFrom { back: previous, max };
    let groups = [(0..previous, Some(inter)), (previous..begin, Some(successive)), (begin..usize::MAX, None)];
    let segments = groups.iter().flat_map(|(keys, attends_from)| {
        kv.segments.iter().filter_map(|segment| {
            let KeyPositions::Run(_) = segment.positions else {
                unreachable!("CacheConfig::check lets no policy pass that does not keep keys in their order")
            };
            let mut group = segment.at(keys.clone())?;
            group.attends_from = *attends_from;
            Some(group)
        })
    });
    KvView { segments: segments.collect() }
}
