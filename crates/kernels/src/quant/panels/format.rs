//! What the strips of a format hold.

use super::{LANES, Line, SPAN};
use crate::quant::{BlockFormat, E2M1, GROUP_SIZE, QuantFormat, blocks::IQ4};

/// A format of strips: one for all formats of files that hold the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum PanelFormat {
    /// [`QuantFormat::Int8`] and Q8_0.
    Int8,
    Int4,
    /// MXFP4 with scales in binary16, ...
    HalfMxfp4,
    /// ... and with exponents.
    Mxfp4,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
    Iq4Nl,
    Iq4Xs,
}

/// What a group's quants are, and what stands beside them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    /// Bits of a quant that lie together, from the lowest: 8, 4, 2, 1 or none.
    pub planes: [usize; 2],
    pub zero: Zero,
    pub factors: Factors,
}

/// What a quant stands for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Zero {
    /// An integer that is smaller by as much.
    All(u8),
    /// One that is smaller by 4 bits that its group has: 8 bytes for sixteen rows, the first eight in the lower halves.
    OfGroup,
    /// One that is named.
    Table(&'static [i8; 16]),
}

/// What integers are multiplied with, and what is added then.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Factors {
    /// Of each group a binary16 number, and with `minima` one that is added, all of these behind all of those.
    Halves { minima: bool },
    /// Of each group half a power of two, by its exponent with an offset of 127.
    Powers,
    /// Of each `size` columns a signed byte, by a binary16 number of the span; with `minima` an unsigned one, which is
    /// subtracted, by another. The two numbers have the first line, the bytes the next.
    OfBlock { size: usize, minima: bool },
}

impl PanelFormat {
    /// All of them, by their numbers.
    pub(crate) const ALL: [Self; 15] = [
        Self::Int8,
        Self::Int4,
        Self::HalfMxfp4,
        Self::Mxfp4,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::Iq4Nl,
        Self::Iq4Xs,
    ];

    pub(crate) fn of(format: QuantFormat) -> Self {
        match format {
            QuantFormat::Int8 => Self::Int8,
            QuantFormat::Int4 => Self::Int4,
            QuantFormat::Mxfp4 => Self::HalfMxfp4,
        }
    }

    pub(crate) fn of_blocks(format: BlockFormat) -> Self {
        match format {
            BlockFormat::Q8_0 => Self::Int8,
            BlockFormat::Q4_0 => Self::Q4_0,
            BlockFormat::Q4_1 => Self::Q4_1,
            BlockFormat::Q5_0 => Self::Q5_0,
            BlockFormat::Q5_1 => Self::Q5_1,
            BlockFormat::Q2K => Self::Q2K,
            BlockFormat::Q3K => Self::Q3K,
            BlockFormat::Q4K => Self::Q4K,
            BlockFormat::Q5K => Self::Q5K,
            BlockFormat::Q6K => Self::Q6K,
            BlockFormat::Iq4Nl => Self::Iq4Nl,
            BlockFormat::Iq4Xs => Self::Iq4Xs,
            BlockFormat::Mxfp4 => Self::Mxfp4,
        }
    }

    pub(crate) const fn layout(self) -> Layout {
        const HALVES: Factors = Factors::Halves { minima: false };
        const WITH_MINIMA: Factors = Factors::Halves { minima: true };
        const fn of_block(size: usize, minima: bool) -> Factors {
            Factors::OfBlock { size, minima }
        }
        let (planes, zero, factors) = match self {
            Self::Int8 => ([8, 0], Zero::All(128), HALVES),
            Self::Int4 => ([4, 0], Zero::OfGroup, HALVES),
            Self::HalfMxfp4 => ([4, 0], Zero::Table(&E2M1), HALVES),
            Self::Mxfp4 => ([4, 0], Zero::Table(&E2M1), Factors::Powers),
            Self::Q4_0 => ([4, 0], Zero::All(8), HALVES),
            Self::Q4_1 => ([4, 0], Zero::All(0), WITH_MINIMA),
            Self::Q5_0 => ([4, 1], Zero::All(16), HALVES),
            Self::Q5_1 => ([4, 1], Zero::All(0), WITH_MINIMA),
            Self::Q2K => ([2, 0], Zero::All(0), of_block(16, true)),
            Self::Q3K => ([2, 1], Zero::All(4), of_block(16, false)),
            Self::Q4K => ([4, 0], Zero::All(0), of_block(GROUP_SIZE, true)),
            Self::Q5K => ([4, 1], Zero::All(0), of_block(GROUP_SIZE, true)),
            Self::Q6K => ([4, 2], Zero::All(32), of_block(16, false)),
            Self::Iq4Nl => ([4, 0], Zero::Table(&IQ4), HALVES),
            Self::Iq4Xs => ([4, 0], Zero::Table(&IQ4), of_block(GROUP_SIZE, false)),
        };
        Layout { planes, zero, factors }
    }
}

impl Layout {
    /// Lines of a group's quants.
    #[inline(always)]
    pub const fn quant_lines(self) -> usize {
        self.planes[0] + self.planes[1]
    }

    /// The bits of each plane that there is.
    #[inline(always)]
    pub fn plane_bits(self) -> impl Iterator<Item = usize> {
        self.planes.into_iter().filter(|bits| *bits > 0)
    }

    /// The line of a plane that four columns lie in, and by how many bits above the lowest.
    #[inline(always)]
    pub const fn place(bits: usize, unit: usize) -> (usize, usize) {
        (unit * bits / 8, unit * bits % 8)
    }

    /// Columns that share factors.
    #[inline(always)]
    pub const fn size(self) -> usize {
        match self.factors {
            Factors::OfBlock { size, .. } => size,
            _ => GROUP_SIZE,
        }
    }

    #[inline(always)]
    pub const fn has_minima(self) -> bool {
        matches!(self.factors, Factors::Halves { minima: true } | Factors::OfBlock { minima: true, .. })
    }

    /// The line of the zero points among the factors of so many groups.
    #[inline(always)]
    pub const fn zero_points_at(self, groups: usize) -> usize {
        groups.div_ceil(2)
    }

    /// The line of the minima among the factors of a block.
    #[inline(always)]
    pub const fn minima_at(self) -> usize {
        1 + self.byte_lines()
    }

    /// Lines of a block's factors in bytes.
    const fn byte_lines(self) -> usize {
        SPAN * GROUP_SIZE / self.size() * LANES / size_of::<Line>()
    }

    /// Lines of so many groups, at most a span's.
    #[inline(always)]
    pub const fn span_lines(self, groups: usize) -> usize {
        let factors = match self.factors {
            Factors::Halves { minima } => groups.div_ceil(2) * (1 + minima as usize),
            Factors::Powers => (groups * LANES).div_ceil(size_of::<Line>()),
            Factors::OfBlock { minima, .. } => 1 + self.byte_lines() * (1 + minima as usize),
        };
        groups * self.quant_lines() + factors + matches!(self.zero, Zero::OfGroup) as usize
    }

    /// Lines of a strip with so many groups in a row.
    #[inline(always)]
    pub const fn strip_lines(self, groups: usize) -> usize {
        let (whole, rest) = (groups / SPAN, groups % SPAN);
        whole * self.span_lines(SPAN) + if rest > 0 { self.span_lines(rest) } else { 0 }
    }
}
