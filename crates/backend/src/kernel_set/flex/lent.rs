//! What a tensor holds, without another handle of it: each takes memory, and a token's operations look at hundreds.

use std::{marker::PhantomData, mem::ManuallyDrop, ops::Deref, ptr};

use burn::{
    backend::{BackendTensor, DispatchTensorKind, flex::FlexTensor},
    tensor::{Element, Tensor, kind::Basic},
};
use bytemuck::Pod;

/// A tensor on flex, lent by who holds it.
pub struct Lent<'a> {
    tensor: ManuallyDrop<FlexTensor>,
    of: PhantomData<&'a FlexTensor>,
}

impl<'a> Lent<'a> {
    /// `None` if the tensor is elsewhere, or records for gradients.
    pub fn of<const D: usize, K: Basic>(x: &'a Tensor<D, K>) -> Option<Self> {
        // SAFETY: the copy is only looked at, while `x` is borrowed, and is never dropped.
        let handle = ManuallyDrop::new(unsafe { ptr::read(x) }.into_dispatch());
        let DispatchTensorKind::Flex(BackendTensor::Float(x) | BackendTensor::Int(x)) = &handle.kind else {
            return None;
        };
        // SAFETY: the same of this part of it.
        let tensor = ManuallyDrop::new(unsafe { ptr::read(x) });
        Some(Self { tensor, of: PhantomData })
    }
}

impl Deref for Lent<'_> {
    type Target = FlexTensor;

    fn deref(&self) -> &FlexTensor {
        &self.tensor
    }
}

/// The same, to be written to.
pub struct LentMut<'a> {
    lent: Lent<'a>,
    of: PhantomData<&'a mut FlexTensor>,
}

impl<'a> LentMut<'a> {
    /// `None` as of [`Lent::of`].
    pub fn of<const D: usize, K: Basic>(x: &'a mut Tensor<D, K>) -> Option<Self> {
        Some(Self { lent: Lent::of(x)?, of: PhantomData })
    }

    /// All of its memory; `None` if others hold that too, who would see it change.
    pub fn storage_mut<T: Element + Pod>(&mut self) -> Option<&mut [T]> {
        self.lent.tensor.try_storage_mut()
    }
}

impl Deref for LentMut<'_> {
    type Target = FlexTensor;

    fn deref(&self) -> &FlexTensor {
        &self.lent
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Int};

    use super::*;

    #[test]
    fn what_is_lent_stays_with_who_holds_it() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[1.0_f32, 2.0], [3.0, 4.0]], &device);
        for _ in 0..3 {
            let lent = Lent::of(&x).expect("it is here");
            assert!(lent.is_unique(), "no handle was made");
            assert_eq!(lent.as_slice::<f32>(), Some(&[1.0, 2.0, 3.0, 4.0][..]));
        }
        let (mut own, held) = (x.clone() + 1.0, x.clone());
        let write = |x: &mut Tensor<2>| {
            LentMut::of(x).expect("it is here").storage_mut::<f32>().map(|storage| storage[0] = 9.0).is_some()
        };
        assert!(write(&mut own), "nobody else holds it");
        assert_eq!(own.into_data().try_to_vec::<f32>().expect("floats"), [9.0, 3.0, 4.0, 5.0]);
        assert!(!write(&mut held.clone()), "others do");
        drop(held);
        let ids = Tensor::<1, Int>::from_data([7_i32], &device);
        assert!(Lent::of(&ids).is_some());
        assert!(Lent::of(&x.clone().autodiff()).is_none(), "it records");
        let elsewhere = crate::Device::open("ndarray").expect("it is built in");
        assert!(Lent::of(&Tensor::<1>::zeros([1], elsewhere.burn())).is_none(), "it is elsewhere");
        assert_eq!(x.into_data().iter::<f32>().sum::<f32>(), 10.0);
    }
}
