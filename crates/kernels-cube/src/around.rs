//! What the kernel of a product does besides: `x` comes through a norm, and the sums are added to something or gated.

use burn::tensor::Tensor;
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::prelude::*;
use glass_kernels::{Gate, RmsNorm};

use super::{empty, gemv::Shape, primitive, reduce, together::RunRows};

/// What is computed before and behind products, in the same launch.
#[derive(Clone, Copy, Debug, Default)]
pub struct Around<'a> {
    /// `x` is read through this norm: its weight `[columns]`.
    pub norm: Option<(&'a Tensor<1>, RmsNorm)>,
    pub then: Then<'a>,
}

/// What is done with products.
#[derive(Clone, Copy, Debug, Default)]
pub enum Then<'a> {
    #[default]
    Nothing,
    /// That of the only matrix is added to this `[n, rows]`.
    Add(&'a Tensor<2>),
    /// `act(gate) * up`: of two matrices of equally many rows one result is left.
    Gate(Gate),
}

/// The same where it lies.
#[derive(Clone)]
pub(super) struct Prepared {
    norm_weight: Option<CubeTensor>,
    eps: f32,
    residual: Option<CubeTensor>,
    pub frame: Frame,
}

/// What of it is compiled into a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Frame {
    pub norm: Option<Norm>,
    pub end: End,
}

/// What a normed vector is multiplied by: its weight, or one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Norm {
    plus_one: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum End {
    Store,
    Add,
    Gate { gelu: bool },
}

impl End {
    /// Rows of the matrices that make one output.
    pub fn rows_of_output(self) -> usize {
        match self {
            Self::Gate { .. } => 2,
            _ => 1,
        }
    }
}

impl Frame {
    /// A product and nothing else.
    pub const NONE: Self = Self { norm: None, end: End::Store };
}

impl Prepared {
    /// `None` if it is not what matrices of so many rows and vectors like `x` can be framed by.
    pub fn of(around: Around<'_>, x: &CubeTensor, rows: &[RunRows]) -> Option<Self> {
        let [n, columns]: [usize; 2] = x.meta.shape().dims();
        let norm_weight = match around.norm {
            Some((weight, _)) => Some(into_contiguous(primitive(weight)?)),
            None => None,
        };
        if norm_weight.as_ref().is_some_and(|weight| weight.dtype != x.dtype || weight.meta.shape()[0] != columns) {
            return None;
        }
        let residual = match around.then {
            Then::Add(residual) => Some(into_contiguous(primitive(residual)?)),
            _ => None,
        };
        if let Some(residual) = &residual {
            let shape: [usize; 2] = residual.meta.shape().dims();
            if rows.len() != 1 || shape != [n, rows[0].len] || residual.dtype != x.dtype {
                return None;
            }
        }
        let end = match around.then {
            Then::Nothing => End::Store,
            Then::Add(_) => End::Add,
            Then::Gate(_) if rows.len() != 2 || rows[0].len != rows[1].len => return None,
            Then::Gate(kind) => End::Gate { gelu: kind == Gate::GeluTanh },
        };
        let norm = around.norm.map(|(_, norm)| Norm { plus_one: norm.plus_one });
        let eps = around.norm.map_or(0.0, |(_, norm)| norm.eps);
        Some(Self { norm_weight, eps, residual, frame: Frame { norm, end } })
    }

    /// What a kernel reads besides; where it does not, anything is bound.
    pub fn arguments(&self, x: &CubeTensor) -> [BufferArg; 2] {
        [&self.norm_weight, &self.residual].map(|read| read.as_ref().unwrap_or(x).clone().into_buffer_arg())
    }
}

/// The outputs of matrices that lie together, in one piece of memory.
pub(super) struct Outputs {
    pub whole: CubeTensor,
    pub parts: Vec<CubeTensor>,
    /// Rows of the matrices up to each of three, added up.
    ends: [usize; 3],
    /// Where the outputs of the second and of the third begin.
    starts: [usize; 2],
    /// Rows of the run between matrices, before the second and before the third.
    gaps: [usize; 2],
    n: usize,
}

impl Outputs {
    /// For `x` `[n, ..]` and one to three matrices of so many rows.
    pub fn new(x: &CubeTensor, rows: &[RunRows], end: End) -> Self {
        let n = x.meta.shape()[0];
        let (mut ends, mut gaps) = ([0; 3], [0; 2]);
        let mut all = 0;
        for (i, end) in ends.iter_mut().enumerate() {
            if let Some(rows) = rows.get(i) {
                // The first begins at 0.
                gaps[i.saturating_sub(1)] = rows.start - all;
                all += rows.len;
            }
            *end = all;
        }
        let rows: Vec<usize> = rows.iter().map(|rows| rows.len).collect();
        let rows = if end.rows_of_output() == 2 { &rows[..1] } else { &rows };
        if let [rows] = *rows {
            let whole = empty(x, [n, rows]);
            return Self { parts: vec![whole.clone()], whole, ends, starts: [0; 2], gaps, n };
        }
        // Each begins where a binding may begin.
        let size = x.dtype.size();
        let aligned = x.client.properties().memory.alignment as usize / size;
        let mut starts = vec![0];
        for &rows in rows {
            let end = starts.last().copied().unwrap_or_default() + n * rows;
            starts.push(end.next_multiple_of(aligned.max(1)));
        }
        let len = starts.pop().unwrap_or_default();
        let whole = empty(x, [len]);
        let part = |(&start, &rows): (&usize, &usize)| {
            let end = start + n * rows;
            let handle = whole.handle.clone();
            let handle = handle.offset_start((start * size) as u64).offset_end(((len - end) * size) as u64);
            CubeTensor::new_contiguous(x.client.clone(), x.device.clone(), [n, rows].into(), handle, x.dtype)
        };
        let parts = starts.iter().zip(rows).map(part).collect();
        let start = |i: usize| starts.get(i).copied().unwrap_or_default();
        Self { parts, starts: [start(1), start(2)], whole, ends, gaps, n }
    }

    pub fn sizes(&self, prepared: &Prepared) -> SizesLaunch {
        let ([first, second, rows], [second_at, third_at]) = (self.ends, self.starts);
        let [second_gap, third_gap] = self.gaps;
        SizesLaunch::new(first, second, rows, second_gap, third_gap, second_at, third_at, self.n, prepared.eps)
    }

    /// Rows that units compute, or pairs of those.
    pub fn rows(&self, end: End) -> usize {
        self.ends[2] / end.rows_of_output()
    }
}

/// The sizes of a product.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Sizes {
    /// Rows of the first matrix, of the first two, and of all.
    pub first: usize,
    pub second: usize,
    pub rows: usize,
    /// Rows in memory that are nobody's: before those of the second matrix, and before those of the third.
    pub second_gap: usize,
    pub third_gap: usize,
    /// Where the outputs of the second and of the third matrix begin.
    pub second_at: usize,
    pub third_at: usize,
    /// Vectors of `x`.
    pub tokens: usize,
    pub eps: f32,
}

/// Where in memory a row of the matrices is.
#[cube]
pub(super) fn memory_row(sizes: &Sizes, row: usize) -> usize {
    row + select(row < sizes.first, 0usize, select(row < sizes.second, sizes.second_gap, sizes.third_gap))
}

/// Where the output of a row and a vector is.
#[cube]
pub(super) fn output_at(sizes: &Sizes, row: usize, token: usize) -> usize {
    let of_first = token * sizes.first + row;
    // Of rows before theirs these are wrong, and not chosen.
    let of_second = sizes.second_at + token * (sizes.second - sizes.first) + row - usize::min(sizes.first, row);
    let of_third = sizes.third_at + token * (sizes.rows - sizes.second) + row - usize::min(sizes.second, row);
    select(row < sizes.first, of_first, select(row < sizes.second, of_second, of_third))
}

/// `1 / sqrt(mean(x^2) + eps)` of each vector of this cube; ones without a norm.
///
/// Every unit of the cube must call it.
#[cube]
pub(super) fn roots<F: Float, N: Size>(
    x: &[Vector<F, N>],
    vectors: usize,
    sizes: &Sizes,
    first_token: usize,
    #[comptime] shape: Shape,
) -> Array<f32> {
    let mut roots = Array::<f32>::new(shape.tokens);
    if comptime!(shape.frame.norm.is_some()) {
        let unit = UNIT_POS_X as usize;
        let mut shared = Shared::<[f32]>::new_slice(comptime!(shape.tokens * shape.units));
        #[unroll]
        for token in 0..shape.tokens {
            let row = usize::min(first_token + token, sizes.tokens - 1) * vectors;
            let mut squares = Vector::<f32, N>::new(0.0f32);
            let mut at = unit;
            while at < vectors {
                let value = Vector::<f32, N>::cast_from(x[row + at]);
                squares += value * value;
                at += shape.units;
            }
            shared[token * shape.units + unit] = Vector::vector_sum(squares);
        }
        reduce::sum(&mut shared, shape.units, shape.units, shape.tokens);
        let len = f32::cast_from(vectors * N::value());
        #[unroll]
        for token in 0..shape.tokens {
            roots[token] = 1.0f32 / f32::sqrt(shared[token * shape.units] / len + sizes.eps);
        }
        // What is shared next may lie where this lay.
        sync_cube();
    }
    roots
}

/// Numbers of `x` as the product reads them: normed and rounded, where there is a norm.
#[cube]
pub(super) fn through_norm<F: Float, N: Size>(
    values: Vector<f32, N>,
    root: f32,
    weight: &[Vector<F, N>],
    at: usize,
    #[comptime] frame: Frame,
) -> Vector<f32, N> {
    if comptime!(frame.norm.is_some()) {
        let norm = comptime!(frame.norm.unwrap());
        let factor = Vector::<f32, N>::cast_from(weight[at]);
        let factor = if comptime!(norm.plus_one) { Vector::<f32, N>::new(1.0f32) + factor } else { factor };
        let normed = Vector::<F, N>::cast_from(values * Vector::new(root) * factor);
        Vector::<f32, N>::cast_from(normed)
    } else {
        values
    }
}

/// An output of its sum, or of those of gate and up. Each step rounds as its own kernel would.
#[cube]
pub(super) fn finish<F: Float>(sum: f32, up: f32, residual: &[F], at: usize, #[comptime] end: End) -> F {
    match comptime!(end) {
        End::Store => F::cast_from(sum),
        End::Add => residual[at] + F::cast_from(sum),
        End::Gate { gelu } => {
            let gate = f32::cast_from(F::cast_from(sum));
            let up = f32::cast_from(F::cast_from(up));
            F::cast_from(crate::gate::gated_number(gate, up, gelu))
        }
    }
}
