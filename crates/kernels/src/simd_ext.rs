//! What the kernels need of an instruction set beyond [`pulp::Simd`]: 16-bit floats, and a multiply-add that is always fast.

use bytemuck::Pod;
use pulp::{Scalar256b, Simd};

/// float32 lanes of the widest vector.
pub const MAX_LANES: usize = 16;

/// Vector instructions that the kernels need beyond [`pulp::Simd`].
pub trait SimdExt: Simd {
    /// As many 16-bit values as a vector has lanes of float32.
    type Halves: Pod;

    /// bfloat16 to float32, from its bits. Exact.
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s;

    /// binary16 to float32, from its bits. Exact.
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s;

    /// `a * b + c` with one rounding, or with two where one would mean a call per lane.
    #[inline(always)]
    fn multiply_add(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.mul_add_e_f32s(a, b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl SimdExt for pulp::x86::V4 {
    type Halves = pulp::u16x16;

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

#[cfg(target_arch = "x86_64")]
impl SimdExt for pulp::x86::V3 {
    type Halves = pulp::u16x8;

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
