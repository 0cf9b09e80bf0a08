//! What thin products with quantized weights need of an instruction set.

use half::f16;
use pulp::{Scalar256b, Simd};

use super::activations::Order;
use crate::{
    float::{Float, zero_padded},
    isa::Isa,
    quant::QuantFormat,
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
    fn groups(format: QuantFormat) -> usize {
        Self::BYTES / format.group_bytes()
    }

    /// The order in which activations are read.
    fn order(format: QuantFormat) -> Order {
        match format {
            QuantFormat::Int8 => Order::Plain,
            QuantFormat::Int4 | QuantFormat::Mxfp4 => Order::EvenOdd(Self::BYTES),
        }
    }

    /// Whether its products are those of quants with their offset or zero point.
    fn offset(format: QuantFormat) -> bool;

    fn simd(self) -> Self::Simd;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize<F: FnOnce()>(self, f: F);

    /// At most a vector of quants, padded with zeros.
    fn load(self, quants: &[u8]) -> Self::Vector;

    /// The activations of a vector's groups.
    fn activations(self, format: QuantFormat, quants: &[i8]) -> Self::Activations;

    /// The products of quants and activations. Exact.
    fn times(self, format: QuantFormat, quants: Self::Vector, x: Self::Activations) -> <Self::Simd as Simd>::f32s;

    /// The scales of vector `vector`, each in the lanes of its group's products; `scales` are those of as many groups as a
    /// vector has lanes.
    fn spread(
        self,
        format: QuantFormat,
        scales: <Self::Simd as Simd>::f32s,
        vector: usize,
    ) -> <Self::Simd as Simd>::f32s;

    /// The zero points of as many groups as a vector has lanes, [`ZERO_POINTS_PER_WORD`] in a word; behind the end of a row
    /// they may be anything.
    ///
    /// [`ZERO_POINTS_PER_WORD`]: crate::quant::ZERO_POINTS_PER_WORD
    fn zero_points(self, words: &[i32]) -> <Self::Simd as Simd>::f32s;

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

/// A computation on the byte dot products of any instruction set.
pub trait OnByteDots {
    type Output;

    fn run<B: ByteDots>(self, bytes: B) -> Self::Output;
}

/// Runs it on the best that `isa` has.
pub fn dispatch<R: OnByteDots>(isa: Isa, on: R) -> R::Output {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => match avx512.vnni {
            Some(vnni) => on.run(vnni),
            None => on.run(*avx512.simd),
        },
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => on.run(avx2),
        _ => on.run(Scalar256b),
    }
}
