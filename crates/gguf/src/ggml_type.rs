//! How a tensor's numbers are stored.

use std::fmt;

use glass_kernels::quant::BlockFormat;

/// A type of ggml (`enum ggml_type` and `type_traits` in <https://github.com/ggml-org/ggml/blob/master/src/ggml.c>): plain
/// numbers, or blocks of them with scales of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum GgmlType {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2K = 10,
    Q3K = 11,
    Q4K = 12,
    Q5K = 13,
    Q6K = 14,
    Q8K = 15,
    Iq2Xxs = 16,
    Iq2Xs = 17,
    Iq3Xxs = 18,
    Iq1S = 19,
    Iq4Nl = 20,
    Iq3S = 21,
    Iq2S = 22,
    Iq4Xs = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    Iq1M = 29,
    Bf16 = 30,
    Tq1_0 = 34,
    Tq2_0 = 35,
    Mxfp4 = 39,
    Nvfp4 = 40,
    Q1_0 = 41,
}

/// A type's name, and the numbers and bytes of a block.
enum Block {
    /// One that is computed with.
    Format(BlockFormat),
    Other(&'static str, usize, usize),
}

const TYPES: [(GgmlType, Block); 34] = {
    use Block::*;
    use GgmlType::*;
    [
        (F32, Other("F32", 1, 4)),
        (F16, Other("F16", 1, 2)),
        (Q4_0, Format(BlockFormat::Q4_0)),
        (Q4_1, Format(BlockFormat::Q4_1)),
        (Q5_0, Format(BlockFormat::Q5_0)),
        (Q5_1, Format(BlockFormat::Q5_1)),
        (Q8_0, Format(BlockFormat::Q8_0)),
        (Q8_1, Other("Q8_1", 32, 36)),
        (Q2K, Format(BlockFormat::Q2K)),
        (Q3K, Format(BlockFormat::Q3K)),
        (Q4K, Format(BlockFormat::Q4K)),
        (Q5K, Format(BlockFormat::Q5K)),
        (Q6K, Format(BlockFormat::Q6K)),
        (Q8K, Other("Q8_K", 256, 292)),
        (Iq2Xxs, Other("IQ2_XXS", 256, 66)),
        (Iq2Xs, Other("IQ2_XS", 256, 74)),
        (Iq3Xxs, Other("IQ3_XXS", 256, 98)),
        (Iq1S, Other("IQ1_S", 256, 50)),
        (Iq4Nl, Format(BlockFormat::Iq4Nl)),
        (Iq3S, Other("IQ3_S", 256, 110)),
        (Iq2S, Other("IQ2_S", 256, 82)),
        (Iq4Xs, Format(BlockFormat::Iq4Xs)),
        (I8, Other("I8", 1, 1)),
        (I16, Other("I16", 1, 2)),
        (I32, Other("I32", 1, 4)),
        (I64, Other("I64", 1, 8)),
        (F64, Other("F64", 1, 8)),
        (Iq1M, Other("IQ1_M", 256, 56)),
        (Bf16, Other("BF16", 1, 2)),
        (Tq1_0, Other("TQ1_0", 256, 54)),
        (Tq2_0, Other("TQ2_0", 256, 66)),
        (Mxfp4, Format(BlockFormat::Mxfp4)),
        (Nvfp4, Other("NVFP4", 64, 36)),
        (Q1_0, Other("Q1_0", 128, 18)),
    ]
};

impl GgmlType {
    /// All types, by their numbers.
    pub fn all() -> impl Iterator<Item = Self> {
        TYPES.iter().map(|row| row.0)
    }

    /// The type with this number in a file.
    pub fn from_number(number: u32) -> Option<Self> {
        Self::all().find(|ty| ty.number() == number)
    }

    /// The name of a type that files had once, before llama.cpp took it out of the format.
    pub(crate) fn removed(number: u32) -> Option<&'static str> {
        Some(match number {
            4 => "Q4_2",
            5 => "Q4_3",
            31 => "Q4_0_4_4",
            32 => "Q4_0_4_8",
            33 => "Q4_0_8_8",
            36 => "IQ4_NL_4_4",
            37 => "IQ4_NL_4_8",
            38 => "IQ4_NL_8_8",
            _ => return None,
        })
    }

    /// The type of this name, in any case: `Q4_K`, `q4_k`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::all().find(|ty| ty.name().eq_ignore_ascii_case(name))
    }

    /// Its number in a file.
    pub fn number(self) -> u32 {
        self as u32
    }

    /// The layout of its blocks, if weights of this type are computed with as they are.
    pub fn block_format(self) -> Option<BlockFormat> {
        match *self.block() {
            Block::Format(format) => Some(format),
            Block::Other(..) => None,
        }
    }

    pub fn name(self) -> &'static str {
        match *self.block() {
            Block::Format(format) => format.name(),
            Block::Other(name, ..) => name,
        }
    }

    /// The numbers that share a block: 1 where they do not.
    pub fn block_len(self) -> usize {
        match *self.block() {
            Block::Format(format) => format.block_len(),
            Block::Other(_, len, _) => len,
        }
    }

    /// The bytes of a block.
    pub fn block_bytes(self) -> usize {
        match *self.block() {
            Block::Format(format) => format.block_bytes(),
            Block::Other(.., bytes) => bytes,
        }
    }

    /// The bytes of a tensor of `shape`, outermost dimension first.
    ///
    /// # Errors
    /// Why there can be none: a dimension is 0, a row is not a whole number of blocks, or it is too large to be counted.
    pub fn bytes(self, shape: &[usize]) -> Result<usize, String> {
        let row = shape.last().copied().unwrap_or(1);
        if shape.contains(&0) {
            return Err(format!("shape {shape:?} has a dimension of 0"));
        }
        if !row.is_multiple_of(self.block_len()) {
            return Err(format!(
                "its rows of {row} numbers are not made of whole blocks of {self}, which have {}",
                self.block_len()
            ));
        }
        let elements = shape.iter().try_fold(1, |n: usize, &d| n.checked_mul(d));
        let bytes = elements.and_then(|n| (n / self.block_len()).checked_mul(self.block_bytes()));
        bytes.ok_or_else(|| format!("shape {shape:?} has more elements than can be counted"))
    }

    fn block(self) -> &'static Block {
        let Some((_, block)) = TYPES.iter().find(|row| row.0 == self) else { unreachable!("every type has its row") };
        block
    }
}

impl From<BlockFormat> for GgmlType {
    fn from(format: BlockFormat) -> Self {
        let Some(ty) = Self::all().find(|ty| ty.block_format() == Some(format)) else {
            unreachable!("every format is a type")
        };
        ty
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
