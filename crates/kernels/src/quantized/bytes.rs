//! What the kernel of quantized weights asks of an instruction set, and which of them this machine has.

use half::f16;
use pulp::{Scalar256b, Simd};

use super::activations::Order;
use crate::{
    codes::Bits,
    lanes::Lanes,
    weight::{Weight, filled},
};

/// Integer dot products of bytes.
///
/// A vector of codes is that of [`Bytes::blocks`] blocks. Its product is one number for every four of its bytes: sums of some
/// of the products of codes and activations, such that the lanes of a block hold all of it.
pub(super) trait Bytes: Copy + Send + Sync {
    type Simd: Lanes;
    /// Stored codes.
    type Vector: Copy;
    /// The activations that a vector of codes is multiplied with.
    type Activations: Copy;

    /// In a vector.
    const BYTES: usize = <Self::Simd as Simd>::F32_LANES * 4;

    /// How many whole blocks a vector is.
    #[inline(always)]
    fn blocks(bits: Bits) -> usize {
        Self::BYTES / bits.block_bytes()
    }

    /// The order in which activations are read.
    fn order(bits: Bits) -> Order {
        match bits {
            Bits::Eight => Order::Plain,
            Bits::Four => Order::EvenOdd(Self::BYTES),
        }
    }

    /// Whether its products are those of the codes as they are stored.
    fn offset(bits: Bits) -> bool;

    fn simd(self) -> Self::Simd;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize<F: FnOnce()>(self, f: F);

    /// As many codes as there are, up to a vector of them, and zeros.
    fn load(self, codes: &[u8]) -> Self::Vector;

    /// Of a vector's blocks.
    fn activations(self, bits: Bits, codes: &[i8]) -> Self::Activations;

    /// The products of codes and activations. Exact.
    fn times(
        self,
        bits: Bits,
        codes: Self::Vector,
        x: Self::Activations,
    ) -> <Self::Simd as Simd>::f32s;

    /// Those scales of a span of as many blocks as a vector has lanes that belong to a vector of codes, in the lanes that
    /// their products are in.
    fn spread(
        self,
        bits: Bits,
        scales: <Self::Simd as Simd>::f32s,
        vector: usize,
    ) -> <Self::Simd as Simd>::f32s;

    /// The sum over the lanes of each, in an order that is the same for all four.
    fn sums(self, sums: [<Self::Simd as Simd>::f32s; 4]) -> [f32; 4];

    /// A whole vector.
    #[inline(always)]
    fn floats(self, floats: &[f32]) -> <Self::Simd as Simd>::f32s {
        let (vectors, _) = Self::Simd::as_simd_f32s(floats);
        vectors[0]
    }

    /// As many scales as there are, up to a vector of them, and zeros.
    #[inline(always)]
    fn scales(self, scales: &[f16]) -> <Self::Simd as Simd>::f32s {
        f16::widen(self.simd(), filled::<f16, Self::Simd>(scales))
    }
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug)]
pub enum ByteLevel {
    #[cfg(target_arch = "x86_64")]
    Vnni(super::vnni::Vnni),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    Portable,
}

impl ByteLevel {
    /// The fastest.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(vnni) = super::vnni::Vnni::try_new() {
                return Self::Vnni(vnni);
            }
            if let Some(avx2) = pulp::x86::V3::try_new() {
                return Self::Avx2(avx2);
            }
        }
        Self::Portable
    }

    /// All of them, the fastest first.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(super::vnni::Vnni::try_new().map(Self::Vnni));
            levels.extend(pulp::x86::V3::try_new().map(Self::Avx2));
        }
        levels.push(Self::Portable);
        levels
    }

    /// The order in which activations are read.
    pub(super) fn order(self, bits: Bits) -> Order {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Vnni(_) => super::vnni::Vnni::order(bits),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(_) => pulp::x86::V3::order(bits),
            Self::Portable => Scalar256b::order(bits),
        }
    }
}
