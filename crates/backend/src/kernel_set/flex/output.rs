//! Results of kernels, on their way into tensors.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Tensor},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Float, Isa, Scratch};
use half::{bf16, f16};

use super::{form::in_a_row, spare};

/// Numbers in float32 that become a tensor: they are written to its memory, or are rounded to its type at the end.
pub struct Output {
    tensor: FlexTensor,
    wide: Option<Scratch>,
    len: usize,
}

impl Output {
    /// Of any values, in a row.
    pub fn new<const D: usize>(dtype: DType, shape: [usize; D]) -> Self {
        Self::with_strides(dtype, shape, in_a_row(shape))
    }

    /// The same where the axes lie otherwise, without gaps.
    pub fn with_strides<const D: usize>(dtype: DType, shape: [usize; D], strides: [usize; D]) -> Self {
        let len = shape.iter().product();
        let wide = (dtype != DType::F32).then(|| Scratch::of_any_values::<f32>(len));
        Self { tensor: spare::take(dtype, shape, strides), wide, len }
    }

    /// Begins with these.
    pub fn copied(mut self, values: &[f32]) -> Self {
        self.values().copy_from_slice(values);
        self
    }

    /// In the order of the memory.
    pub fn values(&mut self) -> &mut [f32] {
        let in_place = match &mut self.wide {
            Some(wide) => Some(&mut wide.values_mut()[..self.len]),
            None => self.tensor.try_storage_mut(),
        };
        in_place.unwrap_or_else(|| unreachable!("nobody else holds it"))
    }

    pub fn tensor<const D: usize>(mut self) -> Tensor<D> {
        match self.tensor.dtype() {
            DType::F16 => self.narrow::<f16>(),
            DType::BF16 => self.narrow::<bf16>(),
            _ => {}
        }
        Tensor::from_primitive::<Flex>(self.tensor)
    }

    fn narrow<T: Float + BurnElement + Pod>(&mut self) {
        if let (Some(wide), Some(narrow)) = (&self.wide, self.tensor.try_storage_mut::<T>()) {
            cpu::narrow(Isa::best(), &wide.values()[..self.len], narrow);
        }
    }

    /// No tensor is wanted any more.
    pub fn discard(self) {
        spare::give_back(self.tensor);
    }
}

/// Rounds numbers as a tensor of this type does.
pub fn round(values: &mut [f32], dtype: DType) {
    match dtype {
        DType::F16 => round_to::<f16>(values),
        DType::BF16 => round_to::<bf16>(values),
        _ => {}
    }
}

fn round_to<T: Float + Default>(values: &mut [f32])
where
    [T]: half::slice::HalfFloatSliceExt,
{
    use half::slice::HalfFloatSliceExt;
    const SOME: usize = 256;
    let mut narrow = [T::default(); SOME];
    for values in values.chunks_mut(SOME) {
        let narrow = &mut narrow[..values.len()];
        cpu::narrow(Isa::best(), values, narrow);
        narrow.convert_to_f32_slice(values);
    }
}
