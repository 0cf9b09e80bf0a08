//! Matrices that lie row by row, laid in strips.

use bytemuck::{Zeroable, cast_slice_mut};

use super::{LANES, Line, PanelFormat, Panels, SPAN, WORDS, piece::Piece, start};
use crate::{
    isa::Isa,
    quant::{BlockMatrix, QuantizedMatrix, groups},
    share::share_each,
};

/// Strips that one thread lays before another wakes up.
const SERIAL: usize = 4;

impl Panels {
    /// `None` if no kernel of this machine reads strips.
    pub fn of(matrix: QuantizedMatrix<'_>) -> Option<Self> {
        let format = PanelFormat::of(matrix.format);
        Self::laid(
            format,
            matrix.rows(),
            matrix.columns,
            #[inline(always)]
            |row, span, piece| piece.fill(matrix, row, span),
        )
    }

    /// The same of a matrix in blocks.
    pub fn of_blocks(matrix: BlockMatrix<'_>) -> Option<Self> {
        let format = PanelFormat::of_blocks(matrix.format);
        Self::laid(
            format,
            matrix.rows(),
            matrix.columns,
            #[inline(always)]
            |row, span, piece| piece.fill_blocks(matrix, row, span),
        )
    }

    /// `fill` fills in a piece with a span of a row.
    fn laid(
        format: PanelFormat,
        rows: usize,
        columns: usize,
        fill: impl Fn(usize, usize, &mut Piece) + Sync,
    ) -> Option<Self> {
        let vnni = Isa::best().vnni().filter(|_| columns > 0)?;
        let (layout, groups) = (format.layout(), groups(columns));
        let of_strip = layout.strip_lines(groups);
        let lines = rows.div_ceil(LANES) * of_strip;
        let mut words = vec![0; (lines + 1) * WORDS];
        let start = start(&words);
        let lines: &mut [Line] = cast_slice_mut(&mut words[start..][..lines * WORDS]);
        share_each(lines.chunks_mut(SERIAL * of_strip).enumerate(), |(at, lines)| {
            vnni.vectorize(
                #[inline(always)]
                || {
                    let mut pieces = [Piece::zeroed(); LANES];
                    for (strip, lines) in lines.chunks_exact_mut(of_strip).enumerate() {
                        let first = (SERIAL * at + strip) * LANES;
                        // Rows that there are not are zeros.
                        let there = LANES.min(rows - first);
                        pieces[there..].fill(Piece::zeroed());
                        for (span, lines) in lines.chunks_mut(layout.span_lines(SPAN)).enumerate() {
                            for (lane, piece) in pieces.iter_mut().enumerate().take(there) {
                                fill(first + lane, span, piece);
                            }
                            Piece::lay(vnni.simd(), &pieces, layout, SPAN.min(groups - span * SPAN), lines);
                        }
                    }
                },
            );
        });
        Some(Self { format, rows, columns, words })
    }
}
