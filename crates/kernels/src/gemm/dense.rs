//! Panels of float weights: a step is a unit, and a lane's sum one chain of multiply-adds over the columns.

use std::{marker::PhantomData, ops::Range};

use pulp::Simd;

use super::{
    MR, MicroKernel, Vector,
    pack::{RowMajor, Stored, pack},
    transpose::Transpose,
};
#[cfg(target_arch = "x86_64")]
use crate::isa::Bf16;
use crate::prefetch::Prefetcher;

/// How units are multiplied and added up.
pub trait Arithmetic: Copy + Send + Sync {
    type Simd: Transpose;

    fn simd(self) -> Self::Simd;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize(self, f: impl FnOnce());

    fn multiply_add(self, w: Units<Self>, x: Units<Self>, sum: Units<Self>) -> Units<Self>;
}

type Units<A> = <<A as Arithmetic>::Simd as Simd>::f32s;

/// Units of one float32.
#[derive(Clone, Copy)]
pub struct Fma<S>(pub S);

impl<S: Transpose> Arithmetic for Fma<S> {
    type Simd = S;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn vectorize(self, f: impl FnOnce()) {
        struct Call<F>(F);

        impl<F: FnOnce()> pulp::WithSimd for Call<F> {
            type Output = ();

            #[inline(always)]
            fn with_simd<S: Simd>(self, _: S) {
                (self.0)();
            }
        }
        self.0.vectorize(Call(f));
    }

    #[inline(always)]
    fn multiply_add(self, w: S::f32s, x: S::f32s, sum: S::f32s) -> S::f32s {
        self.0.multiply_add(w, x, sum)
    }
}

/// Units of two bfloat16, multiplied and summed as [`Bf16::dot`] does.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct Pairs(pub Bf16);

#[cfg(target_arch = "x86_64")]
impl Arithmetic for Pairs {
    type Simd = pulp::x86::V4;

    #[inline(always)]
    fn simd(self) -> pulp::x86::V4 {
        self.0.simd()
    }

    #[inline(always)]
    fn vectorize(self, f: impl FnOnce()) {
        self.0.vectorize(f);
    }

    #[inline(always)]
    fn multiply_add(self, w: pulp::f32x16, x: pulp::f32x16, sum: pulp::f32x16) -> pulp::f32x16 {
        use std::{arch::x86_64::__m512bh, mem::transmute};
        // SAFETY: any 512 bits are 32 bfloat16.
        let [w, x] = [w, x].map(|units| unsafe { transmute::<pulp::f32x16, __m512bh>(units) });
        pulp::cast(self.0.dot(pulp::cast(sum), w, x))
    }
}

/// Vectors `X` and weights `W` whose units `A` multiplies.
#[derive(Clone, Copy)]
pub struct Dense<'a, A, X: Stored, W> {
    arithmetic: A,
    x: RowMajor<'a, X>,
    weight: PhantomData<fn(W)>,
}

impl<'a, A, X: Stored, W: Stored> Dense<'a, A, X, W> {
    /// `x` `[n, columns]`, `columns` at least one.
    pub fn new(arithmetic: A, x: &'a [X::Number], columns: usize) -> Self {
        Self { arithmetic, x: RowMajor::new(x, columns), weight: PhantomData }
    }
}

impl<'a, A: Arithmetic, X: Stored, W: Stored> MicroKernel for Dense<'a, A, X, W> {
    type Simd = A::Simd;
    type Weight = RowMajor<'a, W>;

    // The sums take 24 registers of 32, or 12 of 16.
    const NR: usize = if <A::Simd as Simd>::REGISTER_COUNT >= 32 { 12 } else { 6 };
    const ROW_UNITS: usize = 1;
    const VECTOR_UNITS: usize = 1;

    #[inline(always)]
    fn simd(&self) -> A::Simd {
        self.arithmetic.simd()
    }

    #[inline(always)]
    fn vectorize(&self, f: impl FnOnce()) {
        self.arithmetic.vectorize(f);
    }

    fn vectors(&self) -> usize {
        self.x.rows()
    }

    fn rows(&self, weight: &RowMajor<'a, W>) -> usize {
        weight.rows()
    }

    fn steps(&self) -> usize {
        self.x.units()
    }

    #[inline(always)]
    fn pack_vectors(&self, vectors: Range<usize>, width: usize, steps: Range<usize>, packed: &mut [f32]) {
        pack(self.simd(), self.x, vectors, width, steps, packed);
    }

    #[inline(always)]
    fn pack_rows(&self, weight: &RowMajor<'a, W>, rows: Range<usize>, steps: Range<usize>, packed: &mut [f32]) {
        let width = MR * <A::Simd as Simd>::F32_LANES;
        pack(self.simd(), *weight, rows, width, steps, packed);
    }

    fn stored<'b>(&'b self, weight: &'b RowMajor<'a, W>, rows: Range<usize>) -> &'b [u8] {
        weight.stored(rows)
    }

    #[inline(always)]
    fn add<const N: usize>(
        &self,
        w: &[[Vector<Self>; MR]],
        x: &[[f32; N]],
        mut sums: [[Vector<Self>; MR]; N],
        mut prefetcher: Prefetcher<'_>,
    ) -> [[Vector<Self>; MR]; N] {
        for (w, x) in w.iter().zip(x) {
            prefetcher.step();
            for (sums, x) in sums.iter_mut().zip(x) {
                let x = self.simd().splat_f32s(*x);
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = self.arithmetic.multiply_add(*w, x, *sum);
                }
            }
        }
        sums
    }
}
