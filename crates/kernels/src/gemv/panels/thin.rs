//! A few vectors: a strip at a time, unpacked as it comes.

use bytemuck::cast_slice;
use pulp::{Simd, f32x16};

use super::{Packed, Rows, TILE, add_group, with_format, zero};
use crate::{
    gemv::tiles::Tile,
    isa,
    prefetch::prefetch_lines,
    quant::{
        groups,
        panels::{PanelFormat, SPAN, Span},
    },
};

impl Rows<'_> {
    #[inline(always)]
    pub(super) fn by_few(&self) {
        with_format!(self.matrix.format, self.by_few_in);
    }

    #[inline(always)]
    fn by_few_in<const FORMAT: u8>(&self) {
        for strip in self.strips() {
            for tile in self.x.iter() {
                match (Packed::<FORMAT>::PARTS, Packed::<FORMAT>::LAYOUT.has_minima()) {
                    (1, false) => self.few::<FORMAT, 1, false>(strip, &tile),
                    (1, true) => self.few::<FORMAT, 1, true>(strip, &tile),
                    (2, false) => self.few::<FORMAT, 2, false>(strip, &tile),
                    (2, true) => self.few::<FORMAT, 2, true>(strip, &tile),
                    _ => unreachable!("columns share factors by 32 or 16"),
                }
            }
        }
    }

    #[inline(always)]
    fn few<const FORMAT: u8, const PARTS: usize, const MINIMA: bool>(&self, strip: usize, tile: &Tile<'_>) {
        match tile.width {
            1 => self.strip::<FORMAT, PARTS, MINIMA, 1>(strip, tile),
            2 => self.strip::<FORMAT, PARTS, MINIMA, 2>(strip, tile),
            4 => self.strip::<FORMAT, PARTS, MINIMA, 4>(strip, tile),
            TILE => self.strip::<FORMAT, PARTS, MINIMA, TILE>(strip, tile),
            _ => unreachable!("no tile has another width"),
        }
    }

    #[inline(always)]
    fn strip<const FORMAT: u8, const PARTS: usize, const MINIMA: bool, const N: usize>(
        &self,
        strip: usize,
        tile: &Tile<'_>,
    ) {
        let (isa, layout, ahead) = (self.isa, Packed::<FORMAT>::LAYOUT, isa::ahead());
        let mut sums: [[f32x16; 1]; N] = [[isa.simd().splat_f32s(0.0)]; N];
        let groups = groups(self.matrix.columns());
        let spans = self.matrix.strip(layout, strip).chunks(layout.span_lines(SPAN)).enumerate();
        for ((at, lines), x) in spans.zip(tile.spans.as_chunks::<N>().0) {
            let span = Span::new(lines, at, groups);
            if let Some(ahead) = ahead {
                prefetch_lines(cast_slice(&lines[span.groups * layout.quant_lines()..]), ahead);
            }
            for at in 0..span.groups {
                // A group at a time: a core has few lines on their way at once.
                if let Some(ahead) = ahead {
                    prefetch_lines(cast_slice(span.quants(layout, at)), ahead);
                }
                let group = Packed::<FORMAT>::new(isa, span, at);
                add_group::<_, PARTS, MINIMA, 1, N>(isa, &group, at, zero(layout), x, &mut sums);
            }
        }
        self.write(strip, tile.first, sums);
    }
}
