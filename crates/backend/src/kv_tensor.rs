//! Keys, or values, as a cache keeps them: in a float type, or in 8 bits.

use std::{fmt, str::FromStr};

use burn::tensor::{Bool, DType, Device as BurnDevice, Int, Tensor};
use glass_kernels::quant::{GROUP_SIZE, groups};
use thiserror::Error;

use crate::{Dtype, KernelSet, quantized::unpacked};

/// What keys and values are kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KvDtype {
    Float(Dtype),
    /// 8-bit integers with a float32 scale for each 32 numbers of a head: 9 bits a number.
    Q8,
}

/// A word that is none of them.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("keys and values are not kept in {0:?}: use f32, f16, bf16 or q8")]
pub struct UnknownKvDtype(String);

impl KvDtype {
    /// Bytes of one token's vector of one head, scales included.
    pub fn vector_bytes(self, head_dim: usize) -> usize {
        match self {
            Self::Float(dtype) => head_dim * dtype.bytes(),
            Self::Q8 => groups(head_dim) * (GROUP_SIZE + size_of::<f32>()),
        }
    }
}

impl From<Dtype> for KvDtype {
    fn from(dtype: Dtype) -> Self {
        Self::Float(dtype)
    }
}

impl fmt::Display for KvDtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Float(dtype) => dtype.fmt(f),
            Self::Q8 => f.write_str("q8"),
        }
    }
}

impl FromStr for KvDtype {
    type Err = UnknownKvDtype;

    fn from_str(name: &str) -> Result<Self, UnknownKvDtype> {
        match name {
            "q8" => Ok(Self::Q8),
            _ => name.parse().map(Self::Float).map_err(|_| UnknownKvDtype(name.to_owned())),
        }
    }
}

/// Keys, or values, of some tokens: `[batch, kv_heads, keys, head_dim]`.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each layer, and none is copied in a loop")]
pub enum KvTensor {
    Float(Tensor<4>),
    Q8(Q8Tensor),
}

/// Numbers in 8 bits. Each 32 along `head_dim`, which is filled up with zeros, have a scale: their largest magnitude / 127. A
/// number is off by at most half of it.
#[derive(Clone, Debug)]
pub struct Q8Tensor {
    /// Integers of -127 to 127, four to a word, the first in the lowest bits: `[batch, kv_heads, keys, 8 groups]`
    pub(crate) words: Tensor<4, Int>,
    /// `[batch, kv_heads, keys, groups]`, float32
    pub(crate) scales: Tensor<4>,
    pub(crate) head_dim: usize,
}

/// Integers in a word.
const PER_WORD: usize = 4;

impl KvTensor {
    /// The same in another type, by the device's kernel where it has one.
    pub fn in_dtype(self, dtype: KvDtype, kernels: KernelSet) -> Self {
        match (self, dtype) {
            (Self::Float(x), KvDtype::Float(dtype)) if x.dtype() == dtype.burn() => Self::Float(x),
            (Self::Float(x), KvDtype::Q8) => {
                let head_dim = x.dims()[3];
                let quantized = kernels.quantize_vectors(&x).unwrap_or_else(|| quantize(x));
                let (words, scales) = quantized;
                Self::Q8(Q8Tensor { words, scales, head_dim })
            }
            (x @ Self::Q8(_), KvDtype::Q8) => x,
            (x, KvDtype::Float(dtype)) => Self::Float(x.floats().cast(dtype.burn())),
        }
    }

    /// The numbers: in the type that they are kept in, or in float32.
    ///
    /// -> `[batch, kv_heads, keys, head_dim]`
    pub fn floats(&self) -> Tensor<4> {
        match self {
            Self::Float(x) => x.clone(),
            Self::Q8(x) => x.dequantize(),
        }
    }

    /// `[batch, kv_heads, keys, head_dim]`
    pub fn dims(&self) -> [usize; 4] {
        match self {
            Self::Float(x) => x.dims(),
            Self::Q8(Q8Tensor { words, head_dim, .. }) => {
                let [batch, heads, keys, _] = words.dims();
                [batch, heads, keys, *head_dim]
            }
        }
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.dims()[2]
    }

    pub fn device(&self) -> BurnDevice {
        match self {
            Self::Float(x) => x.device(),
            Self::Q8(x) => x.words.device(),
        }
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> u64 {
        fn bytes<const D: usize>(shape: [usize; D], each: usize) -> u64 {
            shape.into_iter().map(|n| n as u64).product::<u64>() * each as u64
        }
        match self {
            Self::Float(x) => bytes(x.dims(), x.dtype().size()),
            Self::Q8(x) => bytes(x.words.dims(), size_of::<i32>()) + bytes(x.scales.dims(), size_of::<f32>()),
        }
    }

    /// Room for `keys` vectors of this kind.
    pub fn room(&self, keys: usize) -> Self {
        let device = self.device();
        let shape = |[batch, heads, _, len]: [usize; 4]| [batch, heads, keys, len];
        match self {
            Self::Float(x) => Self::Float(Tensor::zeros(shape(x.dims()), (&device, x.dtype()))),
            Self::Q8(Q8Tensor { words, scales, head_dim }) => Self::Q8(Q8Tensor {
                words: Tensor::zeros(shape(words.dims()), (&device, DType::I32)),
                scales: Tensor::zeros(shape(scales.dims()), (&device, DType::F32)),
                head_dim: *head_dim,
            }),
        }
    }

    /// With `part` from key `start` on: in place, if nobody else holds this tensor.
    pub fn assign(self, start: usize, part: Self) -> Self {
        let slots = |[batch, heads, keys, len]: [usize; 4]| [0..batch, 0..heads, start..start + keys, 0..len];
        match (self, part) {
            (Self::Float(x), Self::Float(part)) => Self::Float(x.slice_assign(slots(part.dims()), part)),
            (Self::Q8(x), Self::Q8(part)) => Self::Q8(Q8Tensor {
                words: x.words.slice_assign(slots(part.words.dims()), part.words),
                scales: x.scales.slice_assign(slots(part.scales.dims()), part.scales),
                head_dim: x.head_dim,
            }),
            _ => unreachable!("a cache keeps one type"),
        }
    }

    /// With the one vector of `one` where `slot` `[1, 1, keys, 1]` is true.
    pub fn replace(self, slot: Tensor<4, Bool>, one: Self) -> Self {
        match (self, one) {
            (Self::Float(x), Self::Float(one)) => {
                let shape = x.dims();
                Self::Float(x.mask_where(slot.expand(shape), one.expand(shape)))
            }
            (Self::Q8(x), Self::Q8(one)) => {
                let (of_words, of_scales) = (x.words.dims(), x.scales.dims());
                Self::Q8(Q8Tensor {
                    words: x.words.mask_where(slot.clone().expand(of_words), one.words.expand(of_words)),
                    scales: x.scales.mask_where(slot.expand(of_scales), one.scales.expand(of_scales)),
                    head_dim: x.head_dim,
                })
            }
            _ => unreachable!("a cache keeps one type"),
        }
    }

    /// Part of the keys; all of them are not touched.
    pub fn narrow(self, start: usize, len: usize) -> Self {
        match self {
            x if x.keys() == len => x,
            Self::Float(x) => Self::Float(x.narrow(2, start, len)),
            Self::Q8(x) => Self::Q8(Q8Tensor {
                words: x.words.narrow(2, start, len),
                scales: x.scales.narrow(2, start, len),
                head_dim: x.head_dim,
            }),
        }
    }

    /// Keys of one kind, one behind the other.
    pub fn cat(parts: Vec<Self>) -> Self {
        let q8 = |part: &Self| match part {
            Self::Q8(x) => Some(x.clone()),
            Self::Float(_) => None,
        };
        match parts.iter().map(q8).collect::<Option<Vec<_>>>() {
            Some(parts) if !parts.is_empty() => Self::Q8(Q8Tensor {
                head_dim: parts[0].head_dim,
                words: Tensor::cat(parts.iter().map(|x| x.words.clone()).collect(), 2),
                scales: Tensor::cat(parts.into_iter().map(|x| x.scales).collect(), 2),
            }),
            _ => Self::Float(Tensor::cat(parts.iter().map(Self::floats).collect(), 2)),
        }
    }
}

impl From<Tensor<4>> for KvTensor {
    fn from(x: Tensor<4>) -> Self {
        Self::Float(x)
    }
}

impl Q8Tensor {
    /// -> `[batch, kv_heads, keys, head_dim]`, float32
    fn dequantize(&self) -> Tensor<4> {
        let [batch, heads, keys, groups] = self.scales.dims();
        let words = self.words.clone().reshape([batch * heads * keys, groups * GROUP_SIZE / PER_WORD]);
        let bytes = unpacked(&words, 8).reshape([batch, heads, keys * groups, GROUP_SIZE]);
        let quants = bytes.bitwise_xor_scalar(128).sub_scalar(128); // [batch, kv_heads, keys * groups, 32]
        let scales = self.scales.clone().reshape([batch, heads, keys * groups, 1]);
        let numbers = quants.float().cast(DType::F32) * scales; // [batch, kv_heads, keys * groups, 32]
        let numbers = numbers.reshape([batch, heads, keys, groups * GROUP_SIZE]);
        numbers.narrow(3, 0, self.head_dim) // [batch, kv_heads, keys, head_dim]
    }
}

/// The words and scales of a [`Q8Tensor`], in tensor operations. A group with an infinity or NaN has the scale NaN.
///
/// `x` `[batch, kv_heads, tokens, head_dim]`
fn quantize(x: Tensor<4>) -> (Tensor<4, Int>, Tensor<4>) {
    let [batch, heads, tokens, head_dim] = x.dims();
    let (groups, device) = (groups(head_dim), x.device());
    let mut x = x.cast(DType::F32);
    let rest = groups * GROUP_SIZE - head_dim;
    if rest > 0 {
        let zeros = Tensor::zeros([batch, heads, tokens, rest], (&device, DType::F32));
        x = Tensor::cat(vec![x, zeros], 3); // [batch, kv_heads, tokens, 32 groups]
    }
    let x = x.reshape([batch, heads, tokens * groups, GROUP_SIZE]);
    let largest = x.clone().abs().max_dim(3); // [batch, kv_heads, tokens * groups, 1]
    let not_finite = x.clone().mul_scalar(0.0).sum_dim(3); // zero, or NaN
    let scales = largest.clone().div_scalar(127.0);
    let inverse = largest.ones_like().mul_scalar(127.0) / largest;
    let inverse = inverse.mask_fill(scales.clone().lower_elem(1e-37), 0.0); // may not be a number
    let quants = (x * inverse).round().int().cast(DType::I32); // [batch, kv_heads, tokens * groups, 32]
    let words = groups * GROUP_SIZE / PER_WORD;
    let quants = quants.reshape([batch, heads, tokens * words, PER_WORD]);
    let lane = |i: usize| quants.clone().narrow(3, i, 1); // [batch, kv_heads, tokens * words, 1]
    // The last has the sign of the word, so that no sum is larger than a word.
    let low = |i: usize| lane(i).bitwise_and_scalar(255).mul_scalar(1 << (8 * i));
    let packed = low(0) + low(1) + low(2) + lane(3).mul_scalar(1 << 24);
    let scales = scales + not_finite;
    (packed.reshape([batch, heads, tokens, words]), scales.reshape([batch, heads, tokens, groups]))
}
