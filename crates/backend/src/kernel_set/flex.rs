//! The CPU kernels on flex's tensors: their layouts and types.
//!
//! What they read is [`Lent`](lent::Lent), what they write is an [`Output`] in memory that was used before ([`spare`]): in
//! decode no operation asks for memory.

mod attention;
mod floats;
mod form;
mod in_place;
mod keep;
mod lent;
mod output;
mod products;
mod quantized;
mod recurrence;
mod spare;
mod trained_scan;

pub use attention::{attend, attend_all, quantize_vectors};
pub use form::{AsRead, ByHead};
pub use in_place::{add_by_head, rms_norm_in_place};
pub use keep::{keep, keep_and_attend, rotate_and_keep};
pub use products::multiply;
pub use quantized::{select, select_panels};
pub use recurrence::{causal_conv, linear_recurrence, selective_scan, softplus};
pub use spare::give;
pub use trained_scan::trained_scan;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::Tensor,
};
use glass_kernels::{self as cpu, Angles, Gate, Isa, RmsNorm, ViewMut};

use self::{
    floats::{Floats, floats, place, view},
    form::in_a_row,
    output::Output,
};
use crate::RopeAngles;

pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<Tensor<D>> {
    let (shape, x, weight) = (x.dims(), Floats::of(x)?, Floats::of(weight)?);
    let mut out = Output::new(x.dtype, shape);
    cpu::rms_norm(Isa::best(), x.values(), weight.values(), norm, out.values());
    Some(out.tensor())
}

pub fn add_rms_norm<const D: usize>(
    x: &Tensor<D>,
    delta: &Tensor<D>,
    weight: &Tensor<1>,
    norm: RmsNorm,
) -> Option<(Tensor<D>, Tensor<D>)> {
    let (shape, x, delta, weight) = (x.dims(), Floats::of(x)?, Floats::of(delta)?, Floats::of(weight)?);
    let mut sum = Output::new(x.dtype, shape).copied(x.values());
    let mut out = Output::new(x.dtype, shape);
    cpu::add_rms_norm(Isa::best(), sum.values(), delta.values(), weight.values(), norm, out.values());
    Some((sum.tensor(), out.tensor()))
}

pub fn gate<const D: usize>(kind: Gate, gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
    let (shape, gate, up) = (gate.dims(), Floats::of(gate)?, Floats::of(up)?);
    let mut out = Output::new(gate.dtype, shape).copied(gate.values());
    cpu::gate(Isa::best(), kind, out.values(), up.values());
    Some(out.tensor())
}

pub fn rotate(x: &Tensor<4>, angles: &RopeAngles) -> Option<Tensor<4>> {
    let shape @ [_, _, tokens, _] = x.dims();
    let angles = OfTokens::new(angles, tokens)?;
    let x = Floats::where_it_lies(x)?;
    let [batch, heads, seq, _] = in_a_row(shape);
    let strides = [batch, heads, seq];
    let mut out = Output::new(x.dtype, shape);
    cpu::rotate(Isa::best(), x.view(), angles.angles(), &mut ViewMut::new(out.values(), shape, strides));
    Some(out.tensor())
}

/// What some tokens are rotated by.
struct OfTokens<'a> {
    /// `[batch or 1, tokens, 2 * pairs]`
    table: Floats<'a>,
    pairs: usize,
    interleaved: bool,
}

impl<'a> OfTokens<'a> {
    fn new(angles: &'a RopeAngles, tokens: usize) -> Option<Self> {
        let table = match angles.table.dims()[1] == tokens {
            true => Floats::of(&angles.table)?,
            false => Floats::own(angles.of_tokens(tokens))?,
        };
        Some(Self { table, pairs: angles.pairs(), interleaved: angles.interleaved })
    }

    fn angles(&self) -> Angles<'_> {
        Angles { table: self.table.values(), pairs: self.pairs, interleaved: self.interleaved }
    }
}

fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// A tensor on flex; `None` if it is elsewhere.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<FlexTensor> {
    x.clone().try_into_primitive::<Flex>().ok()
}
