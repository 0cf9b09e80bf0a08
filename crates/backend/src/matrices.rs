//! Matrices of one product.

use burn::tensor::Tensor;
use smallvec::SmallVec;

use crate::QuantizedTensor;

/// A few of something, which take no memory of their own.
pub type Few<T> = SmallVec<[T; 4]>;

/// Matrices `[rows, columns]` that multiply the same vectors.
#[derive(Clone, Debug)]
pub(crate) enum Matrices<'a> {
    Floats(Few<&'a Tensor<2>>),
    Quantized(Few<&'a QuantizedTensor>),
}
