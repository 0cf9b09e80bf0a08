//! What thin products with quantized weights need of an instruction set.

use half::f16;
use pulp::Simd;

use super::activations::Order;
use crate::{
    codes::Bits,
    float::{Float, zero_padded},
    simd_ext::SimdExt,
};

/// Integer dot products of bytes.
///
/// A vector holds the quants of [`ByteDots::groups`] groups. Its product is one number for every four of its bytes: each is
/// the sum of some products of quants and activations, and the lanes of a group add up to the group's product.
pub trait ByteDots: Copy + Send + Sync {
    type Simd: SimdExt;
    /// Quants as they are stored.
    type Vector: Copy;
    /// The activations that a vector of quants is multiplied with.
    type Activations: Copy;

    /// Bytes of a vector.
    const BYTES: usize = <Self::Simd as Simd>::F32_LANES * 4;

    /// Groups of a vector.
    #[inline(always)]
    fn groups(bits: Bits) -> usize {
        Self::BYTES / bits.block_bytes()
    }

    /// The order in which activations are read.
    fn order(bits: Bits) -> Order {
        match bits {
            Bits::Eight => Order::Plain,
            Bits::Four => Order::EvenOdd(Self::BYTES),
        }
    }

    /// Whether its products are those of quants with their offset, as they are stored.
    fn offset(bits: Bits) -> bool;

    fn simd(self) -> Self::Simd;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize<F: FnOnce()>(self, f: F);

    /// At most a vector of quants, padded with zeros.
    fn load(self, quants: &[u8]) -> Self::Vector;

    /// The activations of a vector's groups.
    fn activations(self, bits: Bits, quants: &[i8]) -> Self::Activations;

    /// The products of quants and activations. Exact.
    fn times(
        self,
        bits: Bits,
        quants: Self::Vector,
        x: Self::Activations,
    ) -> <Self::Simd as Simd>::f32s;

    /// The scales of vector `vector`, each in the lanes of its group's products; `scales` are those of as many groups as a
    /// vector has lanes.
    fn spread(
        self,
        bits: Bits,
        scales: <Self::Simd as Simd>::f32s,
        vector: usize,
    ) -> <Self::Simd as Simd>::f32s;

    /// The sum over the lanes of each, in the same order for all four.
    fn sums(self, sums: [<Self::Simd as Simd>::f32s; 4]) -> [f32; 4];

    /// A whole vector.
    #[inline(always)]
    fn floats(self, floats: &[f32]) -> <Self::Simd as Simd>::f32s {
        let (vectors, _) = Self::Simd::as_simd_f32s(floats);
        vectors[0]
    }

    /// At most a vector of scales, padded with zeros.
    #[inline(always)]
    fn scales(self, scales: &[f16]) -> <Self::Simd as Simd>::f32s {
        f16::widen(self.simd(), zero_padded::<f16, Self::Simd>(scales))
    }
}
