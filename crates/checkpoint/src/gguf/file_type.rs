//! What quantized files are called by: `Q4_K_M` says which mixture of types the matrices have.

use std::{collections::BTreeMap, fmt};

use glass_backend::quant::BlockFormat;
use glass_gguf::Gguf;

const KEY: &str = "general.file_type";

/// A mixture of types (`enum llama_ftype` in llama.cpp's `llama.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileType {
    number: u64,
    name: &'static str,
    format: BlockFormat,
}

impl FileType {
    /// Those whose matrices are computed with.
    #[rustfmt::skip]
    pub const ALL: &[Self] = {
        use BlockFormat::*;
        &[
            Self::new(2, "Q4_0", Q4_0), Self::new(3, "Q4_1", Q4_1), Self::new(8, "Q5_0", Q5_0), Self::new(9, "Q5_1", Q5_1),
            Self::new(7, "Q8_0", Q8_0), Self::new(10, "Q2_K", Q2K), Self::new(21, "Q2_K_S", Q2K),
            Self::new(12, "Q3_K_M", Q3K), Self::new(11, "Q3_K_S", Q3K), Self::new(13, "Q3_K_L", Q3K),
            Self::new(15, "Q4_K_M", Q4K), Self::new(14, "Q4_K_S", Q4K),
            Self::new(17, "Q5_K_M", Q5K), Self::new(16, "Q5_K_S", Q5K), Self::new(18, "Q6_K", Q6K),
            Self::new(25, "IQ4_NL", Iq4Nl), Self::new(30, "IQ4_XS", Iq4Xs), Self::new(38, "MXFP4_MOE", Mxfp4),
        ]
    };

    const fn new(number: u64, name: &'static str, format: BlockFormat) -> Self {
        Self { number, name, format }
    }

    /// Of a file: what it says it is, or else what most bytes of its blocks are. `None`: it has no blocks.
    pub fn of(file: &Gguf) -> Option<Self> {
        let mut bytes = BTreeMap::new();
        for tensor in file.tensors() {
            if let Some(format) = tensor.ty.block_format() {
                *bytes.entry(format).or_insert(0) += tensor.bytes.len();
            }
        }
        let (most, _) = bytes.into_iter().max_by_key(|(_, len)| *len)?;
        let said = file.metadata().u64(KEY).ok().flatten();
        let named = Self::ALL.iter().find(|ty| Some(ty.number) == said);
        named.or_else(|| Self::ALL.iter().find(|ty| ty.format == most)).copied()
    }

    /// The one of this name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|ty| ty.name.eq_ignore_ascii_case(name)).copied()
    }

    /// Its number in a file.
    pub fn number(self) -> u64 {
        self.number
    }

    /// What most matrices are in.
    pub fn format(self) -> BlockFormat {
        self.format
    }
}

impl fmt::Display for FileType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
