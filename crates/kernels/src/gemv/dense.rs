//! Thin products with float weights: dot products of a row with a few vectors, in registers.

use std::{marker::PhantomData, ops::Range};

use bytemuck::{Pod, Zeroable, bytes_of_mut, cast_slice};
use pulp::Simd;

use super::{MatVec, TILE_VECTORS, activations::Order, output::Output};
use crate::{
    float::Float,
    isa::{self, Isa, Kernel},
    matrix::Matrix,
    prefetch::prefetch_lines,
    scratch::Scratch,
    simd_ext::SimdExt,
};

/// Sums of a row and a vector, which take its registers of columns in turn: a multiply-add need not wait for the last one.
const SUMS: usize = 4;

/// How registers of weights and of vectors are multiplied.
trait Arithmetic: Copy {
    type Simd: SimdExt;
    type Weights: Pod;
    type Vector: Pod;

    fn simd(self) -> Self::Simd;

    fn multiply_add(self, w: Self::Weights, x: Self::Vector, sum: Lanes<Self>) -> Lanes<Self>;
}

type Lanes<A> = <<A as Arithmetic>::Simd as Simd>::f32s;

/// Weights `T` widened to float32, and vectors of float32.
struct Widened<S, T>(S, PhantomData<T>);

impl<S: Copy, T> Copy for Widened<S, T> {}

impl<S: Copy, T> Clone for Widened<S, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S: SimdExt, T: Float> Arithmetic for Widened<S, T> {
    type Simd = S;
    type Weights = T::Packed<S>;
    type Vector = S::f32s;

    #[inline(always)]
    fn simd(self) -> S {
        self.0
    }

    #[inline(always)]
    fn multiply_add(self, w: T::Packed<S>, x: S::f32s, sum: S::f32s) -> S::f32s {
        self.0.multiply_add(T::widen(self.0, w), x, sum)
    }
}

/// bfloat16 by bfloat16, as [`crate::isa::Bf16::dot`] multiplies them.
#[cfg(target_arch = "x86_64")]
impl Arithmetic for crate::isa::Bf16 {
    type Simd = pulp::x86::V4;
    type Weights = pulp::u16x32;
    type Vector = pulp::u16x32;

    #[inline(always)]
    fn simd(self) -> pulp::x86::V4 {
        crate::isa::Bf16::simd(self)
    }

    #[inline(always)]
    fn multiply_add(self, w: pulp::u16x32, x: pulp::u16x32, sum: pulp::f32x16) -> pulp::f32x16 {
        use std::{arch::x86_64::__m512bh, mem::transmute};
        // SAFETY: any 512 bits are 32 bfloat16.
        let [w, x] = [w, x].map(|bits| unsafe { transmute::<pulp::u16x32, __m512bh>(bits) });
        pulp::cast(self.dot(pulp::cast(sum), w, x))
    }
}

/// `x` `[n, columns]` in the order in which it is read: a tile of vectors after the other, and of these a register of each
/// in turn, the last one padded with zeros. A single vector lies where it is.
pub struct Interleaved<'a, X> {
    x: &'a [X],
    copy: Option<Scratch>,
    n: usize,
    columns: usize,
    /// Columns of a register.
    width: usize,
    /// Vectors of a tile.
    tile: usize,
}

impl<'a, X: Pod> Interleaved<'a, X> {
    /// `columns` is at least one.
    fn new(x: &'a [X], columns: usize, width: usize, tile: usize) -> Self {
        let n = x.len() / columns;
        let padded = columns.next_multiple_of(width);
        let copy = (n > 1 || columns < padded).then(|| {
            let mut copy = Scratch::zeroed::<X>(n * padded);
            let tiles = copy.values_mut()[..n * padded].chunks_mut(tile * padded);
            for (to, x) in tiles.zip(x.chunks(tile * columns)) {
                let vectors = x.len() / columns;
                for (i, x) in x.chunks(columns).enumerate() {
                    for (x, to) in x.chunks(width).zip(to[i * width..].chunks_mut(vectors * width)) {
                        to[..x.len()].copy_from_slice(x);
                    }
                }
            }
            copy
        });
        Self { x, copy, n, columns, width, tile }
    }

    /// The tile from a vector on, and its vectors.
    #[inline(always)]
    fn tile<R: Pod>(&self, first: usize) -> (&[R], usize) {
        let vectors = self.tile.min(self.n - first);
        let padded = self.columns.next_multiple_of(self.width);
        let all = self.copy.as_ref().map_or(self.x, Scratch::values);
        (cast_slice(&all[first * padded..][..vectors * padded]), vectors)
    }
}

/// Vectors of a tile: with each there are [`SUMS`] more registers.
fn tile(many_registers: bool) -> usize {
    if many_registers { TILE_VECTORS } else { TILE_VECTORS / 2 }
}

impl<T: Float> MatVec<f32> for Matrix<'_, T> {
    type Input<'x> = Interleaved<'x, f32>;

    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn row_bytes(&self) -> usize {
        self.columns() * size_of::<T>()
    }

    fn input(isa: Isa, x: &[f32], columns: usize, _: Order) -> Interleaved<'_, f32> {
        Interleaved::new(x, columns, isa.lanes(), tile(isa.has_many_registers()))
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Interleaved<'_, f32>, y: &Output<'_>) {
        struct Run<'a, T>(Rows<'a, T, f32>);

        impl<T: Float> Kernel for Run<'_, T> {
            #[inline(always)]
            fn run<S: SimdExt>(self, simd: S) {
                self.0.multiply(Widened(simd, PhantomData::<T>));
            }
        }
        isa.run(Run(Rows { weight: *self, rows, x, y }));
    }
}

/// Only where the processor has bfloat16.
#[cfg(target_arch = "x86_64")]
impl MatVec<half::bf16> for Matrix<'_, half::bf16> {
    type Input<'x> = Interleaved<'x, u16>;

    fn rows(&self) -> usize {
        self.rows()
    }

    fn columns(&self) -> usize {
        self.columns()
    }

    fn row_bytes(&self) -> usize {
        self.columns() * size_of::<half::bf16>()
    }

    fn input(_: Isa, x: &[half::bf16], columns: usize, _: Order) -> Interleaved<'_, u16> {
        Interleaved::new(half::bf16::bits(x), columns, 32, tile(true))
    }

    fn multiply(&self, isa: Isa, rows: Range<usize>, x: &Interleaved<'_, u16>, y: &Output<'_>) {
        let Some(bf16) = isa.bf16() else { unreachable!("the caller asks for bfloat16 only where it is") };
        let rows = Rows { weight: *self, rows, x, y };
        bf16.vectorize(
            #[inline(always)]
            || rows.multiply(bf16),
        );
    }
}

/// Some rows of a matrix times all vectors.
struct Rows<'a, T, X> {
    weight: Matrix<'a, T>,
    rows: Range<usize>,
    x: &'a Interleaved<'a, X>,
    y: &'a Output<'a>,
}

impl<T: Float, X: Pod> Rows<'_, T, X> {
    #[inline(always)]
    fn multiply<A: Arithmetic>(self, a: A) {
        for first in (0..self.x.n).step_by(self.x.tile) {
            let (x, vectors) = self.x.tile(first);
            match vectors {
                1 => self.times::<A, 1>(a, x, first),
                2 => self.times::<A, 2>(a, x, first),
                3 => self.times::<A, 3>(a, x, first),
                _ => self.times::<A, TILE_VECTORS>(a, x, first),
            }
        }
    }

    /// The rows, one after the other, times a tile of `N` vectors.
    #[inline(always)]
    fn times<A: Arithmetic, const N: usize>(&self, a: A, x: &[A::Vector], first: usize) {
        let columns = self.weight.columns();
        let (x, _) = x.as_chunks::<N>();
        // Only the first vectors wait for memory: the others find these rows in a cache.
        let ahead = if first == 0 { isa::ahead() } else { None };
        for row in self.rows.clone() {
            let weight = T::bits(&self.weight.values()[row * columns..][..columns]);
            for (n, product) in products(a, weight, x, ahead).into_iter().enumerate() {
                self.y.write(first + n, row, &[product]);
            }
        }
    }
}

/// The products of a row with some vectors.
// Loops over arrays: `map` would take the sums by address, and keep them in memory throughout.
#[inline(always)]
fn products<A: Arithmetic, B: Pod, const N: usize>(
    a: A,
    row: &[B],
    x: &[[A::Vector; N]],
    ahead: Option<usize>,
) -> [f32; N] {
    let width = size_of::<A::Weights>() / size_of::<B>();
    let (whole, rest) = row.split_at(row.len() / width * width);
    let whole: &[A::Weights] = cast_slice(whole);
    let mut sums = [[a.simd().splat_f32s(0.0); SUMS]; N];

    let (turns, last) = whole.as_chunks::<SUMS>();
    let (x_turns, x_last) = x.split_at(turns.len() * SUMS);
    for (w, x) in turns.iter().zip(x_turns.as_chunks::<SUMS>().0) {
        if let Some(ahead) = ahead {
            prefetch_lines(cast_slice(w), ahead);
        }
        for i in 0..SUMS {
            add(a, w[i], &x[i], &mut sums, i);
        }
    }
    // Fewer than a turn, each with its own sum.
    for i in 0..SUMS {
        let Some(x) = x_last.get(i) else { break };
        let w = last.get(i).copied().unwrap_or_else(|| {
            let mut w = A::Weights::zeroed();
            let bytes: &[u8] = cast_slice(rest);
            bytes_of_mut(&mut w)[..bytes.len()].copy_from_slice(bytes);
            w
        });
        add(a, w, x, &mut sums, i);
    }

    let mut products = [0.0; N];
    for (product, [first, second, third, fourth]) in products.iter_mut().zip(sums) {
        let simd = a.simd();
        let sum = simd.add_f32s(simd.add_f32s(first, second), simd.add_f32s(third, fourth));
        *product = simd.reduce_sum_f32s(sum);
    }
    products
}

/// One register of columns, into sum `i`.
#[inline(always)]
fn add<A: Arithmetic, const N: usize>(
    a: A,
    w: A::Weights,
    x: &[A::Vector; N],
    sums: &mut [[Lanes<A>; SUMS]; N],
    i: usize,
) {
    for (sums, x) in sums.iter_mut().zip(x) {
        sums[i] = a.multiply_add(w, *x, sums[i]);
    }
}
