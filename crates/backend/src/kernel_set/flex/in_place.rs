//! Vectors that are changed where they lie, in whatever order: heads, as products write them.

use burn::tensor::{DType, Element as BurnElement, Tensor};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Float, Isa, RmsNorm, Scratch};
use half::{bf16, f16, slice::HalfFloatSliceExt};

use super::{floats::Floats, lent::LentMut};

/// Norms each vector of the last axis.
pub fn rms_norm_in_place<const D: usize>(x: &mut Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<()> {
    let weight = Floats::of(weight)?;
    change(x, |values| {
        let mut before = Scratch::of_any_values::<f32>(values.len());
        let before = &mut before.values_mut()[..values.len()];
        before.copy_from_slice(values);
        cpu::rms_norm(Isa::best(), before, weight.values(), norm, values);
    })
}

/// Adds `bias` `[heads * head_dim]` to each token of `x` `[batch, heads, seq, head_dim]`, one behind the other in memory.
pub fn add_by_head(x: &mut Tensor<4>, bias: &Tensor<1>) -> Option<()> {
    let ([_, heads, seq, head_dim], bias) = (x.dims(), Floats::of(bias)?);
    let width = heads * head_dim;
    let (expected, lent) = ([(heads, head_dim), (seq, width)], LentMut::of(x)?);
    let mut lies_so = expected
        .iter()
        .zip(&lent.layout().strides()[1..])
        .map(|((len, by), stride)| *len == 1 || *by as isize == *stride);
    if bias.values().len() != width || !lies_so.all(|lies_so| lies_so) {
        return None;
    }
    change(x, |values| {
        values.chunks_exact_mut(width).for_each(|token| cpu::add(Isa::best(), token, bias.values()));
    })
}

/// Changes all numbers in the order of the memory, in float32, rounded then. `None`, and nothing was changed: others hold them
/// too, or vectors of the last axis are not whole.
fn change<const D: usize>(x: &mut Tensor<D>, change: impl FnOnce(&mut [f32])) -> Option<()> {
    let mut held = LentMut::of(x)?;
    let (layout, dtype) = (held.layout(), held.dtype());
    let is_all = layout.start_offset() == 0 && layout.num_elements() * dtype.size() == held.bytes().len();
    let has_whole_vectors = layout.strides().last() == Some(&1);
    if !is_all || !has_whole_vectors {
        return None;
    }
    match dtype {
        DType::F32 => change(held.storage_mut()?),
        DType::F16 => change_wide(held.storage_mut::<f16>()?, change),
        DType::BF16 => change_wide(held.storage_mut::<bf16>()?, change),
        _ => return None,
    }
    Some(())
}

fn change_wide<T: Float + BurnElement + Pod>(values: &mut [T], change: impl FnOnce(&mut [f32]))
where
    [T]: HalfFloatSliceExt,
{
    let mut wide = Scratch::of_any_values::<f32>(values.len());
    let wide = &mut wide.values_mut()[..values.len()];
    values.convert_to_f32_slice(wide);
    change(wide);
    cpu::narrow(Isa::best(), wide, values);
}
