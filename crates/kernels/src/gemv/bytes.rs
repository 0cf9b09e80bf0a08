//! What thin products with quantized weights need of an instruction set.

use pulp::Scalar256b;

use crate::{isa::Isa, quant::blocks::apart};

/// Groups of a span, the columns whose factors are computed together: 256.
pub const SPAN: usize = 8;

/// Integer dot products of bytes in registers.
///
/// A register holds the quants of [`GROUPS`](Bytes::GROUPS) groups of 32 columns, in the order of the columns. Its products
/// are floats, one for every four of its bytes; [`Factors`](Bytes::Factors) scale them. A span has 8 factors if 32 columns
/// share one, or 16 if `SIZE`, the columns that do, is 16.
///
/// Functions that give something for each group of a register are called with 0 and up.
pub trait Bytes: Copy + Send + Sync {
    /// Bytes: unsigned ones of at most 63, or signed ones as [`Bytes::signed`] holds them.
    type Quants: Copy;
    /// One float for every four bytes.
    type Floats: Copy;
    /// The factors of a span.
    type Factors: Copy;

    const GROUPS: usize;

    /// Vectors that are multiplied with a register of quants: 1 or 4.
    const TILE: usize;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize<F: FnOnce()>(self, f: F);

    /// 32 bytes for each group.
    fn load<'a>(self, group: impl Fn(usize) -> &'a [u8; 32]) -> Self::Quants;

    /// The lower halves of 16 bytes and then their upper halves.
    fn nibbles<'a>(self, group: impl Fn(usize) -> &'a [u8; 16]) -> Self::Quants;

    /// Those bits of each byte that lie under `mask` once they are moved to the right, or to the left by fewer than none.
    fn field(self, bytes: Self::Quants, right: impl Fn(usize) -> i32, mask: u8) -> Self::Quants;

    /// `value` for each bit that is set.
    fn bits(self, group: impl Fn(usize) -> u32, value: u8) -> Self::Quants;

    fn or(self, a: Self::Quants, b: Self::Quants) -> Self::Quants;

    /// Numbers that bytes of 0 to 15 name, as signed bytes.
    fn look_up(self, table: &[i8; 16], bytes: Self::Quants) -> Self::Quants;

    /// Signed bytes, stored in two's complement ...
    fn signed(self, bytes: Self::Quants) -> Self::Quants;

    /// ... or with an offset of 128.
    fn signed_from_offset(self, bytes: Self::Quants) -> Self::Quants;

    /// Sums of the products of a span's register with its activations; of unsigned quants, or of signed ones. Exact.
    fn dot<const SIGNED: bool>(self, quants: Self::Quants, x: &[i8; SPAN * 32], register: usize) -> Self::Floats;

    /// All the same, in binary16.
    fn half(self, bits: u16) -> Self::Factors;

    /// Halves of powers of two, each named by its exponent with an offset of 127.
    fn half_powers(self, exponents: [u8; SPAN]) -> Self::Factors;

    /// 8 factors, in binary16 ...
    fn halves(self, bits: [u16; SPAN]) -> Self::Factors;

    /// ... or in float32.
    fn floats(self, values: &[f32; SPAN]) -> Self::Factors;

    /// 16 factors.
    fn floats16(self, values: &[f32; 2 * SPAN]) -> Self::Factors;

    /// 16 factors of 8, each twice.
    fn twice(self, values: &[f32; SPAN]) -> Self::Factors;

    /// Factors that are integers.
    fn integers(self, values: [i8; 2 * SPAN]) -> Self::Factors;

    /// 8 factors that are integers of 4 bits, the first in the lowest bits.
    #[inline(always)]
    fn integers_of_4_bits(self, word: u32) -> Self::Factors {
        self.integers(pulp::cast([apart::<4>(word).to_le(), 0]))
    }

    fn times(self, a: Self::Factors, b: Self::Factors) -> Self::Factors;

    fn scaled(self, factors: Self::Factors, by: f32) -> Self::Factors;

    /// The factors of a span's register, each for the products that it scales.
    fn spread<const SIZE: usize>(self, factors: Self::Factors, register: usize) -> Self::Floats;

    fn zero(self) -> Self::Floats;

    /// `a * b + sum`
    fn multiply_add(self, a: Self::Floats, b: Self::Floats, sum: Self::Floats) -> Self::Floats;

    /// `a * b + sum`, each product in some lane.
    fn add_factors<const SIZE: usize>(self, a: Self::Factors, b: Self::Factors, sum: Self::Floats) -> Self::Floats;

    fn add(self, a: Self::Floats, b: Self::Floats) -> Self::Floats;

    /// The sums over the lanes of four, in the same order for each.
    fn reduce(self, four: [Self::Floats; 4]) -> [f32; 4];
}

/// A computation on the byte products of any instruction set.
pub trait OnBytes {
    /// Everything that this calls must be `#[inline(always)]`.
    fn run<B: Bytes>(self, bytes: B);
}

/// Runs it compiled for the best that `isa` has.
pub fn run(isa: Isa, on: impl OnBytes) {
    fn vectorized<B: Bytes>(bytes: B, on: impl OnBytes) {
        bytes.vectorize(
            #[inline(always)]
            || on.run(bytes),
        );
    }
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => vectorized(*avx512.simd, on),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(avx2) => vectorized(avx2, on),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(neon) => vectorized(neon, on),
        Isa::Portable => vectorized(Scalar256b, on),
    }
}

/// [`Bytes::TILE`] of the best that `isa` has.
pub fn tile(isa: Isa) -> usize {
    struct Tile<'a>(&'a mut usize);
    impl OnBytes for Tile<'_> {
        #[inline(always)]
        fn run<B: Bytes>(self, _: B) {
            *self.0 = B::TILE;
        }
    }
    let mut tile = 0;
    run(isa, Tile(&mut tile));
    tile
}
