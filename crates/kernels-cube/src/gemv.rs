//! Products of a few vectors with a matrix of floats: one output per row of the matrix.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    AdapterClass, elem, empty,
    gemv_words::{self, Format, Reading},
    primitive, reduce, tensor, vector_size,
};

/// Beyond as many vectors, an adapter with matrix units is faster with those.
pub const MAX_VECTORS: usize = 8;

/// The most vectors that the kernels take.
pub(super) fn max_vectors(class: AdapterClass) -> usize {
    if class.software { usize::MAX } else { MAX_VECTORS }
}

/// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each
pub fn matmul_t(class: AdapterClass, x: &Tensor<2>, weights: &[Tensor<2>]) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    if n == 0 || n > max_vectors(class) || columns == 0 {
        return None;
    }
    let x = into_contiguous(primitive(x)?);
    let weights: Vec<CubeTensor> = weights.iter().map(primitive).collect::<Option<_>>()?;
    if weights.iter().any(|weight| !weight.is_contiguous() || weight.dtype != x.dtype) {
        return None;
    }
    // Where a unit has a row to itself, one load brings two halves. Where units read side by side, memory sets the pace; and for
    // several vectors arithmetic does.
    let halves = class.software && n == 1 && x.dtype == DType::F16;
    let reading = if halves { Reading::of(class, &x, Format::F16, columns) } else { None };
    let products = weights.into_iter().map(|weight| match reading {
        Some(reading) => tensor(gemv_words::product(class, x.clone(), weight, None, reading)),
        None => product(class, x.clone(), weight),
    });
    Some(products.collect())
}

fn product(class: AdapterClass, x: CubeTensor, weight: CubeTensor) -> Tensor<2> {
    let [n, columns]: [usize; 2] = x.meta.shape().dims();
    let rows = weight.meta.shape()[0];
    let out = empty(&x, [n, rows]);
    if rows > 0 {
        let shape = Shape::of(class, n);
        let vector = vector_size(columns);
        // SAFETY: units beyond the last row read the last one and write nothing.
        unsafe {
            gemv_kernel::launch_unchecked(
                &x.client.clone(),
                shape.count(rows, n),
                CubeDim::new_1d(shape.units as u32),
                vector,
                x.clone().into_buffer_arg(),
                weight.into_buffer_arg(),
                out.clone().into_buffer_arg(),
                columns / vector,
                rows,
                n,
                shape,
                elem(&x),
            );
        }
    }
    tensor(out)
}

/// How the work is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Shape {
    /// Units of a cube.
    pub units: usize,
    /// Units that share a row of the matrix.
    pub units_per_row: usize,
    /// Rows that a unit computes side by side: what it reads of `x` serves them all.
    pub rows: usize,
    /// Vectors that a unit computes side by side: what it reads of the matrix serves them all.
    pub tokens: usize,
}

impl Shape {
    pub fn of(class: AdapterClass, n: usize) -> Self {
        // A power of two, so that not every number of vectors has a kernel of its own.
        let tokens = n.next_power_of_two().min(8);
        if class.software {
            // Every load costs about the same: a unit has a row to itself.
            Self { units: 16, units_per_row: 1, rows: if n == 1 { 4 } else { 8 }, tokens }
        } else {
            // Units side by side read side by side.
            Self { units: 128, units_per_row: 32, rows: 2, tokens }
        }
    }

    /// The cubes for `n` vectors and a matrix of `rows` rows.
    pub fn count(self, rows: usize, n: usize) -> CubeCount {
        let rows_of_cube = self.units / self.units_per_row * self.rows;
        CubeCount::Static(rows.div_ceil(rows_of_cube) as u32, n.div_ceil(self.tokens) as u32, 1)
    }

    /// Sums that a unit computes.
    pub fn sums(self) -> usize {
        self.rows * self.tokens
    }
}

#[cube(launch_unchecked)]
fn gemv_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    out: &mut [F],
    vectors: usize,
    rows: usize,
    tokens: usize,
    #[comptime] shape: Shape,
    #[define(F)] _dtype: ElemType,
) {
    let (lane, first_row, first_token) = position(shape);

    let mut sums = Array::<Vector<f32, N>>::new(comptime!(shape.sums()));
    #[unroll]
    for i in 0..comptime!(shape.sums()) {
        sums[i] = Vector::new(0.0f32);
    }
    let mut at = lane;
    while at < vectors {
        let mut inputs = Array::<Vector<f32, N>>::new(shape.tokens);
        #[unroll]
        for token in 0..shape.tokens {
            let token_at = usize::min(first_token + token, tokens - 1);
            inputs[token] = Vector::cast_from(x[token_at * vectors + at]);
        }
        #[unroll]
        for row in 0..shape.rows {
            let row_at = usize::min(first_row + row, rows - 1);
            let weights = Vector::<f32, N>::cast_from(weight[row_at * vectors + at]);
            #[unroll]
            for token in 0..shape.tokens {
                sums[row * shape.tokens + token] += weights * inputs[token];
            }
        }
        at += shape.units_per_row;
    }
    write::<F, N>(&sums, out, rows, tokens, shape);
}

/// Which of the units of its row this one is, and the first row and the first vector that it computes.
#[cube]
pub(super) fn position(#[comptime] shape: Shape) -> (usize, usize, usize) {
    let lane = UNIT_POS_X as usize % shape.units_per_row;
    let group = CUBE_POS_X as usize * (shape.units / shape.units_per_row) + UNIT_POS_X as usize / shape.units_per_row;
    let first_token = CUBE_POS_Y as usize * shape.tokens;
    (lane, group * shape.rows, first_token)
}

/// Adds up the sums of the units of a row, `[rows][tokens]` of each, and writes them.
#[cube]
pub(super) fn write<F: Float, N: Size>(
    sums: &Array<Vector<f32, N>>,
    out: &mut [F],
    rows: usize,
    tokens: usize,
    #[comptime] shape: Shape,
) {
    let (lane, first_row, first_token) = position(shape);
    if comptime!(shape.units_per_row == 1) {
        #[unroll]
        for row in 0..shape.rows {
            #[unroll]
            for token in 0..shape.tokens {
                if first_row + row < rows && first_token + token < tokens {
                    let sum = Vector::vector_sum(sums[row * shape.tokens + token]);
                    out[(first_token + token) * rows + first_row + row] = F::cast_from(sum);
                }
            }
        }
    } else {
        let unit = UNIT_POS_X as usize;
        let mut shared = Shared::<[f32]>::new_slice(comptime!(shape.sums() * shape.units));
        #[unroll]
        for i in 0..comptime!(shape.sums()) {
            shared[i * shape.units + unit] = Vector::vector_sum(sums[i]);
        }
        reduce::sum(&mut shared, shape.units, shape.units_per_row, comptime!(shape.sums()));
        if lane == 0 {
            #[unroll]
            for row in 0..shape.rows {
                #[unroll]
                for token in 0..shape.tokens {
                    if first_row + row < rows && first_token + token < tokens {
                        let sum = shared[(row * shape.tokens + token) * shape.units + unit];
                        out[(first_token + token) * rows + first_row + row] = F::cast_from(sum);
                    }
                }
            }
        }
    }
}
