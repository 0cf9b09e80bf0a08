//! Products of vectors with a matrix: one output per row of the matrix.

use burn::tensor::Tensor;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{Machine, elem, empty, primitive, reduce, tensor, vector_size};

/// On an adapter with matrix units, more vectors than this are theirs.
pub(super) const MOST: usize = 8;

pub fn project(machine: Machine, x: &Tensor<2>, weights: &[Tensor<2>]) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    let most = if machine.software { usize::MAX } else { MOST };
    if n == 0 || n > most || columns == 0 {
        return None;
    }
    let x = into_contiguous(primitive(x)?);
    let weights: Vec<CubeTensor> = weights.iter().map(primitive).collect::<Option<_>>()?;
    if weights
        .iter()
        .any(|weight| !weight.is_contiguous() || weight.dtype != x.dtype)
    {
        return None;
    }
    let products = weights
        .into_iter()
        .map(|weight| product(machine, x.clone(), weight));
    Some(products.collect())
}

fn product(machine: Machine, x: CubeTensor, weight: CubeTensor) -> Tensor<2> {
    let [n, columns]: [usize; 2] = x.meta.shape().dims();
    let rows = weight.meta.shape()[0];
    let out = empty(&x, [n, rows]);
    if rows > 0 {
        let shape = Shape::of(machine, n);
        let vector = vector_size(columns);
        // SAFETY: units beyond the last row read the last one and write nothing.
        unsafe {
            kernel::launch_unchecked(
                &x.client.clone(),
                CubeCount::Static(
                    rows.div_ceil(shape.rows_of_cube()) as u32,
                    n.div_ceil(shape.tokens) as u32,
                    1,
                ),
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
struct Shape {
    /// In a cube.
    units: usize,
    /// That share a row of the matrix.
    units_per_row: usize,
    /// That a unit computes side by side, so that what it reads of `x` serves them all.
    rows: usize,
    /// Vectors that it computes side by side, so that what it reads of the matrix serves them all.
    tokens: usize,
}

impl Shape {
    fn of(machine: Machine, n: usize) -> Self {
        // A power of two, so that not every number of vectors has a kernel of its own.
        let tokens = n.next_power_of_two().min(8);
        match machine.software {
            // Every number read costs about the same, so that a unit has a row to itself.
            true => Self {
                units: 16,
                units_per_row: 1,
                rows: if n == 1 { 4 } else { 8 },
                tokens,
            },
            // Units side by side read side by side.
            false => Self {
                units: 128,
                units_per_row: 32,
                rows: 2,
                tokens,
            },
        }
    }

    /// Rows of the matrix that a cube makes.
    fn rows_of_cube(self) -> usize {
        self.units / self.units_per_row * self.rows
    }

    /// Numbers that a unit makes.
    fn sums(self) -> usize {
        self.rows * self.tokens
    }
}

#[cube(launch_unchecked)]
fn kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    out: &mut [F],
    vectors: usize,
    rows: usize,
    tokens: usize,
    #[comptime] shape: Shape,
    #[define(F)] _dtype: ElemType,
) {
    let lane = UNIT_POS_X as usize % shape.units_per_row;
    let group = CUBE_POS_X as usize * (shape.units / shape.units_per_row)
        + UNIT_POS_X as usize / shape.units_per_row;
    let first_row = group * shape.rows;
    let first_token = CUBE_POS_Y as usize * shape.tokens;

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
        reduce::sum(
            &mut shared,
            shape.units,
            shape.units_per_row,
            comptime!(shape.sums()),
        );
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
