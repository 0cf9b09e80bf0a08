//! Products of a few vectors with a matrix in Q4_K, Q5_K or Q6_K, whose blocks are taken apart.

use burn::{
    backend::Wgpu,
    tensor::{DType, Int, Tensor},
};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use glass_kernels::quant::{BlockFormat, BlockPlanes, GROUP_SIZE};

use super::{
    AdapterClass, Around,
    around::{self, Outputs, Prepared, Sizes},
    elem,
    gemv::{self, Shape},
    primitive,
    together::Run,
    words::VECTOR,
};

/// Groups of a block.
const GROUPS: usize = 8;

/// Words with the lower bits of a group's quants.
const LOW: usize = GROUP_SIZE / 8;

/// Vectors of `x` in a group, ...
const VECTORS: usize = GROUP_SIZE / VECTOR;

/// ... and in half of one.
const HALF: usize = VECTORS / 2;

/// The tensors of a matrix `[rows, columns]`: [`BlockPlanes`].
#[derive(Clone, Copy, Debug)]
pub struct PlanesTensors<'a> {
    /// `[rows, columns / 8]`
    pub low: &'a Tensor<2, Int>,
    /// `[rows, high_bits * columns / 32]`; `None` if there are no such bits
    pub high: Option<&'a Tensor<2, Int>>,
    /// `[rows, columns / 64]`
    pub factors: &'a Tensor<2, Int>,
    /// `[rows, columns / 128]`
    pub scales: &'a Tensor<2>,
    pub format: BlockFormat,
    pub columns: usize,
}

/// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what `around` makes of those. Matrices of one format
/// that lie together are multiplied in one launch.
pub fn matmul_t_planes(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[PlanesTensors<'_>],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    if n == 0 || n > gemv::max_vectors(class) || columns == 0 {
        return None;
    }
    let matrices: Vec<Primitives> =
        weights.iter().map(|weight| Primitives::of(weight, columns)).collect::<Option<_>>()?;
    let x = into_contiguous(primitive(x)?);
    let tensors = |matrix: Primitives| {
        // Where a kernel does not read them, anything is bound.
        let high = matrix.high.unwrap_or_else(|| matrix.low.clone());
        (matrix.planes, vec![matrix.low, high, matrix.factors, matrix.scales])
    };
    gemv::products(&x, matrices, around, tensors, |run, prepared| product(class, &x, run, prepared))
}

/// The same where they lie.
pub(super) struct Primitives {
    pub low: CubeTensor,
    pub high: Option<CubeTensor>,
    pub factors: CubeTensor,
    pub scales: CubeTensor,
    pub planes: Planes,
}

/// What of a format is compiled into a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Planes {
    pub high_bits: usize,
    /// Groups have minima; without them they are of 16 columns, and quants and factors have signs.
    pub minima: bool,
}

impl Primitives {
    pub fn of(weight: &PlanesTensors<'_>, columns: usize) -> Option<Self> {
        let high_bits = BlockPlanes::high_bits(weight.format)?;
        let [rows, _] = weight.scales.dims();
        let words = |words: &Tensor<2, Int>, of_row: usize| {
            let held = words.clone().try_into_primitive::<Wgpu>().ok()?;
            let fits = matches!(held.dtype, DType::I32 | DType::U32) && words.dims() == [rows, of_row];
            (fits && held.is_contiguous()).then_some(held)
        };
        let high = match weight.high {
            Some(high) => Some(words(high, high_bits * columns / 32)?),
            None if high_bits == 0 => None,
            None => return None,
        };
        let scales = primitive(weight.scales)?;
        let fits = weight.columns == columns
            && columns.is_multiple_of(weight.format.block_len())
            && weight.scales.dims() == [rows, columns / 128]
            && scales.is_contiguous();
        fits.then_some(Self {
            low: words(weight.low, columns / 8)?,
            high,
            factors: words(weight.factors, columns / 64)?,
            scales,
            planes: Planes { high_bits, minima: weight.format != BlockFormat::Q6K },
        })
    }
}

fn product(class: AdapterClass, x: &CubeTensor, run: &Run<Planes>, prepared: &Prepared) -> Vec<CubeTensor> {
    let [n, columns]: [usize; 2] = x.meta.shape().dims();
    let frame = prepared.frame;
    let outputs = Outputs::new(x, &run.rows, frame.end);
    let rows = outputs.rows(frame.end);
    if rows > 0 {
        let rows_of_unit = match (class.software, n) {
            (true, _) | (false, 1 | 2) => 4,
            (false, _) => 2,
        };
        let shape = Shape { rows: rows_of_unit, frame, ..Shape::of(class, n) };
        let [low, high, factors, scales] = [0, 1, 2, 3].map(|i| run.tensors[i].clone());
        let scale = elem(&scales);
        let [norm_weight, residual] = prepared.arguments(x);
        // SAFETY: units beyond the last row read the last one and write nothing.
        unsafe {
            gemv_planes_kernel::launch_unchecked(
                &x.client.clone(),
                shape.count(rows, n),
                CubeDim::new_1d(shape.units as u32),
                VECTOR,
                LOW,
                x.clone().into_buffer_arg(),
                low.into_buffer_arg(),
                high.into_buffer_arg(),
                factors.into_buffer_arg(),
                scales.into_buffer_arg(),
                norm_weight,
                residual,
                outputs.whole.clone().into_buffer_arg(),
                columns / GROUP_SIZE,
                outputs.sizes(prepared),
                shape,
                run.kind,
                elem(x),
                scale,
            );
        }
    }
    outputs.parts
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn gemv_planes_kernel<F: Float, S: Float, N: Size, M: Size>(
    x: &[Vector<F, N>],
    low: &[Vector<u32, M>],
    high: &[u32],
    factors: &[u32],
    scales: &[S],
    norm_weight: &[Vector<F, N>],
    residual: &[F],
    out: &mut [F],
    groups: usize,
    sizes: Sizes,
    #[comptime] shape: Shape,
    #[comptime] planes: Planes,
    #[define(F)] _dtype: ElemType,
    #[define(S)] _scale: ElemType,
) {
    let (lane, first_row, first_token) = gemv::position(shape);
    let roots = around::roots::<F, N>(x, groups * VECTORS, &sizes, first_token, shape);
    let mut sums = Array::<Vector<f32, N>>::new(comptime!(shape.sums()));
    #[unroll]
    for i in 0..comptime!(shape.sums()) {
        sums[i] = Vector::new(0.0f32);
    }
    let mut at = lane;
    while at < groups {
        let mut inputs = Array::<Vector<f32, N>>::new(comptime!(shape.tokens * VECTORS));
        // What a minimum takes away is so many times the sum of a group's numbers.
        let mut input_sums = Array::<Vector<f32, N>>::new(shape.tokens);
        #[unroll]
        for token in 0..shape.tokens {
            let group = usize::min(first_token + token, sizes.tokens - 1) * groups + at;
            let mut sum = Vector::<f32, N>::new(0.0f32);
            #[unroll]
            for i in 0..VECTORS {
                let values = Vector::cast_from(x[group * VECTORS + i]);
                let in_row = at * VECTORS + i;
                let input = around::through_norm::<F, N>(values, roots[token], norm_weight, in_row, shape.frame);
                inputs[token * VECTORS + i] = input;
                sum += input;
            }
            input_sums[token] = sum;
        }
        let in_block = at % GROUPS;
        #[unroll]
        for row in 0..shape.rows {
            let group = gemv::row_at(&sizes, first_row, row, shape) * groups + at;
            let quants = quants::<N, M>(low, high, group, planes);
            let block = group / GROUPS;
            let scale = f32::cast_from(scales[2 * block]);
            if comptime!(planes.minima) {
                let scale = scale * byte(factors[4 * block + in_block / 4], in_block % 4);
                let least = f32::cast_from(scales[2 * block + 1]);
                let minimum = least * byte(factors[4 * block + 2 + in_block / 4], in_block % 4);
                #[unroll]
                for token in 0..shape.tokens {
                    let product = dot::<N>(&quants, &inputs, 0usize, comptime!(token * VECTORS), VECTORS);
                    sums[row * shape.tokens + token] +=
                        product * Vector::new(scale) - input_sums[token] * Vector::new(minimum);
                }
            } else {
                let both = factors[4 * block + in_block / 2];
                let first = in_block % 2 * 2;
                let offset = comptime!(BlockPlanes::FACTOR_OFFSET as f32);
                #[unroll]
                for i in 0..2usize {
                    let scale = scale * (byte(both, first + i) - offset);
                    #[unroll]
                    for token in 0..shape.tokens {
                        let first_input = comptime!(token * VECTORS + i * HALF);
                        let product = dot::<N>(&quants, &inputs, comptime!(i * HALF), first_input, HALF);
                        sums[row * shape.tokens + token] += product * Vector::new(scale);
                    }
                }
            }
        }
        at += shape.units_per_row;
    }
    gemv::write::<F, N>(&sums, residual, out, &sizes, shape);
}

/// Number `at` of the four in a word.
#[cube]
pub(super) fn byte(word: u32, at: usize) -> f32 {
    f32::cast_from((word >> (u32::cast_from(at) * 8)) & 0xff)
}

/// The products of `len` vectors of quants, from `first` on, and of inputs, added up.
#[cube]
fn dot<N: Size>(
    quants: &Array<Vector<f32, N>>,
    inputs: &Array<Vector<f32, N>>,
    #[comptime] first: usize,
    #[comptime] first_input: usize,
    #[comptime] len: usize,
) -> Vector<f32, N> {
    let mut sum = quants[first] * inputs[first_input];
    #[unroll]
    for i in 1..len {
        sum += quants[comptime!(first + i)] * inputs[comptime!(first_input + i)];
    }
    sum
}

/// The quants of a group.
#[cube]
fn quants<N: Size, M: Size>(
    low: &[Vector<u32, M>],
    high: &[u32],
    group: usize,
    #[comptime] planes: Planes,
) -> Array<Vector<f32, N>> {
    let bits = comptime!(planes.high_bits);
    let mut upper = Array::<u32>::new(comptime!(usize::max(bits, 1)));
    #[unroll]
    for i in 0..bits {
        upper[i] = high[group * bits + i];
    }
    let lower = low[group];
    let mut quants = Array::<Vector<f32, N>>::new(VECTORS);
    #[unroll]
    for i in 0..VECTORS {
        let mut four = Vector::<f32, N>::empty();
        #[unroll]
        for j in 0..VECTOR {
            let column = comptime!(i * VECTOR + j);
            let mut quant = (lower.extract(comptime!(column / 8)) >> comptime!((4 * (column % 8)) as u32)) & 0xf;
            if comptime!(bits > 0) {
                let word = upper[comptime!(column * bits / 32)];
                let bits_of = (word >> comptime!((column * bits % 32) as u32)) & comptime!((1u32 << bits) - 1);
                quant += bits_of << 4;
            }
            let number = f32::cast_from(quant);
            if comptime!(planes.minima) {
                four.insert(j, number);
            } else {
                four.insert(j, number - 32.0f32);
            }
        }
        quants[i] = four;
    }
    quants
}
