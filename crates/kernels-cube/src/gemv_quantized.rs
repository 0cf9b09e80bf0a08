//! Products of a few vectors with a quantized matrix.

use burn::{
    backend::Wgpu,
    tensor::{DType, Int, Tensor},
};
use burn_cubecl::tensor::CubeTensor;
use cubecl::prelude::*;

use glass_kernels::quant::{QuantFormat, ZERO_POINTS_PER_WORD, groups, words, zero_words};

use super::{AdapterClass, Around, gemv_words, primitive, words::Format};

/// The tensors of a quantized matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedTensors<'a> {
    /// `[rows, words]`
    pub quants: &'a Tensor<2, Int>,
    /// `[rows, groups]`
    pub scales: &'a Tensor<2>,
    /// `[rows, zero_words]`; `None` in 8 bits
    pub zero_points: Option<&'a Tensor<2, Int>>,
    pub format: QuantFormat,
    pub columns: usize,
}

/// `x` `[n, columns]`, matrices `[rows, columns]` -> `[n, rows]` each, or what `around` makes of those. Matrices of one format
/// that lie together are multiplied in one launch.
pub fn matmul_t_quantized(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[QuantizedTensors<'_>],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let matrices = weights.iter().map(|weight| {
        let matrix = Primitives::of(weight, x.dims()[1])?;
        let tensors = [matrix.quants, matrix.scales].into_iter().chain(matrix.zero_points).collect();
        Some((Format::Quants(matrix.bits), tensors))
    });
    gemv_words::products(class, x, matrices.collect::<Option<_>>()?, around)
}

/// The same where they lie.
pub(super) struct Primitives {
    pub quants: CubeTensor,
    pub scales: CubeTensor,
    pub zero_points: Option<CubeTensor>,
    pub bits: usize,
}

impl Primitives {
    pub fn of(weight: &QuantizedTensors<'_>, columns: usize) -> Option<Self> {
        let bits = weight.format.bits();
        let quants = weight.quants.clone().try_into_primitive::<Wgpu>().ok()?;
        let scales = primitive(weight.scales)?;
        let [rows, _] = weight.scales.dims();
        let integers = |dtype| matches!(dtype, DType::I32 | DType::U32);
        let zero_points = match weight.zero_points {
            Some(words) => Some(words.clone().try_into_primitive::<Wgpu>().ok()?),
            None => None,
        };
        let zeros = zero_words(columns, weight.format);
        let zeros_fit = match (weight.zero_points, &zero_points) {
            (Some(words), Some(held)) => integers(held.dtype) && held.is_contiguous() && words.dims() == [rows, zeros],
            _ => zeros == 0,
        };
        // MXFP4 is dequantized for adapters.
        let fits = weight.format != QuantFormat::Mxfp4
            && weight.columns == columns
            && zeros_fit
            && integers(quants.dtype)
            && weight.quants.dims() == [rows, words(columns, weight.format)]
            && weight.scales.dims() == [rows, groups(columns)];
        (fits && quants.is_contiguous() && scales.is_contiguous()).then_some(Self { quants, scales, zero_points, bits })
    }
}

/// The zero point of a group, as it is stored: of a row's `groups` each has 4 bits.
#[cube]
pub(super) fn zero_point(zero_points: &[u32], row: usize, group: usize, groups: usize) -> u32 {
    let per_word = comptime!(ZERO_POINTS_PER_WORD);
    let words_of_row = (groups + comptime!(ZERO_POINTS_PER_WORD - 1)) / per_word;
    let word = zero_points[row * words_of_row + group / per_word];
    (word >> (u32::cast_from(group % per_word) * 4)) & 0xf
}
