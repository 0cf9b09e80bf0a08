//! Products of a few vectors with a matrix that is read word by word: quants of 8 or 4 bits, floats of 16 bits that nothing
//! computes in, and those where a load costs the same however many bits it brings.

use burn::tensor::{DType, Int as Integers, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use glass_kernels::quant::{GROUP_SIZE, QuantFormat};

use super::{
    AdapterClass, Around, adapter_tensor,
    around::{self, Outputs, Prepared, Sizes},
    elem,
    gemv::{self, Shape},
    gemv_quantized::zero_point,
    primitive,
    together::Run,
    words::{Format, Reading, VECTOR, numbers},
};

/// A matrix `[rows, columns]` of floats of 16 bits in words of 32, for adapters that do not compute in their type.
#[derive(Clone, Copy, Debug)]
pub struct HalfTensors<'a> {
    /// `[rows, words]`: the number with the lower column in the lower half of a word, and zeros up to a whole group of 32
    pub words: &'a Tensor<2, Integers>,
    /// float16 or bfloat16
    pub dtype: DType,
    pub columns: usize,
}

impl HalfTensors<'_> {
    /// Words of a row of so many columns.
    pub fn words_of_row(columns: usize) -> usize {
        columns.next_multiple_of(GROUP_SIZE) / 2
    }

    /// What it is made of, where it lies; `None` if it has other columns, shapes or types.
    pub(super) fn primitive(&self, columns: usize) -> Option<(Format, CubeTensor)> {
        let words = adapter_tensor(self.words)?;
        let format = Format::of(self.dtype).filter(|format| *format != Format::F32)?;
        let fits = matches!(words.dtype, DType::I32 | DType::U32)
            && self.columns == columns
            && self.words.dims()[1] == Self::words_of_row(columns)
            && words.is_contiguous();
        fits.then_some((format, words))
    }
}

/// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what `around` makes of those. Matrices of one type
/// that lie together are multiplied in one launch.
pub fn matmul_t_halves(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[HalfTensors<'_>],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let matrices = weights.iter().map(|weight| {
        let (format, words) = weight.primitive(x.dims()[1])?;
        Some((format, vec![words]))
    });
    products(class, x, matrices.collect::<Option<_>>()?, around)
}

/// The products with matrices of words, each with what else its format has. Rows are whole groups, with zeros behind `columns`.
pub(super) fn products(
    class: AdapterClass,
    x: &Tensor<2>,
    matrices: Vec<(Format, Vec<CubeTensor>)>,
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    if n == 0 || n > gemv::max_vectors(class) || columns == 0 {
        return None;
    }
    // Where `x` ends within a group, kernels read zeros behind it; within a vector they do not end.
    let missing = columns.next_multiple_of(VECTOR) - columns;
    if around.norm.is_some() && missing > 0 {
        return None;
    }
    let x = match missing {
        0 => primitive(x)?,
        missing => primitive(&x.clone().pad((0, missing, 0, 0), 0.0))?,
    };
    let x = into_contiguous(x);
    let padded = columns.next_multiple_of(GROUP_SIZE);
    let matrices =
        matrices.into_iter().map(|(format, tensors)| Some((Reading::of(class, &x, format, padded)?, tensors)));
    let matrices: Vec<_> = matrices.collect::<Option<_>>()?;
    gemv::products(
        &x,
        matrices,
        around,
        |matrix| matrix,
        |run, prepared| product(class, &x, padded, run, run.kind, prepared),
    )
}

/// `x` `[n, ..]`, which has zeros behind it up to `columns`, a run of `words` `[rows, ..]` and, of quants, their scales
/// `[rows, groups]` and zero points `[rows, zero_words]` (none in 8 bits) -> `[n, rows]` of each matrix, or what is made of those
pub(super) fn product<K>(
    class: AdapterClass,
    x: &CubeTensor,
    columns: usize,
    run: &Run<K>,
    reading: Reading,
    prepared: &Prepared,
) -> Vec<CubeTensor> {
    // Where a kernel does not read them, anything is bound.
    let words = &run.tensors[0];
    let scales = run.tensors.get(1).unwrap_or(x);
    let zero_points = run.tensors.get(2).unwrap_or(words);
    let [n, of_x]: [usize; 2] = x.meta.shape().dims();
    let ends_early = of_x < columns;
    let input = if class.software && !ends_early { reading.of_input(x) } else { None };
    // A few numbers of 16 bits are less than a load.
    let x_words = if input.is_some() { x } else { words };
    let frame = prepared.frame;
    let outputs = Outputs::new(x, &run.rows, frame.end);
    let rows = outputs.rows(frame.end);
    if rows > 0 {
        let rows_of_unit = match (class.software, n) {
            (true, _) => 8,
            (false, 1 | 2) => 4,
            (false, _) => 2,
        };
        let shape = Shape { rows: rows_of_unit, frame, ..Shape::of(class, n) };
        let [norm_weight, residual] = prepared.arguments(x);
        // SAFETY: units beyond the last row read the last one and write nothing.
        unsafe {
            gemv_words_kernel::launch_unchecked(
                &x.client.clone(),
                shape.count(rows, n),
                CubeDim::new_1d(shape.units as u32),
                VECTOR,
                reading.load,
                x.clone().into_buffer_arg(),
                x_words.clone().into_buffer_arg(),
                words.clone().into_buffer_arg(),
                scales.clone().into_buffer_arg(),
                zero_points.clone().into_buffer_arg(),
                norm_weight,
                residual,
                outputs.whole.clone().into_buffer_arg(),
                columns / reading.columns(),
                columns / GROUP_SIZE,
                of_x / VECTOR,
                outputs.sizes(prepared),
                shape,
                reading,
                input,
                ends_early,
                elem(x),
                elem(scales),
                reading.elem(),
            );
        }
    }
    outputs.parts
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn gemv_words_kernel<F: Float, S: Float, W: Int, N: Size, M: Size>(
    x: &[Vector<F, N>],
    x_words: &[Vector<W, M>],
    words: &[Vector<W, M>],
    scales: &[S],
    zero_points: &[u32],
    norm_weight: &[Vector<F, N>],
    residual: &[F],
    out: &mut [F],
    steps: usize,
    groups: usize,
    vectors_of_x: usize,
    sizes: Sizes,
    #[comptime] shape: Shape,
    #[comptime] reading: Reading,
    #[comptime] input: Option<Reading>,
    #[comptime] ends_early: bool,
    #[define(F)] _dtype: ElemType,
    #[define(S)] _scale: ElemType,
    #[define(W)] _word: ElemType,
) {
    let (lane, first_row, first_token) = gemv::position(shape);
    let vectors = comptime!(reading.columns() / VECTOR);
    let roots = around::roots::<F, N>(x, vectors_of_x, &sizes, first_token, shape);
    let quantized = comptime!(matches!(reading.format, Format::Quants(_)));
    // In 4 bits a step is a group.
    let with_zeros = comptime!(matches!(reading.format, Format::Quants(4)));

    let mut sums = Array::<Vector<f32, N>>::new(comptime!(shape.sums()));
    #[unroll]
    for i in 0..comptime!(shape.sums()) {
        sums[i] = Vector::new(0.0f32);
    }
    let mut at = lane;
    while at < steps {
        let mut inputs = Array::<Vector<f32, N>>::new(comptime!(shape.tokens * vectors));
        #[unroll]
        for token in 0..shape.tokens {
            let token_at = usize::min(first_token + token, sizes.tokens - 1);
            if comptime!(input.is_some()) {
                let input = comptime!(input.unwrap());
                let four = numbers::<W, N, M>(x_words, (token_at * steps + at) * input.loads, input);
                #[unroll]
                for i in 0..vectors {
                    let in_row = at * vectors + i;
                    inputs[token * vectors + i] =
                        around::through_norm::<F, N>(four[i], roots[token], norm_weight, in_row, shape.frame);
                }
            } else {
                #[unroll]
                for i in 0..vectors {
                    let in_row = at * vectors + i;
                    if comptime!(!ends_early) || in_row < vectors_of_x {
                        let four = Vector::cast_from(x[token_at * vectors_of_x + in_row]);
                        inputs[token * vectors + i] =
                            around::through_norm::<F, N>(four, roots[token], norm_weight, in_row, shape.frame);
                    } else {
                        inputs[token * vectors + i] = Vector::new(0.0f32);
                    }
                }
            }
        }
        // What a zero point takes away is so many times the sum of a step's numbers.
        let mut input_sums = Array::<Vector<f32, N>>::new(shape.tokens);
        if with_zeros {
            #[unroll]
            for token in 0..shape.tokens {
                let mut sum = inputs[token * vectors];
                #[unroll]
                for i in 1..vectors {
                    sum += inputs[token * vectors + i];
                }
                input_sums[token] = sum;
            }
        }
        #[unroll]
        for row in 0..shape.rows {
            let row_at = gemv::row_at(&sizes, first_row, row, shape);
            let mut products = Array::<Vector<f32, N>>::new(shape.tokens);
            #[unroll]
            for token in 0..shape.tokens {
                products[token] = Vector::new(0.0f32);
            }
            let numbers = numbers::<W, N, M>(words, (row_at * steps + at) * reading.loads, reading);
            #[unroll]
            for i in 0..vectors {
                #[unroll]
                for token in 0..shape.tokens {
                    products[token] += numbers[i] * inputs[token * vectors + i];
                }
            }
            if quantized {
                let group = at / comptime!(usize::max(GROUP_SIZE / reading.columns(), 1));
                let scale = f32::cast_from(scales[row_at * groups + group]);
                if with_zeros {
                    let stored = zero_point(zero_points, row_at, group, groups);
                    // `signed` has taken the middle of the quants away already.
                    let zero = f32::cast_from(stored) - comptime!(QuantFormat::Int4.offset() as f32);
                    #[unroll]
                    for token in 0..shape.tokens {
                        products[token] -= input_sums[token] * Vector::new(zero);
                    }
                }
                #[unroll]
                for token in 0..shape.tokens {
                    sums[row * shape.tokens + token] += products[token] * Vector::new(scale);
                }
            } else {
                #[unroll]
                for token in 0..shape.tokens {
                    sums[row * shape.tokens + token] += products[token];
                }
            }
        }
        at += shape.units_per_row;
    }
    gemv::write::<F, N>(&sums, residual, out, &sizes, shape);
}
