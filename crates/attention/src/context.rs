//! What all layers of one forward pass share.

mod rows;

use std::{cell::RefCell, collections::HashMap, ops::Range};

use burn::tensor::{Bool, DType, Device as BurnDevice, Tensor, TensorData};
use glass_backend::{Device, KernelSet, KeyPositions};
use glass_config::AttentionConfig;
use glass_kv_cache::{AttendsFrom, CacheError, KvSegment, Window};

use crate::{Dropouts, HiddenState, NextTokens, Observer, Padding, Rope, RopeTable, Sequences, Step, rotate};

/// One forward pass: the positions that it reads, their rotary tables, and whoever observes it.
pub struct ForwardContext<'a> {
    /// Of the tokens of each sequence, in the order of the row.
    spans: Vec<Range<usize>>,
    ropes: Vec<PassRope>,
    padding: Option<Padding>,
    dropouts: Dropouts,
    score_bytes: usize,
    masks: RefCell<HashMap<MaskKey, DeviceMasks>>,
    observer: RefCell<&'a mut dyn Observer>,
}

/// What a mask depends on: queries, keys, their number, window, first key. Layers that are alike share it.
type MaskKey = (Range<usize>, KeyPositions, usize, Window, usize);

/// A mask on each device that has asked for it.
type DeviceMasks = Vec<(BurnDevice, Option<Tensor<4, Bool>>)>;

/// One RoPE of the model, in this pass.
struct PassRope {
    rope: Rope,
    table: RopeTable,
    tables: DeviceTables,
}

/// Cosines and sines `[batch or 1, 1, tokens, pairs]` by device and by which queries attend from another place.
type DeviceTables = RefCell<Vec<(BurnDevice, Option<Moved>, [Tensor<4>; 2])>>;

/// Positions of queries of one sequence, and where they attend from.
pub type Moved = (Range<usize>, AttendsFrom);

/// Scores of one block, at most: large enough to keep a matrix product busy, small beside any model's weights.
const SCORE_BYTES: usize = 64 << 20;

impl<'a> ForwardContext<'a> {
    /// A pass over ids of the shape `[batch, seq]` by a model with these RoPEs, whose activations have `width` values a
    /// token at most. The caches count the tokens as theirs from here on.
    ///
    /// # Errors
    /// No tokens; tokens that do not add up to the row; more than a cache or the device can hold. Then no cache has changed.
    pub fn new(
        ropes: &[Rope],
        width: usize,
        [batch, seq]: [usize; 2],
        sequences: &mut Sequences<'_>,
        device: &Device,
        observer: &'a mut dyn Observer,
    ) -> Result<Self, CacheError> {
        let bytes = (batch * seq * width * size_of::<f32>()) as u64;
        if batch * seq == 0 {
            return Err(CacheError::Empty);
        }
        if let Some(limit) = device.max_binding().filter(|&limit| bytes > limit) {
            let device = device.name().to_owned();
            return Err(CacheError::PassTooLarge { seq, bytes, limit, device });
        }
        let (spans, padding, dropouts) = match sequences {
            Sequences::Whole { padding, dropouts } => {
                let rows = padding.as_ref().map_or(batch, Padding::batch);
                if rows != batch {
                    return Err(CacheError::Rows { padding: rows, batch });
                }
                if padding.is_some() && ropes.iter().any(Rope::is_chunked) {
                    return Err(CacheError::PaddedChunks);
                }
                let whole = 0..seq;
                (vec![whole], padding.take(), *dropouts)
            }
            Sequences::Next(next) => {
                let given: usize = next.iter().map(|next| next.tokens).sum();
                if batch != 1 || given != seq {
                    return Err(CacheError::Tokens { given, row: batch * seq });
                }
                for NextTokens { cache, tokens } in next.iter() {
                    if *tokens == 0 {
                        return Err(CacheError::Empty);
                    }
                    cache.check(cache.len() + tokens)?;
                }
                let spans = next.iter_mut().map(|next| next.cache.advance(next.tokens));
                (spans.collect(), None, Dropouts::default())
            }
        };
        let mut ctx = Self {
            spans,
            ropes: Vec::new(),
            padding,
            dropouts,
            score_bytes: SCORE_BYTES.min(device.max_binding().map_or(usize::MAX, |limit| limit as usize)),
            masks: RefCell::default(),
            observer: RefCell::new(observer),
        };
        ctx.ropes = ropes
            .iter()
            .map(|rope| PassRope { table: ctx.table(rope), rope: rope.clone(), tables: RefCell::default() })
            .collect();
        ctx.observer.borrow_mut().pass(&ctx);
        Ok(ctx)
    }

    /// Limits the scores that are held at a time, in bytes; what is computed does not depend on it.
    pub fn with_score_bytes(mut self, bytes: usize) -> Self {
        self.score_bytes = bytes;
        self
    }

    /// The positions of each sequence's tokens, in the order of the row; one span if all rows are alike.
    pub fn spans(&self) -> &[Range<usize>] {
        &self.spans
    }

    /// Tokens of a row.
    pub fn seq(&self) -> usize {
        self.spans.iter().map(Range::len).sum()
    }

    /// Brings the angles to a device before it has anything to compute: a graphics adapter is handed what was launched so far
    /// before it is sent more.
    pub fn prepare(&self, device: &Device) {
        for rope in &self.ropes {
            self.cos_sin(rope, None, device.burn());
        }
    }

    /// Rotates queries or keys by their positions; with `moved`, queries of one sequence by where they attend from. `None` for
    /// `rope`: the layer has no positions.
    ///
    /// `x` `[batch, heads, tokens, head_dim]` -> the same shape
    pub fn rotate(&self, rope: Option<usize>, x: Tensor<4>, moved: Option<Moved>, kernels: KernelSet) -> Tensor<4> {
        let Some(rope) = rope else { return x };
        let rope = &self.ropes[rope];
        let interleaved = rope.rope.parameters().interleaved;
        let [cos, sin] = self.cos_sin(rope, moved, &x.device());
        kernels.rotate(&x, &cos, &sin, interleaved).unwrap_or_else(|| rotate(x, cos, sin, interleaved))
    }

    /// [`KernelSet::rotate_and_keep`] by the positions of the pass, whose only sequence they are.
    pub(crate) fn rotate_and_keep(
        &self,
        rope: usize,
        qkv: [&Tensor<4>; 3],
        held: [Tensor<4>; 2],
        slot: usize,
        kernels: KernelSet,
    ) -> (Option<Tensor<4>>, [Tensor<4>; 2]) {
        let rope = &self.ropes[rope];
        let [cos, sin] = self.cos_sin(rope, None, &qkv[0].device());
        kernels.rotate_and_keep(qkv, &cos, &sin, rope.rope.parameters().interleaved, held, slot)
    }

    /// `[batch or 1, 1, tokens, pairs]` each, float32
    fn cos_sin(&self, rope: &PassRope, moved: Option<Moved>, device: &BurnDevice) -> [Tensor<4>; 2] {
        let mut made = rope.tables.borrow_mut();
        if let Some((.., table)) = made.iter().find(|(on, by, _)| on == device && *by == moved) {
            return table.clone();
        }
        let moved_table = moved.clone().map(|(positions, from)| {
            let places: Vec<usize> = positions.map(|position| from.at(position)).collect();
            (rope.rope.table(std::slice::from_ref(&places)), [1, places.len()])
        });
        let (table, [rows, tokens]) = match &moved_table {
            Some((table, shape)) => (table, *shape),
            None => (&rope.table, [self.rows(), self.seq()]),
        };
        let tensor = |values: &[f32]| {
            let shape = [rows, 1, tokens, values.len() / (rows * tokens)];
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), (device, DType::F32))
        };
        let table = [tensor(&table.cos), tensor(&table.sin)];
        made.push((device.clone(), moved, table.clone()));
        table
    }

    /// The angles of every token: each sequence has its own, because some RoPE types choose them by its length.
    fn table(&self, rope: &Rope) -> RopeTable {
        if self.padding.is_some() {
            return rope.table(&self.positions());
        }
        let mut all = RopeTable::default();
        for span in &self.spans {
            all.append(rope.table(&[span.clone().map(|position| rope.place(position)).collect()]));
        }
        all
    }

    /// The position of every token, row by row.
    fn positions(&self) -> Vec<Vec<usize>> {
        match &self.padding {
            Some(padding) => {
                let row = |row| (0..self.seq()).map(|slot| padding.position(row, slot)).collect();
                (0..padding.batch()).map(row).collect()
            }
            None => vec![self.spans.iter().cloned().flatten().collect()],
        }
    }

    /// Rows whose positions differ: the batch if there is padding, else 1.
    fn rows(&self) -> usize {
        self.padding.as_ref().map_or(1, Padding::batch)
    }

    /// Multiplies each query by what the layer says of its position.
    ///
    /// `q` `[batch, heads, tokens, head_dim]` -> the same shape
    pub fn temper(&self, q: Tensor<4>, layer: &AttentionConfig) -> Tensor<4> {
        if layer.query_factor(0).is_none() {
            return q; // in no position
        }
        let factor = |position: usize| layer.query_factor(position).unwrap_or(1.0) as f32;
        if self.positions().into_iter().flatten().all(|position| factor(position) == 1.0) {
            return q;
        }
        let factors = self.by_position(1, |position, _| factor(position), &q.device()).unsqueeze_dim::<4>(1); // [batch or 1, 1, tokens, 1]
        let dtype = q.dtype();
        (q.cast(DType::F32) * factors).cast(dtype)
    }

    /// `width` numbers for each token, by its position and their place: `[batch or 1, tokens, width]`, float32
    pub fn by_position(&self, width: usize, value: impl Fn(usize, usize) -> f32, device: &BurnDevice) -> Tensor<3> {
        let positions = self.positions().concat().into_iter();
        let values: Vec<f32> =
            positions.flat_map(|at| (0..width).map(move |i| (at, i))).map(|(at, i)| value(at, i)).collect();
        Tensor::from_data(TensorData::new(values, [self.rows(), self.seq(), width]), (device, DType::F32))
    }

    /// The host's table of a RoPE, `[rows, seq, pairs]`, and its number of rows; `None`: the model has no such RoPE.
    pub fn rope_table(&self, rope: usize) -> Option<(&RopeTable, usize)> {
        Some((&self.ropes.get(rope)?.table, self.rows()))
    }

    /// [`KvSegment::hidden_mask`] with the padding's keys; made once for all layers that are alike.
    pub(crate) fn hidden_mask(&self, segment: &KvSegment, queries: &Range<usize>) -> Option<Tensor<4, Bool>> {
        let Some(keys) = segment.in_order() else { return segment.hidden_mask(queries) };
        let key = (queries.clone(), keys, segment.keys(), segment.window, segment.first_key);
        let device = segment.k.device();
        let mut masks = self.masks.borrow_mut();
        let masks = masks.entry(key).or_default();
        if let Some((_, mask)) = masks.iter().find(|(on, _)| *on == device) {
            return mask.clone();
        }
        let mut mask = segment.hidden_mask(queries); // [1, 1, queries, keys]
        if let Some(padding) = &self.padding {
            let shape = [padding.batch(), 1, 1, segment.keys()];
            let padded = TensorData::new(padding.hidden(segment.keys()), shape);
            let padded = Tensor::<4, Bool>::from_data(padded, &device);
            let shape = [padding.batch(), 1, queries.len(), segment.keys()];
            mask = Some(match mask {
                Some(hidden) => hidden.expand(shape).bool_or(padded.expand(shape)),
                None => padded.expand(shape),
            });
        }
        masks.push((device, mask.clone()));
        mask // [batch or 1, 1, queries, keys]
    }

    pub(crate) fn padding(&self) -> Option<&Padding> {
        self.padding.as_ref()
    }

    /// What this pass drops: nothing, except in training.
    pub fn dropouts(&self) -> Dropouts {
        self.dropouts
    }

    pub(crate) fn score_bytes(&self) -> usize {
        self.score_bytes
    }

    /// Tells the observer that a step was made.
    pub fn done(&self, step: Step) {
        self.observer.borrow_mut().done(step);
    }

    /// Shows the observer the residual stream.
    pub fn hidden(&self, state: HiddenState, x: &Tensor<3>) {
        self.observer.borrow_mut().hidden(state, x);
    }

    /// Whether the observer is to be shown what recurrent layers do.
    pub fn wants_recurrence(&self) -> bool {
        self.observer.borrow().wants_recurrence()
    }

    pub(crate) fn wants_attention(&self) -> bool {
        self.observer.borrow().wants_attention()
    }

    /// Shows the observer the attention of a layer, if it wants to see it.
    pub(crate) fn attention(&self, layer: usize, probabilities: &Tensor<4>) {
        if self.wants_attention() {
            self.observer.borrow_mut().attention(layer, probabilities.clone());
        }
    }
}
