//! Rows of a matrix that adapters do not compute in, as numbers: an embedding, or the whole of it, in one launch.

use burn::tensor::{DType, Int, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use glass_kernels::quant::{BlockPlanes, QuantFormat};

use super::{
    AdapterClass, HalfTensors, PlanesTensors, QuantizedTensors, adapter_tensor, elem, empty_of,
    gemv_planes::{self, Planes, byte},
    gemv_quantized::{self, zero_point},
    tensor,
    words::{Format, number},
};

/// Quants of 4 bits in a word.
const FOURS: usize = 8;

/// Words with the lower bits of a block's quants.
const LOW_OF_BLOCK: usize = 32;

/// The rows of `weight` with these numbers, or all of them, each rounded to `dtype` once.
///
/// `ids` `[n]`, every id below the number of rows -> `[n, columns]`
pub fn select_quantized(
    class: AdapterClass,
    weight: &QuantizedTensors<'_>,
    ids: Option<&Tensor<1, Int>>,
    dtype: DType,
) -> Option<Tensor<2>> {
    let columns = weight.columns;
    let matrix = gemv_quantized::Primitives::of(weight, columns)?;
    let wanted = Wanted::of(ids, columns, &matrix.quants, dtype)?;
    let words_of_row = matrix.quants.meta.shape()[1];
    // Where a kernel does not read them, anything is bound.
    let zero_points = matrix.zero_points.unwrap_or_else(|| matrix.quants.clone());
    let scale = elem(&matrix.scales);
    // SAFETY: units beyond the last word do nothing, and ids are those of rows.
    unsafe {
        select_quantized_kernel::launch_unchecked(
            &wanted.out.client.clone(),
            super::count((wanted.n * words_of_row).div_ceil(class.units())),
            CubeDim::new_1d(class.units() as u32),
            wanted.ids.into_buffer_arg(),
            matrix.quants.into_buffer_arg(),
            matrix.scales.into_buffer_arg(),
            zero_points.into_buffer_arg(),
            wanted.out.clone().into_buffer_arg(),
            wanted.n * words_of_row,
            words_of_row,
            columns,
            wanted.all,
            matrix.bits,
            elem(&wanted.out),
            scale,
        );
    }
    Some(tensor(wanted.out))
}

/// The same of a matrix whose blocks are taken apart.
///
/// `ids` `[n]`, every id below the number of rows -> `[n, columns]`
pub fn select_planes(
    class: AdapterClass,
    weight: &PlanesTensors<'_>,
    ids: Option<&Tensor<1, Int>>,
    dtype: DType,
) -> Option<Tensor<2>> {
    let columns = weight.columns;
    let matrix = gemv_planes::Primitives::of(weight, columns)?;
    let wanted = Wanted::of(ids, columns, &matrix.low, dtype)?;
    let words_of_row = columns / FOURS;
    let high = matrix.high.unwrap_or_else(|| matrix.low.clone());
    let scale = elem(&matrix.scales);
    // SAFETY: units beyond the last word do nothing, and ids are those of rows.
    unsafe {
        select_planes_kernel::launch_unchecked(
            &wanted.out.client.clone(),
            super::count((wanted.n * words_of_row).div_ceil(class.units())),
            CubeDim::new_1d(class.units() as u32),
            wanted.ids.into_buffer_arg(),
            matrix.low.into_buffer_arg(),
            high.into_buffer_arg(),
            matrix.factors.into_buffer_arg(),
            matrix.scales.into_buffer_arg(),
            wanted.out.clone().into_buffer_arg(),
            wanted.n * words_of_row,
            words_of_row,
            wanted.all,
            matrix.planes,
            elem(&wanted.out),
            scale,
        );
    }
    Some(tensor(wanted.out))
}

/// The same of a matrix of floats of 16 bits.
///
/// `ids` `[n]`, every id below the number of rows -> `[n, columns]`
pub fn select_halves(
    class: AdapterClass,
    weight: &HalfTensors<'_>,
    ids: Option<&Tensor<1, Int>>,
    dtype: DType,
) -> Option<Tensor<2>> {
    let columns = weight.columns;
    let (format, words) = weight.primitive(columns)?;
    let wanted = Wanted::of(ids, columns, &words, dtype)?;
    let words_of_row = words.meta.shape()[1];
    // SAFETY: units beyond the last word do nothing, and ids are those of rows.
    unsafe {
        select_halves_kernel::launch_unchecked(
            &wanted.out.client.clone(),
            super::count((wanted.n * words_of_row).div_ceil(class.units())),
            CubeDim::new_1d(class.units() as u32),
            wanted.ids.into_buffer_arg(),
            words.into_buffer_arg(),
            wanted.out.clone().into_buffer_arg(),
            wanted.n * words_of_row,
            words_of_row,
            columns,
            wanted.all,
            format,
            elem(&wanted.out),
        );
    }
    Some(tensor(wanted.out))
}

/// Which rows, and where they go.
struct Wanted {
    /// `[n]`; where all are wanted, anything.
    ids: CubeTensor,
    all: bool,
    /// `[n, columns]`
    out: CubeTensor,
    n: usize,
}

impl Wanted {
    /// `None` for no numbers, and for types that kernels do not write.
    fn of(ids: Option<&Tensor<1, Int>>, columns: usize, words: &CubeTensor, dtype: DType) -> Option<Self> {
        let n = ids.map_or(words.meta.shape()[0], |ids| ids.dims()[0]);
        let all = ids.is_none();
        let ids = ids.map_or_else(|| Some(words.clone()), adapter_tensor);
        let ids = ids.filter(|ids| matches!(ids.dtype, DType::I32 | DType::U32))?;
        if n * columns == 0 || !matches!(dtype, DType::F32 | DType::F16) {
            return None;
        }
        Some(Self { ids: into_contiguous(ids), all, out: empty_of(words, [n, columns], dtype), n })
    }
}

/// The row that is wanted at place `at`.
#[cube]
fn row_at(ids: &[u32], at: usize, #[comptime] all: bool) -> usize {
    if comptime!(all) { at } else { usize::cast_from(ids[at]) }
}

/// A unit has a word of two numbers.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn select_halves_kernel<F: Float>(
    ids: &[u32],
    halves: &[u32],
    out: &mut [F],
    words: usize,
    words_of_row: usize,
    columns: usize,
    #[comptime] all: bool,
    #[comptime] format: Format,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < words {
        let (token, at) = (ABSOLUTE_POS / words_of_row, ABSOLUTE_POS % words_of_row);
        let word = halves[row_at(ids, token, all) * words_of_row + at];
        #[unroll]
        for i in 0..2usize {
            let column = 2 * at + i;
            // The last words of a row may be padding.
            if column < columns {
                out[token * columns + column] = F::cast_from(number(word, comptime!(16 * i as u32), format));
            }
        }
    }
}

/// A unit has a word of quants.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn select_quantized_kernel<F: Float, S: Float>(
    ids: &[u32],
    quants: &[u32],
    scales: &[S],
    zero_points: &[u32],
    out: &mut [F],
    words: usize,
    words_of_row: usize,
    columns: usize,
    #[comptime] all: bool,
    #[comptime] bits: usize,
    #[define(F)] _dtype: ElemType,
    #[define(S)] _scale: ElemType,
) {
    if ABSOLUTE_POS < words {
        let (token, at) = (ABSOLUTE_POS / words_of_row, ABSOLUTE_POS % words_of_row);
        let row = row_at(ids, token, all);
        let word = quants[row * words_of_row + at];
        // A group of 32 has as many words as a quant has bits.
        let (group, groups) = (at / bits, words_of_row / bits);
        let scale = f32::cast_from(scales[row * groups + group]);
        let mut zero = f32::cast_from(comptime!(QuantFormat::Int8.offset() as u32));
        if comptime!(bits == 4) {
            zero = f32::cast_from(zero_point(zero_points, row, group, groups));
        }
        let per_word = comptime!(32 / bits);
        #[unroll]
        for i in 0..per_word {
            let column = at * per_word + i;
            // The last group of a row may be padded.
            if column < columns {
                let quant = (word >> comptime!((i * bits) as u32)) & comptime!((1u32 << bits) - 1);
                out[token * columns + column] = F::cast_from((f32::cast_from(quant) - zero) * scale);
            }
        }
    }
}

/// A unit has a word of lower bits.
#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn select_planes_kernel<F: Float, S: Float>(
    ids: &[u32],
    low: &[u32],
    high: &[u32],
    factors: &[u32],
    scales: &[S],
    out: &mut [F],
    words: usize,
    words_of_row: usize,
    #[comptime] all: bool,
    #[comptime] planes: Planes,
    #[define(F)] _dtype: ElemType,
    #[define(S)] _scale: ElemType,
) {
    if ABSOLUTE_POS < words {
        let row = row_at(ids, ABSOLUTE_POS / words_of_row, all);
        let word_at = row * words_of_row + ABSOLUTE_POS % words_of_row;
        let (block, in_block) = (word_at / LOW_OF_BLOCK, word_at % LOW_OF_BLOCK);
        let lower = low[word_at];
        let bits = comptime!(planes.high_bits);
        let mut upper = 0u32;
        if comptime!(bits > 0) {
            // The bits above are those of a byte or of two.
            let first = word_at * bits;
            upper = high[first / 4] >> (u32::cast_from(first % 4) * 8);
        }
        let mut scale = f32::cast_from(scales[2 * block]);
        let mut middle = 0.0f32;
        let mut minimum = 0.0f32;
        if comptime!(planes.minima) {
            let group = in_block / 4;
            scale *= byte(factors[4 * block + group / 4], group % 4);
            let least = f32::cast_from(scales[2 * block + 1]);
            minimum = least * byte(factors[4 * block + 2 + group / 4], group % 4);
        } else {
            let group = in_block / 2;
            scale *= byte(factors[4 * block + group / 4], group % 4) - comptime!(BlockPlanes::FACTOR_OFFSET as f32);
            middle = 32.0f32;
        }
        #[unroll]
        for i in 0..FOURS {
            let mut quant = (lower >> comptime!((4 * i) as u32)) & 0xf;
            if comptime!(bits > 0) {
                quant += ((upper >> comptime!((bits * i) as u32)) & comptime!((1u32 << bits) - 1)) << 4;
            }
            let number = (f32::cast_from(quant) - middle) * scale - minimum;
            out[ABSOLUTE_POS * FOURS + i] = F::cast_from(number);
        }
    }
}
