//! How a tensor's numbers are stored.

use std::fmt;

/// A type of ggml (`enum ggml_type` and `type_traits` in <https://github.com/ggml-org/ggml/blob/master/src/ggml.c>): plain
/// numbers, or blocks of them with scales of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[allow(non_camel_case_types)]
pub enum GgmlType {
    F32 = 0,
    F16 = 1,
    Q4_0 = 2,
    Q4_1 = 3,
    Q5_0 = 6,
    Q5_1 = 7,
    Q8_0 = 8,
    Q8_1 = 9,
    Q2_K = 10,
    Q3_K = 11,
    Q4_K = 12,
    Q5_K = 13,
    Q6_K = 14,
    Q8_K = 15,
    IQ2_XXS = 16,
    IQ2_XS = 17,
    IQ3_XXS = 18,
    IQ1_S = 19,
    IQ4_NL = 20,
    IQ3_S = 21,
    IQ2_S = 22,
    IQ4_XS = 23,
    I8 = 24,
    I16 = 25,
    I32 = 26,
    I64 = 27,
    F64 = 28,
    IQ1_M = 29,
    BF16 = 30,
    TQ1_0 = 34,
    TQ2_0 = 35,
    MXFP4 = 39,
    NVFP4 = 40,
    Q1_0 = 41,
}

/// Each type with its name, the numbers of a block, and the bytes of a block.
const TYPES: [(GgmlType, &str, usize, usize); 34] = {
    use GgmlType::*;
    [
        (F32, "F32", 1, 4),
        (F16, "F16", 1, 2),
        (Q4_0, "Q4_0", 32, 18),
        (Q4_1, "Q4_1", 32, 20),
        (Q5_0, "Q5_0", 32, 22),
        (Q5_1, "Q5_1", 32, 24),
        (Q8_0, "Q8_0", 32, 34),
        (Q8_1, "Q8_1", 32, 36),
        (Q2_K, "Q2_K", 256, 84),
        (Q3_K, "Q3_K", 256, 110),
        (Q4_K, "Q4_K", 256, 144),
        (Q5_K, "Q5_K", 256, 176),
        (Q6_K, "Q6_K", 256, 210),
        (Q8_K, "Q8_K", 256, 292),
        (IQ2_XXS, "IQ2_XXS", 256, 66),
        (IQ2_XS, "IQ2_XS", 256, 74),
        (IQ3_XXS, "IQ3_XXS", 256, 98),
        (IQ1_S, "IQ1_S", 256, 50),
        (IQ4_NL, "IQ4_NL", 32, 18),
        (IQ3_S, "IQ3_S", 256, 110),
        (IQ2_S, "IQ2_S", 256, 82),
        (IQ4_XS, "IQ4_XS", 256, 136),
        (I8, "I8", 1, 1),
        (I16, "I16", 1, 2),
        (I32, "I32", 1, 4),
        (I64, "I64", 1, 8),
        (F64, "F64", 1, 8),
        (IQ1_M, "IQ1_M", 256, 56),
        (BF16, "BF16", 1, 2),
        (TQ1_0, "TQ1_0", 256, 54),
        (TQ2_0, "TQ2_0", 256, 66),
        (MXFP4, "MXFP4", 32, 17),
        (NVFP4, "NVFP4", 64, 36),
        (Q1_0, "Q1_0", 128, 18),
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

    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The numbers that share a block: 1 where they do not.
    pub fn block_len(self) -> usize {
        self.row().2
    }

    /// The bytes of a block.
    pub fn block_bytes(self) -> usize {
        self.row().3
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

    fn row(self) -> &'static (Self, &'static str, usize, usize) {
        let Some(row) = TYPES.iter().find(|row| row.0 == self) else { unreachable!("every type has its row") };
        row
    }
}

impl fmt::Display for GgmlType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
