//! Panels of floating-point weights: a step is a unit, and a lane's sum one chain of multiply-adds over the columns.

use std::{marker::PhantomData, ops::Range};

use pulp::Simd;

use super::{
    Scheme, VECTORS, Vector,
    ahead::Ahead,
    pack::{Matrix, Stored, pack},
    square::Square,
};

/// Instructions that multiply units and add them up.
pub trait Arithmetic: Copy + Send + Sync {
    type Simd: Square;

    fn simd(self) -> Self::Simd;

    /// Runs `f` compiled for these instructions, if all it calls is `#[inline(always)]`.
    fn vectorize(self, f: impl FnOnce());

    fn multiply_add(self, w: Units<Self>, x: Units<Self>, sum: Units<Self>) -> Units<Self>;
}

type Units<A> = <<A as Arithmetic>::Simd as Simd>::f32s;

/// Units that are float32.
#[derive(Clone, Copy)]
pub struct Fma<S>(pub S);

impl<S: Square> Arithmetic for Fma<S> {
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

/// Units that are two bfloat16: AVX-512 with an instruction that adds both products to a float32.
///
/// A product is exact, each of the two sums rounded to nearest. Numbers below 2^-126 count as zero.
#[cfg(target_arch = "x86_64")]
#[derive(Clone, Copy, Debug)]
pub struct PairDots(pulp::x86::V4);

#[cfg(target_arch = "x86_64")]
impl PairDots {
    pub fn try_new() -> Option<Self> {
        let simd = pulp::x86::V4::try_new()?;
        std::arch::is_x86_feature_detected!("avx512bf16").then_some(Self(simd))
    }
}

#[cfg(target_arch = "x86_64")]
impl Arithmetic for PairDots {
    type Simd = pulp::x86::V4;

    #[inline(always)]
    fn simd(self) -> pulp::x86::V4 {
        self.0
    }

    #[inline(always)]
    fn vectorize(self, f: impl FnOnce()) {
        #[target_feature(
            enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16,bmi1,bmi2,lzcnt,popcnt,fxsr"
        )]
        fn run(f: impl FnOnce()) {
            f();
        }
        // SAFETY: `self` is proof of these instructions.
        unsafe { run(f) }
    }

    #[inline(always)]
    fn multiply_add(self, w: pulp::f32x16, x: pulp::f32x16, sum: pulp::f32x16) -> pulp::f32x16 {
        use std::{
            arch::x86_64::{__m512bh, _mm512_dpbf16_ps},
            mem::transmute,
        };
        // SAFETY: `self` is proof of these instructions, and any 512 bits are numbers.
        unsafe {
            let (w, x) = (
                transmute::<pulp::f32x16, __m512bh>(w),
                transmute::<pulp::f32x16, __m512bh>(x),
            );
            pulp::cast(_mm512_dpbf16_ps(pulp::cast(sum), w, x))
        }
    }
}

/// Weights and vectors of any two types whose units `A` multiplies.
#[derive(Clone, Copy)]
pub struct Floats<'a, A, X: Stored, W> {
    arithmetic: A,
    x: Matrix<'a, X>,
    weight: PhantomData<fn(W)>,
}

impl<'a, A, X: Stored, W: Stored> Floats<'a, A, X, W> {
    /// `x` `[n, columns]`, `columns` at least one.
    pub fn new(arithmetic: A, x: &'a [X::Number], columns: usize) -> Self {
        Self {
            arithmetic,
            x: Matrix::new(x, columns),
            weight: PhantomData,
        }
    }
}

impl<'a, A: Arithmetic, X: Stored, W: Stored> Scheme for Floats<'a, A, X, W> {
    type Simd = A::Simd;
    type Weight = Matrix<'a, W>;

    // 24 registers of 32 for sums, or 12 of 16.
    const TOGETHER: usize = if <A::Simd as Simd>::REGISTER_COUNT >= 32 {
        12
    } else {
        6
    };
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

    fn rows(&self, weight: &Matrix<'a, W>) -> usize {
        weight.rows()
    }

    fn steps(&self) -> usize {
        self.x.units()
    }

    #[inline(always)]
    fn pack_vectors(
        &self,
        vectors: Range<usize>,
        width: usize,
        steps: Range<usize>,
        packed: &mut [f32],
    ) {
        pack(self.simd(), self.x, vectors, width, steps, packed);
    }

    #[inline(always)]
    fn pack_rows(
        &self,
        weight: &Matrix<'a, W>,
        rows: Range<usize>,
        steps: Range<usize>,
        packed: &mut [f32],
    ) {
        let width = VECTORS * <A::Simd as Simd>::F32_LANES;
        pack(self.simd(), *weight, rows, width, steps, packed);
    }

    fn stored<'b>(&'b self, weight: &'b Matrix<'a, W>, rows: Range<usize>) -> &'b [u8] {
        weight.stored(rows)
    }

    #[inline(always)]
    fn add<const N: usize>(
        &self,
        w: &[[Vector<Self>; VECTORS]],
        x: &[[f32; N]],
        mut sums: [[Vector<Self>; VECTORS]; N],
        mut ahead: Ahead<'_>,
    ) -> [[Vector<Self>; VECTORS]; N] {
        for (w, x) in w.iter().zip(x) {
            ahead.turn();
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
