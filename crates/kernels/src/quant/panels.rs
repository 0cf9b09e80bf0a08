//! Quantized matrices as the processor multiplies them: sixteen rows side by side, so that a vector register holds the same
//! four columns of each, and their products are in sixteen lanes from the first to the last.
//!
//! What lies row by row in a file is laid so once, when it is loaded, in about as many bytes. One product then reads memory
//! from end to end, and many need not move the weights to where they are multiplied.

use std::{ops::Range, ptr};

use bytemuck::{Pod, Zeroable, cast_slice};
use half::f16;

#[cfg(not(target_arch = "x86_64"))]
use super::{BlockMatrix, QuantizedMatrix};
use super::{GROUP_SIZE, groups};
use crate::prefetch::prefetch;

mod format;
#[cfg(target_arch = "x86_64")]
mod lay;
#[cfg(target_arch = "x86_64")]
mod piece;

pub(crate) use format::{Factors, Layout, PanelFormat, Zero};

/// Groups of a span.
pub(crate) const SPAN: usize = 8;

/// Rows of a strip.
pub(crate) const LANES: usize = 16;

/// Lines of a strip that are asked for before they are read: half of what an L1 cache holds.
const MOST_ASKED: usize = 256;

/// A cache line.
#[derive(Clone, Copy, Debug, Zeroable)]
#[repr(C, align(64))]
pub(crate) struct Line(pub [u8; 64]);

// SAFETY: 64 bytes, without padding.
unsafe impl Pod for Line {}

/// Words of a line.
const WORDS: usize = size_of::<Line>() / size_of::<u64>();

/// The first word that begins a line.
#[inline(always)]
fn start(words: &[u64]) -> usize {
    words.as_ptr().align_offset(align_of::<Line>())
}

/// A matrix `[rows, columns]` in strips.
#[derive(Debug)]
pub struct Panels {
    pub(crate) format: PanelFormat,
    rows: usize,
    columns: usize,
    /// Strip after strip, of each span after span, from the start of a cache line on: zeros of whole words come from the
    /// system, and are touched first by the threads that write there.
    words: Vec<u64>,
}

/// Eight groups of sixteen rows, or what is left of a row.
#[derive(Clone, Copy)]
pub(crate) struct Span<'a> {
    /// The quants of each group, plane after plane, and then the factors.
    pub lines: &'a [Line],
    pub groups: usize,
}

impl Panels {
    /// `None`: no kernel reads strips here.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of(_: QuantizedMatrix<'_>) -> Option<Self> {
        None
    }

    /// `None`: no kernel reads strips here.
    #[cfg(not(target_arch = "x86_64"))]
    pub fn of_blocks(_: BlockMatrix<'_>) -> Option<Self> {
        None
    }

    /// All strips.
    #[inline(always)]
    fn lines(&self) -> &[Line] {
        let lines = self.words.len() / WORDS - 1;
        cast_slice(&self.words[start(&self.words)..][..lines * WORDS])
    }

    pub fn rows(&self) -> usize {
        self.rows
    }

    pub fn columns(&self) -> usize {
        self.columns
    }

    fn strip_lines(&self) -> usize {
        self.format.layout().strip_lines(groups(self.columns))
    }

    pub(crate) fn strip_bytes(&self) -> usize {
        self.strip_lines() * size_of::<Line>()
    }

    /// Strips as they lie in memory; those that there are not are empty.
    pub(crate) fn stored(&self, strips: Range<usize>) -> &[Line] {
        let [start, end] = [strips.start, strips.end].map(|strip| (strip * self.strip_lines()).min(self.lines().len()));
        &self.lines()[start..end]
    }

    /// The lines of a strip. `layout` is that of its format, as the compiler may know it.
    #[inline(always)]
    pub(crate) fn strip(&self, layout: Layout, strip: usize) -> &[Line] {
        let lines = layout.strip_lines(groups(self.columns));
        &self.lines()[strip * lines..][..lines]
    }

    /// Span `at` of a strip.
    #[inline(always)]
    pub(crate) fn span(&self, layout: Layout, strip: usize, at: usize) -> Span<'_> {
        let (lines, of_span) = (self.strip(layout, strip), layout.span_lines(SPAN));
        Span::new(&lines[at * of_span..lines.len().min((at + 1) * of_span)], at, groups(self.columns))
    }

    /// Rows `rows` -> `out` `[rows, columns]`
    ///
    /// # Panics
    /// If `out` has another length.
    pub fn dequantize(&self, rows: Range<usize>, out: &mut [f32]) {
        assert_eq!(out.len(), rows.len() * self.columns, "out is [rows, columns]");
        let layout = self.format.layout();
        for (row, out) in rows.zip(out.chunks_exact_mut(self.columns)) {
            let strip = self.strip(layout, row / LANES);
            // Each line has some columns of a row, and one alone is read from wherever it lies, as an embedding is.
            strip.iter().take(MOST_ASKED).for_each(|line| prefetch(ptr::from_ref(line)));
            let spans = strip.chunks(layout.span_lines(SPAN));
            for ((at, lines), out) in spans.enumerate().zip(out.chunks_mut(SPAN * GROUP_SIZE)) {
                let span = Span::new(lines, at, groups(self.columns));
                for (group, out) in out.chunks_mut(GROUP_SIZE).enumerate() {
                    span.dequantize(layout, row % LANES, group, out);
                }
            }
        }
    }
}

impl<'a> Span<'a> {
    /// Span `at` of rows of so many groups.
    #[inline(always)]
    pub fn new(lines: &'a [Line], at: usize, groups: usize) -> Self {
        Self { lines, groups: SPAN.min(groups - at * SPAN) }
    }

    /// A group's quants.
    #[inline(always)]
    pub fn quants(&self, layout: Layout, group: usize) -> &'a [Line] {
        &self.lines[group * layout.quant_lines()..][..layout.quant_lines()]
    }

    /// The factors: `[factor lines]` as numbers of some bytes.
    #[inline(always)]
    pub fn factors<T: Pod>(&self, layout: Layout, first_line: usize) -> &'a [T] {
        cast_slice(&self.lines[self.groups * layout.quant_lines() + first_line..])
    }

    /// The columns of a group that `out` has, in one row.
    fn dequantize(&self, layout: Layout, lane: usize, group: usize, out: &mut [f32]) {
        let lines = self.quants(layout, group);
        let of_group = |first: usize, at: usize| usize::from(self.factors::<u8>(layout, first)[at * LANES + lane]);
        let half = |first: usize, at: usize| f16::from_bits(self.factors::<u16>(layout, first)[at * LANES + lane]);
        let integer = |quant: u8| match layout.zero {
            Zero::All(zero) => i32::from(quant) - i32::from(zero),
            Zero::OfGroup => {
                let both = self.factors::<u8>(layout, layout.zero_points_at(self.groups))[8 * group + lane % 8];
                i32::from(quant) - i32::from(both >> (lane / 8 * 4) & 0xf)
            }
            Zero::Table(table) => i32::from(table[usize::from(quant)]),
        };
        for (at, out) in out.chunks_mut(layout.size()).enumerate() {
            let part = group * GROUP_SIZE / layout.size() + at;
            let (scale, constant) = match layout.factors {
                Factors::Halves { minima } => {
                    let constant = if minima { half(self.groups.div_ceil(2), part).to_f32() } else { 0.0 };
                    (half(0, part).to_f32(), constant)
                }
                Factors::Powers => (super::blocks::half_power(of_group(0, part) as u8), 0.0),
                Factors::OfBlock { minima, .. } => {
                    let scale = half(0, 0).to_f32() * f32::from(of_group(1, part) as u8 as i8);
                    let least = || half(0, 1).to_f32() * of_group(layout.minima_at(), part) as f32;
                    (scale, if minima { -least() } else { 0.0 })
                }
            };
            // A unit is four columns of each row.
            for (unit, out) in (at * layout.size() / 4..).zip(out.chunks_mut(4)) {
                let mut quants = [0; 4];
                let (mut at, mut place) = (0, 0);
                for bits in layout.plane_bits() {
                    let (line, shift) = Layout::place(bits, unit);
                    for (quant, byte) in quants.iter_mut().zip(&lines[at + line].0[4 * lane..]) {
                        *quant |= (byte >> shift & (0xff >> (8 - bits))) << place;
                    }
                    (at, place) = (at + bits, place + bits);
                }
                for (number, quant) in out.iter_mut().zip(quants) {
                    let product = integer(quant) as f32 * scale;
                    *number = if layout.has_minima() { product + constant } else { product };
                }
            }
        }
    }
}
