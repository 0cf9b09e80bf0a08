//! What all layers of one forward pass share.

use std::{cell::RefCell, collections::HashMap, ops::Range, sync::Arc};

use burn::tensor::{Bool, DType, Device as BurnDevice, Tensor, TensorData};

use glass_backend::{Device, KernelSet};

use crate::{Dropouts, Keys, Padding, Rope, RopeTable, Window, mask, rotate};

/// One forward pass: which slots it fills, its rotary table, its masks.
pub struct Pass {
    slots: Range<usize>,
    /// Of every slot, per row; one row if all are alike.
    positions: Vec<Vec<usize>>,
    rope: Rope,
    table: RopeTable,
    cos: Tensor<4>,
    sin: Tensor<4>,
    padding: Option<Arc<Padding>>,
    score_bytes: usize,
    dropouts: Dropouts,
    device: BurnDevice,
    fused: KernelSet,
    masks: RefCell<HashMap<Block, Option<Tensor<4, Bool>>>>,
    turns: RefCell<HashMap<usize, (Tensor<4>, Tensor<4>)>>,
}

/// What a mask depends on within a pass: the window, the queries, the keys.
type Block = (Window, Range<usize>, Keys);

impl Pass {
    /// `score_bytes` is what a block of scores may take.
    pub(crate) fn new(
        slots: Range<usize>,
        rope: &Rope,
        padding: Option<Arc<Padding>>,
        score_bytes: usize,
        dropouts: Dropouts,
        device: &Device,
    ) -> Self {
        let positions = match &padding {
            None => vec![slots.clone().collect()],
            Some(padding) => (0..padding.batch())
                .map(|row| {
                    let position = |slot| padding.position(row, slot);
                    slots.clone().map(position).collect()
                })
                .collect::<Vec<Vec<usize>>>(),
        };
        let table = rope.table(&positions);
        let (cos, sin) = tensors(&table, [positions.len(), slots.len()], device.burn());
        Self {
            slots,
            positions,
            rope: rope.clone(),
            table,
            cos,
            sin,
            padding,
            score_bytes,
            dropouts,
            device: device.burn().clone(),
            fused: device.kernel_set(),
            masks: RefCell::default(),
            turns: RefCell::default(),
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

    /// The position of each slot, per row of the batch; one row if all are alike.
    pub(crate) fn positions(&self) -> &[Vec<usize>] {
        &self.positions
    }

    /// Which slots are padding.
    pub(crate) fn padding(&self) -> Option<&Padding> {
        self.padding.as_deref()
    }

    /// Turns queries or keys of this pass's slots by their positions.
    ///
    /// `x` `[batch, heads, seq, head_dim]` -> the same shape
    pub fn rotate(&self, x: Tensor<4>) -> Tensor<4> {
        self.turn(x, self.cos(), self.sin())
    }

    /// Turns them by their positions, or by `most` where those are beyond.
    ///
    /// `x` `[batch, heads, seq, head_dim]` -> the same shape
    pub fn rotate_at_most(&self, x: Tensor<4>, most: usize) -> Tensor<4> {
        let mut turns = self.turns.borrow_mut();
        let (cos, sin) = turns.entry(most).or_insert_with(|| {
            let nearer =
                |row: &Vec<usize>| row.iter().map(|&position| position.min(most)).collect();
            let positions: Vec<Vec<usize>> = self.positions.iter().map(nearer).collect();
            let shape = [positions.len(), self.slots.len()];
            tensors(&self.rope.table(&positions), shape, &self.device)
        });
        self.turn(x, cos.clone(), sin.clone())
    }

    /// [`rotate`], in the version of the device.
    fn turn(&self, x: Tensor<4>, cos: Tensor<4>, sin: Tensor<4>) -> Tensor<4> {
        let fused = self.fused.rotate(&x, &cos, &sin);
        fused.unwrap_or_else(|| rotate(x, cos, sin))
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
        (&self.table, self.positions.len())
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
                let shape = [self.positions.len(), 1, queries.len(), keys.len()];
                let masked = mask::masked(window, queries, keys, self.padding.as_deref())?;
                Some(Tensor::from_data(
                    TensorData::new(masked, shape),
                    &self.device,
                ))
            })
            .clone()
    }

    /// The kernels of the device.
    pub(crate) fn fused(&self) -> KernelSet {
        self.fused
    }

    /// Where the pass computes.
    pub(crate) fn device(&self) -> &BurnDevice {
        &self.device
    }

    /// A mask that hides nothing: `[batch or 1, 1, queries, keys]`.
    pub(crate) fn nothing_masked(&self, queries: usize, keys: usize) -> Tensor<4, Bool> {
        let shape = [self.positions.len(), 1, queries, keys];
        let masked = vec![false; shape.iter().product()];
        Tensor::from_data(TensorData::new(masked, shape), &self.device)
    }

    /// Cuts queries into blocks whose scores against the keys they see fit into the pass's budget.
    ///
    /// A sliding layer's block is about as long as its window, so that its scores cost `O(seq * W)`.
    pub(crate) fn blocks(
        &self,
        window: Window,
        batch_heads: usize,
        queries: Range<usize>,
    ) -> Vec<Range<usize>> {
        let budget = (self.score_bytes / size_of::<f32>() / batch_heads.max(1)).max(1);
        let mut len = match window {
            Window::Full => budget / queries.end,
            Window::Last(w) => w.get().max(128),
        };
        if let Some(w) = window.span() {
            while len > 1 && len.saturating_mul(len + w.min(queries.end)) > budget {
                len /= 2;
            }
        }
        let len = len.clamp(1, queries.len().max(1));
        let end = queries.end;
        queries
            .step_by(len)
            .map(|start| start..end.min(start + len))
            .collect()
    }
}

/// Cosines and sines as tensors, `[rows, 1, seq, head_dim / 2]` each.
fn tensors(
    table: &RopeTable,
    [rows, seq]: [usize; 2],
    device: &BurnDevice,
) -> (Tensor<4>, Tensor<4>) {
    let tensor = |values: &Vec<f32>| {
        let shape = [rows, 1, seq, values.len() / (rows * seq)];
        Tensor::<4>::from_data(TensorData::new(values.clone(), shape), (device, DType::F32))
    };
    (tensor(&table.cos), tensor(&table.sin))
}
