//! Products `y = x W^T` of any number of vectors: `gemv` for a few, `gemm` from where repacking the weights pays.

use half::{bf16, slice::HalfFloatSliceExt};

use crate::{
    float::Float,
    gemm::{
        self,
        dense::{Dense, Fma},
        pack::{RowMajor, Widened},
        transpose::Transpose,
    },
    gemv::gemv,
    isa::Isa,
    matrix::Matrix,
    quant::{BlockMatrix, Panels, QuantizedMatrix},
};
#[cfg(target_arch = "x86_64")]
use crate::{
    gemm::{dense::Pairs, pack::Bits},
    isa::Bf16,
};

/// What products of many vectors differ by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightKind {
    F32,
    /// binary16, or bfloat16 that is multiplied with vectors of another type.
    Halves,
    /// bfloat16 by bfloat16.
    Pairs,
    /// In any format.
    Quantized,
}

impl WeightKind {
    pub const ALL: [Self; 4] = [Self::F32, Self::Halves, Self::Pairs, Self::Quantized];

    /// The most vectors of which each has the bits that it has alone: `gemm`, which more of them go to, adds up in another
    /// order than `gemv`. `usize::MAX` where all go to `gemv`.
    pub fn most_as_alone(self) -> usize {
        self.gemm_from().map_or(usize::MAX, |from| from - 1)
    }

    /// Vectors from which `gemm` is ahead; `None`: it has no kernel for these weights here.
    fn gemm_from(self) -> Option<usize> {
        match self {
            Self::F32 => Some(32),
            // Half as much is read where it lies, and multiplied no faster.
            Self::Halves => Some(64),
            #[cfg(target_arch = "x86_64")]
            Self::Pairs if Isa::best().bf16().is_some() => Some(if Bf16::is_ahead_of_float32() { 16 } else { 24 }),
            Self::Pairs => Self::Halves.gemm_from(),
            Self::Quantized => None,
        }
    }

    /// Whether `gemm` multiplies `len` numbers in vectors of so many columns.
    fn is_for_gemm(self, len: usize, columns: usize) -> bool {
        columns > 0 && self.gemm_from().is_some_and(|from| len / columns >= from)
    }
}

/// `x` `[n, columns]` times each matrix `[rows, columns]` -> its `y` `[n, rows]`, all in float32, with the same bound of the
/// error as `gemv`: `2 columns u` of the sum of magnitudes, with unit roundoff `u`.
///
/// The result does not depend on the number of threads; a row of it on `n`, but not on the other rows.
///
/// # Panics
/// If the lengths contradict each other.
pub fn matmul_t<T: Float>(x: &[f32], products: &mut [(Matrix<'_, T>, &mut [f32])]) {
    let kind = if size_of::<T>() < size_of::<f32>() { WeightKind::Halves } else { WeightKind::F32 };
    let columns = columns(products, Matrix::columns);
    if kind.is_for_gemm(x.len(), columns) {
        gemm(Isa::best(), x, products, columns);
    } else {
        gemv(Isa::best(), x, products);
    }
}

/// The columns that all matrices have; 0 if there is no matrix.
fn columns<M>(products: &[(M, &mut [f32])], columns: impl Fn(&M) -> usize) -> usize {
    products.first().map_or(0, |(matrix, _)| columns(matrix))
}

/// [`gemm::multiply`] with float32 arithmetic; `columns` is at least one.
fn gemm<T: Float>(isa: Isa, x: &[f32], products: &mut [(Matrix<'_, T>, &mut [f32])], columns: usize) {
    match isa {
        #[cfg(target_arch = "x86_64")]
        Isa::Avx512(avx512) => gemm_with(avx512.simd, x, products, columns),
        #[cfg(target_arch = "x86_64")]
        Isa::Avx2(simd) => gemm_with(simd, x, products, columns),
        #[cfg(target_arch = "aarch64")]
        Isa::Neon(simd) => gemm_with(simd, x, products, columns),
        Isa::Portable => gemm_with(pulp::Scalar256b, x, products, columns),
    }
}

fn gemm_with<S: Transpose, T: Float>(simd: S, x: &[f32], products: &mut [(Matrix<'_, T>, &mut [f32])], columns: usize) {
    let kernel = Dense::<_, Widened<f32>, Widened<T>>::new(Fma(simd), x, columns);
    let products = products.iter_mut();
    let mut products: Vec<_> =
        products.map(|(matrix, y)| (RowMajor::new(matrix.values(), columns), &mut **y)).collect();
    gemm::multiply(&kernel, &mut products);
}

/// [`matmul_t`] of bfloat16 vectors and weights. Where the processor multiplies bfloat16 itself, and of many vectors no slower than
/// float32, only the sums are float32: products are exact, sums rounded to nearest, numbers below 2^-126 taken as zero.
///
/// # Panics
/// As [`matmul_t`].
pub fn matmul_t_bf16(x: &[bf16], products: &mut [(Matrix<'_, bf16>, &mut [f32])]) {
    #[cfg(target_arch = "x86_64")]
    {
        let (isa, columns) = (Isa::best(), columns(products, Matrix::columns));
        if let Some(bf16) = isa.bf16() {
            return if !WeightKind::Pairs.is_for_gemm(x.len(), columns) {
                gemv(isa, x, products);
            } else if Bf16::is_ahead_of_float32() {
                gemm_bf16(bf16, x, products, columns);
            } else {
                gemm(isa, &x.to_f32_vec(), products, columns);
            };
        }
    }
    matmul_t(&x.to_f32_vec(), products);
}

#[cfg(target_arch = "x86_64")]
fn gemm_bf16(isa: Bf16, x: &[bf16], products: &mut [(Matrix<'_, bf16>, &mut [f32])], columns: usize) {
    let kernel = Dense::<_, Bits<u16>, Bits<u16>>::new(Pairs(isa), x.reinterpret_cast(), columns);
    let products = products.iter_mut();
    let mut products: Vec<_> = products
        .map(|(matrix, y)| {
            let bits = matrix.values().reinterpret_cast();
            (RowMajor::new(bits, columns), &mut **y)
        })
        .collect();
    gemm::multiply(&kernel, &mut products);
}

/// [`matmul_t`] with quantized weights where they lie, row by row; [`matmul_t_panels`] is faster where there is such. `x` is
/// rounded to 8 bits, and sums are those in float32 of exact products of a group. A row of the result does not depend on `n`.
///
/// # Panics
/// As [`matmul_t`].
pub fn matmul_t_quantized(x: &[f32], products: &mut [(QuantizedMatrix<'_>, &mut [f32])]) {
    gemv(Isa::best(), x, products);
}

/// The same with weights in blocks, of several formats or of one.
///
/// # Panics
/// As [`matmul_t`].
pub fn matmul_t_blocks(x: &[f32], products: &mut [(BlockMatrix<'_>, &mut [f32])]) {
    gemv(Isa::best(), x, products);
}

/// The same with matrices in strips, of several formats or of one.
///
/// # Panics
/// As [`matmul_t`].
pub fn matmul_t_panels(x: &[f32], products: &mut [(&Panels, &mut [f32])]) {
    #[cfg(target_arch = "x86_64")]
    gemv(Isa::best(), x, products);
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (x, products);
        unreachable!("no matrix is laid in strips where no kernel reads them")
    }
}

#[cfg(test)]
mod tests;
