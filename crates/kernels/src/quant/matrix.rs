//! A quantized matrix in memory: quants, scales and zero points, row by row.

use bytemuck::cast_slice;
use half::f16;

use super::{QuantFormat, groups, words, zero_words};

/// A quantized matrix `[rows, columns]`, which owns its numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Quantized {
    pub format: QuantFormat,
    /// `[rows, words]`
    pub quants: Vec<i32>,
    /// `[rows, groups]`
    pub scales: Vec<f16>,
    /// `[rows, zero_words]`
    pub zero_points: Vec<i32>,
    pub columns: usize,
}

impl Quantized {
    /// No rows, and room for so many.
    pub fn with_room(rows: usize, columns: usize, format: QuantFormat) -> Self {
        Self {
            format,
            quants: Vec::with_capacity(rows * words(columns, format)),
            scales: Vec::with_capacity(rows * groups(columns)),
            zero_points: Vec::with_capacity(rows * zero_words(columns, format)),
            columns,
        }
    }

    /// Adds rows behind these, of as many columns in the same format.
    pub fn append(&mut self, mut rows: Self) {
        assert_eq!((rows.format, rows.columns), (self.format, self.columns), "rows of one matrix");
        self.quants.append(&mut rows.quants);
        self.scales.append(&mut rows.scales);
        self.zero_points.append(&mut rows.zero_points);
    }

    /// # Panics
    /// If the lengths contradict each other.
    pub fn view(&self) -> QuantizedMatrix<'_> {
        let Self { format, quants, scales, zero_points, columns } = self;
        QuantizedMatrix::new(*format, quants, scales, zero_points, *columns)
    }
}

/// A quantized matrix `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub struct QuantizedMatrix<'a> {
    pub format: QuantFormat,
    /// `[rows, words]`
    pub quants: &'a [i32],
    /// `[rows, groups]`
    pub scales: &'a [f16],
    /// `[rows, zero_words]`
    pub zero_points: &'a [i32],
    pub columns: usize,
}

/// One row.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// [`QuantFormat::group_bytes`] of each group.
    pub quants: &'a [u8],
    pub scales: &'a [f16],
    pub zero_points: &'a [i32],
}

impl<'a> QuantizedMatrix<'a> {
    /// # Panics
    /// If the lengths contradict each other.
    pub fn new(
        format: QuantFormat,
        quants: &'a [i32],
        scales: &'a [f16],
        zero_points: &'a [i32],
        columns: usize,
    ) -> Self {
        let rows = scales.len().checked_div(groups(columns)).unwrap_or_default();
        assert_eq!(scales.len(), rows * groups(columns), "scales are [rows, groups]");
        assert_eq!(quants.len(), rows * words(columns, format), "quants are [rows, words]");
        assert_eq!(zero_points.len(), rows * zero_words(columns, format), "zero points are [rows, zero_words]");
        Self { format, quants, scales, zero_points, columns }
    }

    pub fn rows(&self) -> usize {
        let rows = self.scales.len().checked_div(groups(self.columns));
        rows.unwrap_or_default()
    }

    /// Bytes of one row, scales and zero points included.
    pub fn row_bytes(&self) -> usize {
        groups(self.columns) * (self.format.group_bytes() + size_of::<f16>())
            + zero_words(self.columns, self.format) * size_of::<i32>()
    }

    #[inline(always)]
    pub(crate) fn row(&self, row: usize) -> Row<'a> {
        let words = words(self.columns, self.format);
        let groups = groups(self.columns);
        let zeros = zero_words(self.columns, self.format);
        Row {
            quants: cast_slice(&self.quants[row * words..][..words]),
            scales: &self.scales[row * groups..][..groups],
            zero_points: &self.zero_points[row * zeros..][..zeros],
        }
    }
}
