//! The instruction sets of the CPU kernels: which of them this machine has, and what a kernel asks of each.

use bytemuck::Pod;
use pulp::{Scalar256b, Simd};

/// What the kernels need of an instruction set beyond [`pulp::Simd`].
pub trait Lanes: Simd {
    /// As many 16-bit values as a vector has lanes of float32.
    type Halves: Pod;

    /// The bits of bfloat16 numbers.
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s;

    /// The bits of binary16 numbers.
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s;

    /// `a * b + c` with one rounding, or with two where one would mean a call per lane.
    #[inline(always)]
    fn multiply_add(self, a: Self::f32s, b: Self::f32s, c: Self::f32s) -> Self::f32s {
        self.mul_add_e_f32s(a, b, c)
    }
}

#[cfg(target_arch = "x86_64")]
impl Lanes for pulp::x86::V4 {
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
impl Lanes for pulp::x86::V3 {
    type Halves = pulp::u16x8;

    #[inline(always)]
    fn widen_bf16(self, halves: Self::Halves) -> Self::f32s {
        let bits = self.avx2._mm256_cvtepu16_epi32(pulp::cast(halves));
        pulp::cast(self.avx2._mm256_slli_epi32::<16>(bits))
    }

    /// [`f16_to_f32`]: the instruction that does it, F16C, is not among those that make this level.
    #[inline(always)]
    fn widen_f16(self, halves: Self::Halves) -> Self::f32s {
        let bits = self.avx2._mm256_cvtepu16_epi32(pulp::cast(halves));
        let sign = self
            .avx2
            ._mm256_and_si256(bits, self.avx._mm256_set1_epi32(0x8000));
        let magnitude = self
            .avx2
            ._mm256_and_si256(bits, self.avx._mm256_set1_epi32(0x7fff));
        let finite = self.avx._mm256_mul_ps(
            pulp::cast(self.avx2._mm256_slli_epi32::<13>(magnitude)),
            self.avx._mm256_set1_ps(F16_REBIAS),
        );
        let infinity = self.avx._mm256_set1_epi32(f32::INFINITY.to_bits() as i32);
        let special = self
            .avx2
            ._mm256_cmpgt_epi32(magnitude, self.avx._mm256_set1_epi32(0x7bff));
        let special = self.avx2._mm256_and_si256(special, infinity);
        let outside = self
            .avx2
            ._mm256_or_si256(self.avx2._mm256_slli_epi32::<16>(sign), special);
        pulp::cast(self.avx2._mm256_or_si256(pulp::cast(finite), outside))
    }
}

#[cfg(target_arch = "aarch64")]
impl Lanes for pulp::aarch64::Neon {
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

/// Arrays of eight and plain loops, which the compiler turns into whatever the target has for certain.
impl Lanes for Scalar256b {
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

/// 2 to the difference of the exponents' biases.
const F16_REBIAS: f32 = f32::from_bits((127 + 127 - 15) << 23);

/// Without branches, for vectors of them. With its fields moved to their places in a float32, a finite number is too small
/// by the difference of the biases, and the product that makes that good normalises subnormals; it is exact.
#[inline(always)]
fn f16_to_f32(bits: u16) -> f32 {
    let magnitude = u32::from(bits & 0x7fff);
    let finite = f32::from_bits(magnitude << 13) * F16_REBIAS;
    // Infinity and NaN are an exponent of all ones, and shall stay one.
    let special = match magnitude > 0x7bff {
        true => f32::INFINITY.to_bits(),
        false => 0,
    };
    f32::from_bits(finite.to_bits() | special | u32::from(bits & 0x8000) << 16)
}

/// A computation written once for all instruction sets.
pub trait Kernel {
    /// Everything below must be `#[inline(always)]`: only what ends up in the caller is compiled for its instructions.
    fn run<S: Lanes>(self, simd: S);
}

/// An instruction set that this machine has.
#[derive(Clone, Copy, Debug)]
pub enum Level {
    #[cfg(target_arch = "x86_64")]
    Avx512(pulp::x86::V4),
    #[cfg(target_arch = "x86_64")]
    Avx2(pulp::x86::V3),
    #[cfg(target_arch = "aarch64")]
    Neon(pulp::aarch64::Neon),
    Portable,
}

impl Level {
    /// The widest.
    pub fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if let Some(simd) = pulp::x86::V4::try_new() {
                return Level::Avx512(simd);
            }
            if let Some(simd) = pulp::x86::V3::try_new() {
                return Level::Avx2(simd);
            }
        }
        #[cfg(target_arch = "aarch64")]
        if let Some(simd) = pulp::aarch64::Neon::try_new() {
            return Level::Neon(simd);
        }
        Level::Portable
    }

    /// All of them, the widest first.
    #[cfg(test)]
    pub fn all() -> Vec<Self> {
        let mut levels = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            levels.extend(pulp::x86::V4::try_new().map(Level::Avx512));
            levels.extend(pulp::x86::V3::try_new().map(Level::Avx2));
        }
        #[cfg(target_arch = "aarch64")]
        levels.extend(pulp::aarch64::Neon::try_new().map(Level::Neon));
        levels.push(Level::Portable);
        levels
    }

    /// Lanes of float32 in a vector.
    pub fn lanes(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(_) => pulp::x86::V4::F32_LANES,
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(_) => pulp::x86::V3::F32_LANES,
            #[cfg(target_arch = "aarch64")]
            Level::Neon(_) => pulp::aarch64::Neon::F32_LANES,
            Level::Portable => Scalar256b::F32_LANES,
        }
    }

    /// Runs `kernel` compiled for these instructions.
    #[inline]
    pub fn run(self, kernel: impl Kernel) {
        match self {
            #[cfg(target_arch = "x86_64")]
            Level::Avx512(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            #[cfg(target_arch = "x86_64")]
            Level::Avx2(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            #[cfg(target_arch = "aarch64")]
            Level::Neon(simd) => simd.vectorize(
                #[inline(always)]
                || kernel.run(simd),
            ),
            Level::Portable => kernel.run(Scalar256b),
        }
    }
}
