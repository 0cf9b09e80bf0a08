//! What all layers of one forward pass share.

mod angles;
mod rows;

use std::{cell::RefCell, collections::HashMap, ops::Range};

use burn::tensor::{Bool, DType, Device as BurnDevice, Tensor, TensorData};
use glass_backend::{Device, KeyPositions};
use glass_config::AttentionConfig;
use glass_kv_cache::{CacheError, KvSegment, Window};

use self::angles::PassRope;
use crate::{Dropouts, HiddenState, NextTokens, Observer, Padding, Rope, Sequences, Step};

/// One forward pass: the positions that it reads, their rotary tables, and whoever observes it.
pub struct ForwardContext<'a> {
    /// Of the tokens of each sequence, in the order of the row.
    spans: Vec<Range<usize>>,
    ropes: Vec<PassRope>,
    padding: Option<Padding>,
    dropouts: Dropouts,
    score_bytes: usize,
    max_binding: Option<u64>,
    masks: RefCell<HashMap<MaskKey, DeviceMasks>>,
    observer: RefCell<&'a mut dyn Observer>,
}

/// What a mask depends on: queries, keys, their number, window, first key. Layers that are alike share it.
type MaskKey = (Range<usize>, KeyPositions, usize, Window, usize);

/// A mask on each device that has asked for it.
type DeviceMasks = Vec<(BurnDevice, Option<Tensor<4, Bool>>)>;

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
        let ctx = Self {
            spans,
            ropes: ropes.iter().cloned().map(PassRope::new).collect(),
            padding,
            dropouts,
            score_bytes: SCORE_BYTES.min(device.max_binding().map_or(usize::MAX, |limit| limit as usize)),
            max_binding: device.max_binding(),
            masks: RefCell::default(),
            observer: RefCell::new(observer),
        };
        ctx.prepare(device);
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
