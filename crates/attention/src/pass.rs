//! What all layers of one forward pass share.

use std::{cell::RefCell, collections::HashMap, ops::Range, sync::Arc};

use burn::tensor::{Bool, DType, Device, Tensor, TensorData};

use crate::{Dropouts, Keys, Padding, RopeTable, Window, mask};

/// One forward pass: which slots it fills, its rotary table, its masks.
pub struct Pass {
    slots: Range<usize>,
    rows: usize,
    table: RopeTable,
    cos: Tensor<4>,
    sin: Tensor<4>,
    padding: Option<Arc<Padding>>,
    score_bytes: usize,
    dropouts: Dropouts,
    device: Device,
    masks: RefCell<HashMap<Block, Option<Tensor<4, Bool>>>>,
}

/// What a mask depends on within a pass: the window, the queries, the keys.
type Block = (Window, Range<usize>, Keys);

impl Pass {
    /// `table` has one row, or one per row of the batch; `score_bytes` is what a block of scores may take.
    pub(crate) fn new(
        slots: Range<usize>,
        table: RopeTable,
        half: usize,
        padding: Option<Arc<Padding>>,
        score_bytes: usize,
        dropouts: Dropouts,
        device: &Device,
    ) -> Self {
        let rows = padding.as_ref().map_or(1, |padding| padding.batch());
        let shape = [rows, 1, slots.len(), half];
        let tensor = |values: &Vec<f32>| {
            Tensor::<4>::from_data(TensorData::new(values.clone(), shape), (device, DType::F32))
        };
        Self {
            cos: tensor(&table.cos), // [batch or 1, 1, seq, head_dim / 2]
            sin: tensor(&table.sin), // [batch or 1, 1, seq, head_dim / 2]
            slots,
            rows,
            table,
            padding,
            score_bytes,
            dropouts,
            device: device.clone(),
            masks: RefCell::default(),
        }
    }

    /// The slots that this pass fills; its queries stand there.
    pub fn slots(&self) -> Range<usize> {
        self.slots.clone()
    }

    /// What this pass drops: nothing, except in training.
    pub fn dropouts(&self) -> Dropouts {
        self.dropouts
    }

    /// `[batch or 1, 1, seq, head_dim / 2]`, float32
    pub fn cos(&self) -> Tensor<4> {
        self.cos.clone()
    }

    /// `[batch or 1, 1, seq, head_dim / 2]`, float32
    pub fn sin(&self) -> Tensor<4> {
        self.sin.clone()
    }

    /// The same numbers on the host, and how many rows they have.
    pub fn rope_table(&self) -> (&RopeTable, usize) {
        (&self.table, self.rows)
    }

    /// What `queries` must not see of `keys`: `[batch or 1, 1, queries, keys]`; made once for all layers alike.
    pub(crate) fn masked(
        &self,
        window: Window,
        queries: Range<usize>,
        keys: &Keys,
    ) -> Option<Tensor<4, Bool>> {
        self.masks
            .borrow_mut()
            .entry((window, queries.clone(), keys.clone()))
            .or_insert_with(|| {
                let shape = [self.rows, 1, queries.len(), keys.len()];
                let masked = mask::masked(window, queries, keys, self.padding.as_deref())?;
                Some(Tensor::from_data(
                    TensorData::new(masked, shape),
                    &self.device,
                ))
            })
            .clone()
    }

    /// Cuts the queries into blocks whose scores against the keys they see fit into the pass's budget.
    ///
    /// A sliding layer's block is about as long as its window, so that its scores cost `O(seq * W)`.
    pub(crate) fn blocks(&self, window: Window, batch_heads: usize) -> Vec<Range<usize>> {
        let budget = (self.score_bytes / size_of::<f32>() / batch_heads.max(1)).max(1);
        let mut len = match window {
            Window::Full => budget / self.slots.end,
            Window::Last(w) => w.get().max(128),
        };
        if let Some(w) = window.span() {
            while len > 1 && len.saturating_mul(len + w.min(self.slots.end)) > budget {
                len /= 2;
            }
        }
        let len = len.clamp(1, self.slots.len().max(1));
        self.slots
            .clone()
            .step_by(len)
            .map(|start| start..self.slots.end.min(start + len))
            .collect()
    }
}
