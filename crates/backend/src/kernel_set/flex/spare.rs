//! Tensors that nobody needs any more, for results of later operations: each operation of a token makes what the same operation
//! of the layer before made, and so none asks for memory.

use std::cell::RefCell;

use burn::{
    backend::{
        Flex,
        flex::{FlexTensor, Layout},
    },
    tensor::{Bytes, DType, Shape, Tensor},
};

/// Tensors that a thread keeps.
const KEPT: usize = 24;

/// Bytes of the largest that is kept: those of prompts are worth an allocation.
const MOST_BYTES: usize = 1 << 19;

thread_local! {
    static SPARE: RefCell<Vec<FlexTensor>> = const { RefCell::new(Vec::new()) };
}

/// A tensor that nobody else holds, its numbers of any value. The strides leave no gaps.
pub fn take<const D: usize>(dtype: DType, shape: [usize; D], strides: [usize; D]) -> FlexTensor {
    let is_alike = |x: &FlexTensor| {
        let layout = x.layout();
        let mut strides = layout.strides().iter().zip(strides);
        x.dtype() == dtype && layout.shape()[..] == shape && strides.all(|(a, b)| *a == b as isize)
    };
    let spare = SPARE.with_borrow_mut(|spare| {
        let at = spare.iter().rposition(is_alike)?;
        Some(spare.swap_remove(at))
    });
    spare.unwrap_or_else(|| {
        let numbers = shape.iter().product();
        let bytes = match dtype {
            DType::F32 => Bytes::from_elems(vec![0.0_f32; numbers]),
            _ => Bytes::from_elems(vec![0_u16; numbers]),
        };
        let strides = strides.iter().map(|stride| *stride as isize).collect();
        FlexTensor::new(bytes, Layout::new(Shape::from(shape), strides, 0), dtype)
    })
}

/// Gives back a tensor; one that somebody else holds too, or that is part of another, goes its way.
pub fn give<const D: usize>(x: Tensor<D>) {
    if let Ok(x) = x.try_into_primitive::<Flex>() {
        give_back(x);
    }
}

/// The same.
pub fn give_back(x: FlexTensor) {
    let (bytes, held) = (x.layout().num_elements() * x.dtype().size(), x.bytes().len());
    if x.is_unique() && bytes == held && bytes <= MOST_BYTES {
        SPARE.with_borrow_mut(|spare| {
            if spare.len() == KEPT {
                spare.remove(0);
            }
            spare.push(x);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_is_taken_again() {
        let at = |x: &FlexTensor| x.bytes().as_ptr();
        let first = take(DType::F32, [1, 2, 3], [6, 3, 1]);
        let place = at(&first);
        let other = first.clone();
        give_back(first);
        let second = take(DType::F32, [1, 2, 3], [6, 3, 1]);
        assert_ne!(at(&second), place, "somebody holds it");
        give::<3>(Tensor::from_primitive::<Flex>(other));
        for (dtype, shape, strides) in [
            (DType::BF16, [1, 2, 3], [6, 3, 1]),
            (DType::F32, [1, 3, 2], [6, 2, 1]),
            (DType::F32, [1, 2, 3], [6, 1, 2]),
        ] {
            assert_ne!(at(&take(dtype, shape, strides)), place, "another");
        }
        assert_eq!(at(&take(DType::F32, [1, 2, 3], [6, 3, 1])), place);
        drop(second);
    }
}
