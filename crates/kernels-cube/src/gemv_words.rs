//! Products of a few vectors with a matrix that is read word by word: quants of 8 or 4 bits, and floats where a load costs the
//! same however many bits it brings.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::{
    ir::{ElemType, UIntKind},
    prelude::*,
};

use glass_kernels::quant::{GROUP_SIZE, QuantFormat};

use super::{
    AdapterClass,
    around::{self, Outputs, Prepared, Sizes},
    elem,
    gemv::{self, Shape},
    gemv_quantized::zero_point,
    together::Run,
};

/// Numbers of `x` that are read at once.
pub(super) const VECTOR: usize = 4;

/// The type of a matrix's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    F32,
    F16,
    /// Quants of so many bits; a scale for each [`GROUP_SIZE`], and a zero point in 4 bits.
    Quants(usize),
}

impl Format {
    /// That of a tensor of floats.
    pub fn of(x: &CubeTensor) -> Self {
        match x.dtype {
            DType::F32 => Self::F32,
            _ => Self::F16,
        }
    }

    fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 => 16,
            Self::Quants(bits) => bits,
        }
    }
}

/// How a row is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    format: Format,
    /// Bits of a word.
    width: usize,
    /// Words of one load.
    load: usize,
    /// Loads of a unit in one step.
    loads: usize,
}

impl Reading {
    /// `None` if these rows are not whole steps.
    pub fn of(class: AdapterClass, x: &CubeTensor, format: Format, columns: usize) -> Option<Self> {
        let wide = ElemType::UInt(UIntKind::U64);
        let wide = class.software && x.client.properties().supports_type(wide);
        let width = if wide { 64 } else { 32 };
        // A unit that has a row to itself takes as many columns at once as share a scale. Units side by side read side by side,
        // and load as much at once as can be.
        let (load, loads) = match (class.software, format) {
            (true, Format::Quants(bits)) => (1, bits * GROUP_SIZE / width),
            (true, _) => (1, 8 * 32 / width),
            (false, _) => (4, 1),
        };
        let reading = Self { format, width, load, loads };
        let whole = columns.is_multiple_of(reading.columns());
        whole.then_some(reading)
    }

    /// How the same columns of `x` are read.
    fn of_input(self, x: &CubeTensor) -> Self {
        let format = Format::of(x);
        let load = self.load * self.width;
        Self { format, loads: self.columns() * format.bits() / load, ..self }
    }

    /// Columns of a step.
    fn columns(self) -> usize {
        self.loads * self.load * self.width / self.format.bits()
    }

    fn elem(self) -> ElemType {
        ElemType::UInt(match self.width {
            64 => UIntKind::U64,
            _ => UIntKind::U32,
        })
    }
}

/// `x` `[n, ..]`, which has zeros behind it up to `columns`, a run of `words` `[rows, ..]` and, of quants in so many bits, their scales `[rows, groups]` and zero
/// points `[rows, zero_words]` (none in 8 bits) -> `[n, rows]` of each matrix, or what is made of those
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
                x.clone().into_buffer_arg(),
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
                (class.software && !ends_early).then(|| reading.of_input(x)),
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

/// The numbers of one step, whose first load is at `at`.
#[cube]
fn numbers<W: Int, N: Size, M: Size>(
    words: &[Vector<W, M>],
    at: usize,
    #[comptime] reading: Reading,
) -> Array<Vector<f32, N>> {
    let vectors = comptime!(reading.columns() / VECTOR);
    let parts = comptime!(reading.width / 32);
    // In words of 32 bits, in the order of their columns.
    let mut bits = Array::<u32>::new(comptime!(reading.loads * reading.load * parts));
    #[unroll]
    for i in 0..reading.loads {
        let loaded = words[at + i];
        #[unroll]
        for j in 0..reading.load {
            let word = loaded.extract(j);
            let first = comptime!((i * reading.load + j) * parts);
            bits[first] = signed(u32::cast_from(word), reading.format);
            if comptime!(parts == 2) {
                let upper = u32::cast_from(word >> W::from_int(32));
                bits[comptime!(first + 1)] = signed(upper, reading.format);
            }
        }
    }
    let mut numbers = Array::<Vector<f32, N>>::new(vectors);
    #[unroll]
    for i in 0..vectors {
        let mut four = Vector::<f32, N>::empty();
        #[unroll]
        for j in 0..VECTOR {
            let bit = comptime!((i * VECTOR + j) * reading.format.bits());
            let part = bits[comptime!(bit / 32)];
            four.insert(j, number(part, comptime!((bit % 32) as u32), reading.format));
        }
        numbers[i] = four;
    }
    numbers
}

/// Quants in two's complement: without their offset, they differ in the highest bit.
#[cube]
fn signed(bits: u32, #[comptime] format: Format) -> u32 {
    match comptime!(format) {
        Format::Quants(8) => bits ^ 0x8080_8080u32,
        Format::Quants(_) => bits ^ 0x8888_8888u32,
        _ => bits,
    }
}

/// The number from bit `first` on.
#[cube]
fn number(bits: u32, #[comptime] first: u32, #[comptime] format: Format) -> f32 {
    match comptime!(format) {
        Format::F32 => f32::reinterpret(bits),
        Format::F16 => widened(bits >> first),
        Format::Quants(width) => {
            let width = comptime!(width as u32);
            // Shifted up and back with its sign, it is alone.
            let shifted = i32::reinterpret(bits << comptime!(32 - width - first));
            f32::cast_from(shifted >> comptime!(32 - width as i32))
        }
    }
}

/// The float16 in the lower half, by integers: shaders may flush subnormal numbers to 0.
#[cube]
fn widened(bits: u32) -> f32 {
    let size = bits & 0x7fff;
    let sign = (bits & 0x8000) << 16;
    // Exponents are 15 from 0 in float16 and 127 in float32; the last one means infinity or NaN in both.
    let exponent = select(size < 0x7c00, 112u32 << 23, 224u32 << 23);
    let normal = (size << 13) + exponent;
    let small = u32::reinterpret(f32::cast_from(size) * 5.960_464_5e-8f32); // 2^-24
    f32::reinterpret(select(size < 0x0400, small, normal) | sign)
}
