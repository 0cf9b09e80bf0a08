//! What the kernels need of an instruction set beyond [`pulp::Simd`]: 16-bit floats, and a multiply-add that is always fast.

use bytemuck::Pod;
use half::{f16, slice::HalfFloatSliceExt};
use pulp::{Scalar256b, Simd};

/// float32 lanes of the widest vector.
pub const MAX_LANES: usize = 16;

/// Vector instructions that the kernels need beyond [`pulp::Simd`].
pub trait SimdExt: Simd {
    /// As many 16-bit values as a vector has lanes of float32.
    type Halves: Pod;
    /// As many bytes.
    type Bytes: Pod;

    /// bfloat16 to float32, from its bits. Exact.
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s;

    /// binary16 to float32, from its bits. Exact.
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s;

    /// Signed bytes to float32. Exact.
    fn widen_i8(self, bytes: Self::Bytes) -> Self::f32s;

    /// Each float32 to the nearest binary16, ties to even.
    #[inline(always)]
    fn narrow_f16(self, floats: &[f32], out: &mut [f16]) {
        out.convert_from_f32_slice(floats);
    }

    /// The sum of each of as many vectors as one has lanes, in the order of [`Simd::reduce_sum_f32s`].
    #[inline(always)]
    fn sum_each(self, vectors: &[Self::f32s]) -> Self::f32s {
        let mut sums = [0.0; MAX_LANES];
        for (sum, vector) in sums.iter_mut().zip(vectors) {
            *sum = self.reduce_sum_f32s(*vector);
        }
        self.partial_load_f32s(&sums[..Self::F32_LANES])
    }

    /// `a * b + c` with one rounding, or with two where one would mean a call per lane.
    #[inline(always)]
    fn multiply_add(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.mul_add_e_f32s(a, b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl SimdExt for pulp::x86::V4 {
    type Halves = pulp::u16x16;
    type Bytes = pulp::i8x16;

    #[inline(always)]
    fn widen_i8(self, bytes: Self::Bytes) -> Self::f32s {
        let integers = self.avx512f._mm512_cvtepi8_epi32(pulp::cast(bytes));
        pulp::cast(self.avx512f._mm512_cvtepi32_ps(integers))
    }

    #[inline(always)]
    fn narrow_f16(self, floats: &[f32], out: &mut [f16]) {
        let ((vectors, rest), (halves, others)) = (Self::as_simd_f32s(floats), out.as_chunks_mut::<16>());
        for (halves, vector) in halves.iter_mut().zip(vectors) {
            *halves = pulp::cast(self.avx512f._mm512_cvtps_ph::<NEAREST>(pulp::cast(*vector)));
        }
        others.convert_from_f32_slice(rest);
    }

    /// Lanes that are 8, 4, 2 and 1 apart are added, of several vectors at a time: a quarter of the work of one by one.
    #[inline(always)]
    fn sum_each(self, vectors: &[Self::f32s]) -> Self::f32s {
        let avx512 = self.avx512f;
        let (vectors, _) = vectors.as_chunks::<16>();
        let mut eights = [self.splat_f32s(0.0); 8];
        for (i, sum) in eights.iter_mut().enumerate() {
            // Where the fours and the twos put them, the sums are in the order of the vectors.
            let [a, b] = [EIGHTS[i], EIGHTS[i] + 4].map(|at| pulp::cast(vectors[0][at]));
            let low = avx512._mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
            let high = avx512._mm512_shuffle_f32x4::<0b11_10_11_10>(a, b);
            *sum = pulp::cast(avx512._mm512_add_ps(low, high)); // [a; 8], [b; 8]
        }
        let mut fours = [self.splat_f32s(0.0); 4];
        for (sum, [a, b]) in fours.iter_mut().zip(eights.as_chunks().0) {
            let (a, b) = (pulp::cast(*a), pulp::cast(*b));
            let low = avx512._mm512_shuffle_f32x4::<0b10_00_10_00>(a, b);
            let high = avx512._mm512_shuffle_f32x4::<0b11_01_11_01>(a, b);
            *sum = pulp::cast(avx512._mm512_add_ps(low, high)); // four of each of four vectors
        }
        let mut twos = [self.splat_f32s(0.0); 2];
        for (sum, [a, b]) in twos.iter_mut().zip(fours.as_chunks().0) {
            let low = avx512._mm512_shuffle_pd::<0b0000_0000>(pulp::cast(*a), pulp::cast(*b));
            let high = avx512._mm512_shuffle_pd::<0b1111_1111>(pulp::cast(*a), pulp::cast(*b));
            *sum = pulp::cast(avx512._mm512_add_ps(pulp::cast(low), pulp::cast(high)));
        }
        let [a, b] = twos.map(pulp::cast);
        let low = avx512._mm512_shuffle_ps::<0b10_00_10_00>(a, b);
        let high = avx512._mm512_shuffle_ps::<0b11_01_11_01>(a, b);
        pulp::cast(avx512._mm512_add_ps(low, high))
    }

    #[inline(always)]
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s {
        let bits = self.avx512f._mm512_cvtepu16_epi32(pulp::cast(halves));
        pulp::cast(self.avx512f._mm512_slli_epi32::<16>(bits))
    }

    #[inline(always)]
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s {
        pulp::cast(self.avx512f._mm512_cvtph_ps(pulp::cast(halves)))
    }
}

/// To the nearest, ties to even, and no exception.
#[cfg(target_arch = "x86_64")]
const NEAREST: i32 = 8;

/// Pairs of vectors, the first of each; the second is four behind.
#[cfg(target_arch = "x86_64")]
const EIGHTS: [usize; 8] = [0, 8, 1, 9, 2, 10, 3, 11];

#[cfg(target_arch = "x86_64")]
impl SimdExt for pulp::x86::V3 {
    type Halves = pulp::u16x8;
    type Bytes = [i8; 8];

    #[inline(always)]
    fn widen_i8(self, bytes: Self::Bytes) -> Self::f32s {
        let bytes: [i64; 2] = [pulp::cast(bytes), 0];
        let integers = self.avx2._mm256_cvtepi8_epi32(pulp::cast(bytes));
        pulp::cast(self.avx._mm256_cvtepi32_ps(integers))
    }

    #[inline(always)]
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s {
        let bits = self.avx2._mm256_cvtepu16_epi32(pulp::cast(halves));
        pulp::cast(self.avx2._mm256_slli_epi32::<16>(bits))
    }

    /// [`f16_to_f32`]: the instruction that does it, F16C, is not part of this instruction set.
    #[inline(always)]
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s {
        let bits = self.avx2._mm256_cvtepu16_epi32(pulp::cast(halves));
        let sign = self.avx2._mm256_and_si256(bits, self.avx._mm256_set1_epi32(0x8000));
        let magnitude = self.avx2._mm256_and_si256(bits, self.avx._mm256_set1_epi32(0x7fff));
        let finite = self.avx._mm256_mul_ps(
            pulp::cast(self.avx2._mm256_slli_epi32::<13>(magnitude)),
            self.avx._mm256_set1_ps(F16_REBIAS),
        );
        let infinity = self.avx._mm256_set1_epi32(f32::INFINITY.to_bits() as i32);
        let special = self.avx2._mm256_cmpgt_epi32(magnitude, self.avx._mm256_set1_epi32(0x7bff));
        let special = self.avx2._mm256_and_si256(special, infinity);
        let outside = self.avx2._mm256_or_si256(self.avx2._mm256_slli_epi32::<16>(sign), special);
        pulp::cast(self.avx2._mm256_or_si256(pulp::cast(finite), outside))
    }
}

#[cfg(target_arch = "aarch64")]
impl SimdExt for pulp::aarch64::Neon {
    type Halves = [u16; 4];
    type Bytes = [i8; 4];

    #[inline(always)]
    fn widen_i8(self, bytes: Self::Bytes) -> Self::f32s {
        pulp::cast(bytes.map(f32::from))
    }

    #[inline(always)]
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s {
        pulp::cast(halves.map(bf16_to_f32))
    }

    #[inline(always)]
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s {
        pulp::cast(halves.map(f16_to_f32))
    }
}

/// Arrays of eight in plain loops: the compiler makes of them what every machine of the target has.
impl SimdExt for Scalar256b {
    type Halves = [u16; 8];
    type Bytes = [i8; 8];

    #[inline(always)]
    fn widen_i8(self, bytes: Self::Bytes) -> Self::f32s {
        pulp::cast(bytes.map(f32::from))
    }

    #[inline(always)]
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s {
        pulp::cast(halves.map(bf16_to_f32))
    }

    #[inline(always)]
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s {
        pulp::cast(halves.map(f16_to_f32))
    }

    #[inline(always)]
    fn multiply_add(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.add_f32s(self.mul_f32s(a, b), c)
    }
}

/// bfloat16 is the upper half of a float32.
#[inline(always)]
fn bf16_to_f32(bits: u16) -> f32 {
    f32::from_bits(u32::from(bits) << 16)
}

/// 2 to the difference of the exponent biases.
const F16_REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);

/// binary16 to float32 without branches, so that the compiler can vectorize it. Once the fields are moved to their places in
/// a float32, a finite number is too small by the difference of the exponent biases. The product that corrects this also
/// normalises subnormals, and is exact.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let finite = f32::from_bits(magnitude << 13) * F16_REBIAS;
    // Infinity and NaN have an exponent of all ones, and keep it.
    let special = if magnitude > 0x7bff { f32::INFINITY.to_bits() } else { 0 };
    f32::from_bits(finite.to_bits() | special | u32::from(bits & 0x8000) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        isa::{Isa, Kernel},
        testing::random,
    };

    struct Sums<'a> {
        numbers: &'a [f32],
        each: &'a mut Vec<f32>,
        one_by_one: &'a mut Vec<f32>,
    }

    impl Kernel for Sums<'_> {
        #[inline(always)]
        fn run<S: SimdExt>(self, simd: S) {
            let (vectors, _) = S::as_simd_f32s(self.numbers);
            let vectors = &vectors[..S::F32_LANES];
            self.each.resize(S::F32_LANES, 0.0);
            simd.partial_store_f32s(self.each, simd.sum_each(vectors));
            for vector in vectors {
                self.one_by_one.push(simd.reduce_sum_f32s(*vector));
            }
        }
    }

    #[test]
    fn sums_of_many_vectors_are_those_of_each_bit_for_bit() {
        for isa in Isa::all() {
            let (mut each, mut one_by_one) = (vec![], vec![]);
            let numbers = random(MAX_LANES * MAX_LANES, 7);
            isa.run(Sums { numbers: &numbers, each: &mut each, one_by_one: &mut one_by_one });
            assert_eq!(each, one_by_one, "{isa:?}");
        }
    }
}
