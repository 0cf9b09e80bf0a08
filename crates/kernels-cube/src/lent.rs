//! What a tensor holds, without another handle of it, by which its memory would be held twice.

use std::{marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr};

use burn::{
    backend::{BackendTensor, DispatchTensorKind},
    tensor::Tensor,
};
use burn_cubecl::tensor::CubeTensor;

/// A tensor on an adapter, lent by who holds it.
pub struct Lent<'a> {
    tensor: ManuallyDrop<CubeTensor>,
    of: PhantomData<&'a mut CubeTensor>,
}

impl<'a> Lent<'a> {
    /// `None` if the tensor is elsewhere, or records for gradients.
    pub fn of<const D: usize>(x: &'a mut Tensor<D>) -> Option<Self> {
        // SAFETY: the copy is only looked at, while `x` is borrowed, and is never dropped.
        let handle = ManuallyDrop::new(unsafe { ptr::read(x) }.into_dispatch());
        let DispatchTensorKind::Cube(BackendTensor::Float(x)) = &handle.kind else { return None };
        // SAFETY: the same of this part of it.
        let tensor = ManuallyDrop::new(unsafe { ptr::read(x) });
        Some(Self { tensor, of: PhantomData })
    }
}

impl Deref for Lent<'_> {
    type Target = CubeTensor;

    fn deref(&self) -> &CubeTensor {
        &self.tensor
    }
}
