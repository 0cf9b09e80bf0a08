//! Products of a few vectors with a matrix of floats: one output per row of the matrix.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    AdapterClass, Around, Then,
    around::{self, Frame, Outputs, Prepared, Sizes},
    elem, gemv_words, primitive, reduce, tensor,
    together::{Run, runs},
    vector_size,
    words::{Format, Reading},
};

/// Beyond as many vectors, an adapter with matrix units is faster with those.
pub const MAX_VECTORS: usize = 8;

/// The most vectors that the kernels take.
pub(super) fn max_vectors(class: AdapterClass) -> usize {
    if class.software { usize::MAX } else { MAX_VECTORS }
}

/// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what `around` makes of those. Matrices that lie
/// together are multiplied in one launch.
pub fn matmul_t(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[Tensor<2>],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
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
    products(
        &x,
        weights,
        around,
        |weight| ((), vec![weight]),
        |run, prepared| match reading {
            Some(reading) => gemv_words::product(class, &x, columns, run, reading, prepared),
            None => product(class, &x, run, prepared),
        },
    )
}

/// The products of runs of matrices of one kind, each of which is tensors; `tensors` says both. `product` launches a run's kernel.
pub(super) fn products<M, K: Copy + PartialEq>(
    x: &CubeTensor,
    matrices: Vec<M>,
    around: Around<'_>,
    tensors: impl Fn(M) -> (K, Vec<CubeTensor>),
    product: impl Fn(&Run<K>, &Prepared) -> Vec<CubeTensor>,
) -> Option<Vec<Tensor<2>>> {
    if matches!(around.then, Then::Add(_)) && matrices.len() != 1 {
        return None;
    }
    let matrices: Vec<(K, Vec<CubeTensor>)> = matrices.into_iter().map(tensors).collect();
    let runs = runs(&matrices);
    let prepared = runs.iter().map(|run| Prepared::of(around, x, &run.rows));
    // All of them, before the first is launched.
    let prepared: Vec<Prepared> = prepared.collect::<Option<_>>()?;
    let products = runs.iter().zip(&prepared).flat_map(|(run, prepared)| product(run, prepared));
    Some(products.map(tensor).collect())
}

fn product(class: AdapterClass, x: &CubeTensor, run: &Run<()>, prepared: &Prepared) -> Vec<CubeTensor> {
    let [n, columns]: [usize; 2] = x.meta.shape().dims();
    let frame = prepared.frame;
    let outputs = Outputs::new(x, &run.rows, frame.end);
    let rows = outputs.rows(frame.end);
    if rows > 0 {
        let shape = Shape { frame, ..Shape::of(class, n) };
        let vector = vector_size(columns);
        let [norm_weight, residual] = prepared.arguments(x);
        // SAFETY: units beyond the last row read the last one and write nothing.
        unsafe {
            gemv_kernel::launch_unchecked(
                &x.client.clone(),
                shape.count(rows, n),
                CubeDim::new_1d(shape.units as u32),
                vector,
                x.clone().into_buffer_arg(),
                run.tensors[0].clone().into_buffer_arg(),
                norm_weight,
                residual,
                outputs.whole.clone().into_buffer_arg(),
                columns / vector,
                outputs.sizes(prepared),
                shape,
                elem(x),
            );
        }
    }
    outputs.parts
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
    /// What is computed around the sums.
    pub frame: Frame,
}

impl Shape {
    pub fn of(class: AdapterClass, n: usize) -> Self {
        // A power of two, so that not every number of vectors has a kernel of its own.
        let tokens = n.next_power_of_two().min(8);
        let frame = Frame::NONE;
        if class.software {
            // Every load costs about the same: a unit has a row to itself.
            Self { units: 16, units_per_row: 1, rows: if n == 1 { 4 } else { 8 }, tokens, frame }
        } else {
            // Units side by side read side by side.
            Self { units: 128, units_per_row: 32, rows: 2, tokens, frame }
        }
    }

    /// The cubes for `n` vectors and a matrix of `rows` rows, or pairs of rows.
    pub fn count(self, rows: usize, n: usize) -> CubeCount {
        let rows_of_cube = self.units / self.units_per_row * self.outputs();
        CubeCount::Static(rows.div_ceil(rows_of_cube) as u32, n.div_ceil(self.tokens) as u32, 1)
    }

    /// Rows, or pairs of rows, that a unit computes side by side.
    pub fn outputs(self) -> usize {
        self.rows / self.frame.end.rows_of_output()
    }

    /// Sums that a unit computes.
    pub fn sums(self) -> usize {
        self.rows * self.tokens
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn gemv_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    norm_weight: &[Vector<F, N>],
    residual: &[F],
    out: &mut [F],
    vectors: usize,
    sizes: Sizes,
    #[comptime] shape: Shape,
    #[define(F)] _dtype: ElemType,
) {
    let (lane, first_row, first_token) = position(shape);
    let roots = around::roots::<F, N>(x, vectors, &sizes, first_token, shape);

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
            let token_at = usize::min(first_token + token, sizes.tokens - 1);
            let values = Vector::cast_from(x[token_at * vectors + at]);
            inputs[token] = around::through_norm::<F, N>(values, roots[token], norm_weight, at, shape.frame);
        }
        #[unroll]
        for row in 0..shape.rows {
            let row_at = row_at(&sizes, first_row, row, shape);
            let weights = Vector::<f32, N>::cast_from(weight[row_at * vectors + at]);
            #[unroll]
            for token in 0..shape.tokens {
                sums[row * shape.tokens + token] += weights * inputs[token];
            }
        }
        at += shape.units_per_row;
    }
    write::<F, N>(&sums, residual, out, &sizes, shape);
}

/// Which of the units of its row this one is, and the first row (or pair of rows) and the first vector that it computes.
#[cube]
pub(super) fn position(#[comptime] shape: Shape) -> (usize, usize, usize) {
    let lane = UNIT_POS_X as usize % shape.units_per_row;
    let group = CUBE_POS_X as usize * (shape.units / shape.units_per_row) + UNIT_POS_X as usize / shape.units_per_row;
    let first_token = CUBE_POS_Y as usize * shape.tokens;
    (lane, group * comptime!(shape.outputs()), first_token)
}

/// Where in memory the row is that is row `row` of this unit: where they are two that are gated, the first half are rows of the gate,
/// and the second the same rows of the other.
#[cube]
pub(super) fn row_at(sizes: &Sizes, first_row: usize, #[comptime] row: usize, #[comptime] shape: Shape) -> usize {
    let outputs = comptime!(shape.outputs());
    if comptime!(outputs == shape.rows) {
        around::memory_row(sizes, usize::min(first_row + row, sizes.rows - 1))
    } else {
        let in_matrix = usize::min(first_row + comptime!(row % outputs), sizes.first - 1);
        in_matrix + comptime!(row / outputs) * (sizes.first + sizes.second_gap)
    }
}

/// Adds up the sums of the units of a row, `[rows][tokens]` of each, and writes what is made of them.
#[cube]
pub(super) fn write<F: Float, N: Size>(
    sums: &Array<Vector<f32, N>>,
    residual: &[F],
    out: &mut [F],
    sizes: &Sizes,
    #[comptime] shape: Shape,
) {
    let (lane, first_row, first_token) = position(shape);
    let outputs = comptime!(shape.outputs());
    let rows = sizes.rows / comptime!(shape.frame.end.rows_of_output());
    // The sums of the second row of a pair; without pairs they are not used.
    let other = comptime!((shape.rows - outputs) * shape.tokens);
    if comptime!(shape.units_per_row == 1) {
        #[unroll]
        for row in 0..outputs {
            #[unroll]
            for token in 0..shape.tokens {
                if first_row + row < rows && first_token + token < sizes.tokens {
                    let i = comptime!(row * shape.tokens + token);
                    let sum = Vector::vector_sum(sums[i]);
                    let up = Vector::vector_sum(sums[comptime!(i + other)]);
                    let at = around::output_at(sizes, first_row + row, first_token + token);
                    out[at] = around::finish::<F>(sum, up, residual, at, shape.frame.end);
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
            for row in 0..outputs {
                #[unroll]
                for token in 0..shape.tokens {
                    if first_row + row < rows && first_token + token < sizes.tokens {
                        let i = comptime!(row * shape.tokens + token);
                        let sum = shared[i * shape.units + unit];
                        let up = shared[comptime!(i + other) * shape.units + unit];
                        let at = around::output_at(sizes, first_row + row, first_token + token);
                        out[at] = around::finish::<F>(sum, up, residual, at, shape.frame.end);
                    }
                }
            }
        }
    }
}
