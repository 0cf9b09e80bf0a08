//! Products of vectors with a matrix: one output per row of the matrix.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    Machine, elem, empty, primitive, reduce, tensor, vector_size,
    words::{self, Format, Reading},
};

/// On an adapter with matrix units, more vectors than this are theirs.
pub const MAX_VECTORS: usize = 8;

/// Vectors that the kernels take.
pub(super) fn most(machine: Machine) -> usize {
    if machine.software {
        usize::MAX
    } else {
        MAX_VECTORS
    }
}

pub fn project(machine: Machine, x: &Tensor<2>, weights: &[Tensor<2>]) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    if n == 0 || n > most(machine) || columns == 0 {
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
    // A unit with a row to itself gets two halves for the price of one. Where units read side by side, memory sets the pace, and
    // for several vectors it is arithmetic.
    let halves = machine.software && n == 1 && x.dtype == DType::F16;
    let reading = match halves {
        true => Reading::of(machine, &x, Format::F16, columns),
        false => None,
    };
    let products = weights.into_iter().map(|weight| match reading {
        Some(reading) => tensor(words::product(
            machine,
            x.clone(),
            weight,
            x.clone(),
            reading,
        )),
        None => product(machine, x.clone(), weight),
    });
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
    /// In a cube.
    pub units: usize,
    /// That share a row of the matrix.
    pub units_per_row: usize,
    /// That a unit computes side by side, so that what it reads of `x` serves them all.
    pub rows: usize,
    /// Vectors that it computes side by side, so that what it reads of the matrix serves them all.
    pub tokens: usize,
}

impl Shape {
    pub fn of(machine: Machine, n: usize) -> Self {
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

    /// The cubes for `n` vectors and a matrix of this many rows.
    pub fn count(self, rows: usize, n: usize) -> CubeCount {
        let rows_of_cube = self.units / self.units_per_row * self.rows;
        CubeCount::Static(
            rows.div_ceil(rows_of_cube) as u32,
            n.div_ceil(self.tokens) as u32,
            1,
        )
    }

    /// Numbers that a unit makes.
    pub fn sums(self) -> usize {
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
    let (lane, first_row, first_token) = place(shape);

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

/// Which of the units of its row this one is, the first row of the matrix that it makes, and for which vector first.
#[cube]
pub(super) fn place(#[comptime] shape: Shape) -> (usize, usize, usize) {
    let lane = UNIT_POS_X as usize % shape.units_per_row;
    let group = CUBE_POS_X as usize * (shape.units / shape.units_per_row)
        + UNIT_POS_X as usize / shape.units_per_row;
    let first_token = CUBE_POS_Y as usize * shape.tokens;
    (lane, group * shape.rows, first_token)
}

/// Sums up what the units of a row have, `sums` `[rows][tokens]` of each.
#[cube]
pub(super) fn write<F: Float, N: Size>(
    sums: &Array<Vector<f32, N>>,
    out: &mut [F],
    rows: usize,
    tokens: usize,
    #[comptime] shape: Shape,
) {
    let (lane, first_row, first_token) = place(shape);
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
