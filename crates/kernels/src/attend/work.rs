//! The work of one text, in pieces that any thread may take: the number of threads decides nothing about how they are cut, nor do
//! other texts.

use std::sync::OnceLock;

use super::{
    Attention, Kept, KeyPositions, Segment, Softmax,
    softmax::Part,
    tile::{Tile, cut},
};
use crate::isa::Isa;

/// Rows of a tile, where there are as many.
const TILE: usize = 64;

/// Keys that one thread takes where a few queries see many: a chunk of the cache that fits into L2.
const CHUNK_KEYS: usize = 1024;

/// The tiles of one text, and what is known of them.
pub(super) struct Work<'a, K> {
    text: &'a Attention<'a, K>,
    softmax: Softmax<'a>,
    kv_heads: usize,
    /// Queries of a tile.
    block: usize,
    /// Tiles of a key/value head.
    blocks: usize,
    /// How many pieces the keys of a tile are cut into, where all queries are in one and so few that their keys are work for
    /// several threads.
    chunks: usize,
    /// What each of several chunks gives, tile by tile.
    parts: Vec<OnceLock<Part>>,
}

impl<'a, K: Kept> Work<'a, K> {
    /// `None`: there is nothing to compute.
    pub fn new(text: &'a Attention<'a, K>, softmax: Softmax<'a>) -> Option<Self> {
        let [batch, heads, queries, head_dim] = text.out.shape();
        let kv_heads = text.segments.first().map_or(0, |segment| segment.k.shape()[1]);
        for Segment { q, k, v, mask } in text.segments {
            let keys = k.shape()[2];
            assert_eq!(q.shape(), text.out.shape(), "as many outputs as queries");
            assert_eq!(k.shape(), v.shape(), "a value for each key");
            assert_eq!(k.shape(), [batch, kv_heads, keys, head_dim], "keys for the queries");
            let fits = !matches!(mask.positions, KeyPositions::Ring { len, .. } if len != keys);
            assert!(fits, "{mask:?} for {keys} keys");
        }
        if text.out.shape().contains(&0) {
            return None;
        }
        assert!(kv_heads > 0 && heads.is_multiple_of(kv_heads), "{heads} heads over {kv_heads}");
        assert!(softmax.sinks.is_none_or(|sinks| sinks.len() == heads), "a sink for each head");

        let groups = heads / kv_heads;
        let block = if groups * queries <= TILE { queries } else { (TILE / groups).max(1) };
        let blocks = queries.div_ceil(block);
        let mut work = Self { text, softmax, kv_heads, block, blocks, chunks: 1, parts: Vec::new() };
        if blocks == 1 {
            // All tiles have the same queries.
            let keys: usize = work.tile(0).runs().map(|run| run.slots.len()).sum();
            work.chunks = keys.div_ceil(CHUNK_KEYS).max(1);
        }
        if work.chunks > 1 {
            work.parts = (0..work.pieces()).map(|_| OnceLock::new()).collect();
        }
        Some(work)
    }

    /// Those of its scores, about.
    pub fn multiply_adds(&self) -> usize {
        let [batch, heads, queries, head_dim] = self.text.out.shape();
        let visible = |query: usize| {
            let of = |segment: &Segment<'_, K>| segment.visible(query..query + 1);
            self.text.segments.iter().flat_map(of).map(|run| run.len()).sum::<usize>()
        };
        let first = self.text.first_query;
        let seen: usize = (first..first + queries).map(visible).sum();
        seen * batch * heads * head_dim
    }

    pub fn pieces(&self) -> usize {
        self.tiles() * self.chunks
    }

    /// The number of the tile that a piece belongs to.
    pub fn tile_of(&self, piece: usize) -> usize {
        piece / self.chunks
    }

    fn tiles(&self) -> usize {
        let [batch, ..] = self.text.out.shape();
        batch * self.kv_heads * self.blocks
    }

    fn tile(&self, index: usize) -> Tile<'_, K> {
        let [_, heads, queries, head_dim] = self.text.out.shape();
        let (at, start) = (index / self.blocks, index % self.blocks * self.block);
        Tile {
            segments: self.text.segments,
            first_query: self.text.first_query,
            softmax: self.softmax,
            batch: at / self.kv_heads,
            kv_head: at % self.kv_heads,
            groups: heads / self.kv_heads,
            queries: start..queries.min(start + self.block),
            head_dim,
        }
    }

    /// Computes a piece, each of which is one thread's.
    pub fn attend(&self, isa: Isa, piece: usize) {
        let tile = self.tile(self.tile_of(piece));
        let first = piece % self.chunks * CHUNK_KEYS;
        // One kind of iterator, for which kernels are compiled once.
        let keys = if self.chunks == 1 { 0..usize::MAX } else { first..first + CHUNK_KEYS };
        let part = || tile.part(isa, cut(tile.runs(), keys));
        match self.parts.get(piece) {
            Some(of_chunk) => drop(of_chunk.set(part())),
            None => self.finish(&tile, &part()),
        }
    }

    /// Joins what the chunks of each tile gave, when all have been computed.
    pub fn join(&self) {
        for (index, parts) in self.parts.chunks(self.chunks).enumerate() {
            let tile = self.tile(index);
            let mut whole = Part::new(tile.rows(), tile.head_dim);
            parts.iter().filter_map(OnceLock::get).for_each(|part| whole.merge(part));
            self.finish(&tile, &whole);
        }
    }

    fn finish(&self, tile: &Tile<'_, K>, part: &Part) {
        for row in 0..tile.rows() {
            let [batch, head, query] = tile.index(row);
            // SAFETY: each row belongs to one tile, which one thread finishes.
            let out = unsafe { self.text.out.row_mut(batch, head, query) };
            part.finish(row, self.softmax.sinks.map(|sinks| sinks[head]), out);
        }
    }
}
