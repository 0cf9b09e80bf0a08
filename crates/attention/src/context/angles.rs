//! What the tokens of a pass are rotated by.

use std::{
    cell::{OnceCell, RefCell},
    ops::Range,
    rc::Rc,
};

use burn::tensor::{Device as BurnDevice, Tensor};
use glass_backend::{AttentionParams, Device, KernelSet, RopeAngles, SeenSlots};
use glass_kv_cache::AttendsFrom;

use super::ForwardContext;
use crate::{Padding, Rope, RopeTable, Step, rotate};

/// One RoPE of the model, in this pass.
pub(super) struct PassRope {
    rope: Rope,
    /// On the host, once somebody asks for it.
    table: OnceCell<RopeTable>,
    made: RefCell<Vec<Made>>,
}

/// Angles on a device, of queries that were moved or not.
type Made = (BurnDevice, Option<Moved>, Rc<RopeAngles>);

/// Positions of queries of one sequence, and where they attend from.
pub type Moved = (Range<usize>, AttendsFrom);

impl PassRope {
    pub fn new(rope: Rope) -> Self {
        Self { rope, table: OnceCell::new(), made: RefCell::default() }
    }
}

impl ForwardContext<'_> {
    /// Brings the angles to a device before it has anything to compute: a graphics adapter is handed what was launched so far
    /// before it is sent more.
    pub fn prepare(&self, device: &Device) {
        for rope in &self.ropes {
            self.angles(rope, None, device.burn(), device.kernel_set());
        }
    }

    /// Rotates queries or keys by their positions; with `moved`, queries of one sequence by where they attend from. `None` for
    /// `rope`: the layer has no positions.
    ///
    /// `x` `[batch, heads, tokens, head_dim]` -> the same shape
    pub fn rotate(&self, rope: Option<usize>, x: Tensor<4>, moved: Option<Moved>, kernels: KernelSet) -> Tensor<4> {
        let Some(rope) = rope else { return x };
        let angles = self.angles(&self.ropes[rope], moved, &x.device(), kernels);
        turn(x, &angles, kernels)
    }

    /// The same by the positions of the tokens of the row from `start` on.
    pub(crate) fn rotate_from(&self, rope: usize, start: usize, x: Tensor<4>, kernels: KernelSet) -> Tensor<4> {
        let angles = self.angles_from(rope, start, &x.device(), kernels);
        turn(x, &angles, kernels)
    }

    /// [`KernelSet::rotate_and_keep`] by the positions of the tokens of the row from `start` on.
    pub(crate) fn rotate_and_keep(
        &self,
        rope: usize,
        start: usize,
        qkv: [&Tensor<4>; 3],
        held: [&mut Tensor<4>; 2],
        slot: usize,
        kernels: KernelSet,
    ) -> Option<Tensor<4>> {
        let angles = self.angles_from(rope, start, &qkv[0].device(), kernels);
        kernels.rotate_and_keep(qkv, &angles, held, slot)
    }

    /// [`KernelSet::keep_and_attend`] by the positions of the tokens of the row from `start` on.
    #[expect(clippy::too_many_arguments, reason = "those of the kernel")]
    pub(crate) fn keep_and_attend(
        &self,
        (rope, start): (usize, usize),
        qkv: [&Tensor<4>; 3],
        held: [&mut Tensor<4>; 2],
        slot: usize,
        seen: SeenSlots,
        params: &AttentionParams,
        kernels: KernelSet,
    ) -> Option<Tensor<3>> {
        let angles = self.angles_from(rope, start, &qkv[0].device(), kernels);
        kernels.keep_and_attend(qkv, &angles, held, slot, seen, params, || {
            self.done(Step::Rope);
            self.done(Step::Cache);
        })
    }

    fn angles_from(&self, rope: usize, start: usize, device: &BurnDevice, kernels: KernelSet) -> Rc<RopeAngles> {
        let angles = self.angles(&self.ropes[rope], None, device, kernels);
        if start == 0 { angles } else { Rc::new(RopeAngles { first: angles.first + start, ..(*angles).clone() }) }
    }

    /// From what the device keeps, where that is worth it, or of these tokens alone.
    fn angles(&self, rope: &PassRope, moved: Option<Moved>, device: &BurnDevice, kernels: KernelSet) -> Rc<RopeAngles> {
        let mut made = rope.made.borrow_mut();
        if let Some((.., angles)) = made.iter().find(|(on, by, _)| on == device && *by == moved) {
            return angles.clone();
        }
        let keeps = kernels.keeps_angles() && moved.is_none() && self.padding.is_none();
        let kept = if keeps { rope.rope.kept(&self.spans, device, self.max_binding) } else { None };
        let angles = kept.unwrap_or_else(|| {
            let table = match &moved {
                Some((positions, from)) => {
                    let places: Vec<usize> = positions.clone().map(|position| from.at(position)).collect();
                    let tokens = [1, places.len()];
                    rope.rope.table(&[places]).on_device(tokens, device)
                }
                None => self.table(rope).on_device([self.rows(), self.seq()], device),
            }; // [batch or 1, tokens, 2 * pairs]
            rope.rope.angles(table)
        });
        let angles = Rc::new(angles);
        made.push((device.clone(), moved, angles.clone()));
        angles
    }

    /// The angles of every token: each sequence has its own, because some RoPE types choose them by its length.
    fn table<'r>(&self, rope: &'r PassRope) -> &'r RopeTable {
        rope.table.get_or_init(|| {
            if self.padding.is_some() {
                return rope.rope.table(&self.positions());
            }
            let mut all = RopeTable::default();
            for span in &self.spans {
                all.append(rope.rope.table(&[span.clone().map(|position| rope.rope.place(position)).collect()]));
            }
            all
        })
    }

    /// Rows whose positions differ: the batch if there is padding, else 1.
    pub(super) fn rows(&self) -> usize {
        self.padding.as_ref().map_or(1, Padding::batch)
    }

    /// The host's table of a RoPE, `[rows, seq, pairs]`, and its number of rows; `None`: the model has no such RoPE.
    pub fn rope_table(&self, rope: usize) -> Option<(&RopeTable, usize)> {
        Some((self.table(self.ropes.get(rope)?), self.rows()))
    }
}

/// `x` `[batch, heads, tokens, head_dim]` -> the same shape
fn turn(x: Tensor<4>, angles: &RopeAngles, kernels: KernelSet) -> Tensor<4> {
    kernels.rotate(&x, angles).unwrap_or_else(|| {
        let [cos, sin] = angles.cos_sin(x.dims()[2]);
        rotate(x, cos, sin, angles.interleaved)
    })
}
