//! `char`, `bpe:N` or a path, as on the command line.

use std::{fmt, ops::RangeInclusive, path::PathBuf, str::FromStr};

use super::TokenizerChoiceError;

/// Vocabulary sizes of `bpe:N`: at least the 256 bytes; the largest published vocabularies have about 260,000 tokens.
pub const BPE_SIZES: RangeInclusive<usize> = 256..=1 << 20;

/// Where a model's tokenizer comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenizerChoice {
    /// One token for each character of the text.
    Char,
    /// Byte-level byte-pair encoding (Sennrich et al. 2016, <https://arxiv.org/abs/1508.07909>; on bytes as in GPT-2),
    /// with at most `vocab_size` tokens.
    Bpe { vocab_size: usize },
    /// A `tokenizer.json`, or a model folder with one.
    File(PathBuf),
}

impl TokenizerChoice {
    pub(super) fn check_bpe_size(vocab_size: usize) -> Result<(), TokenizerChoiceError> {
        if vocab_size < *BPE_SIZES.start() {
            return Err(TokenizerChoiceError::BpeSizeTooSmall { given: vocab_size });
        }
        if vocab_size > *BPE_SIZES.end() {
            return Err(TokenizerChoiceError::BpeSizeTooLarge { given: vocab_size });
        }
        Ok(())
    }
}

impl FromStr for TokenizerChoice {
    type Err = TokenizerChoiceError;

    /// Everything but `char` and `bpe:...` is a path; a file named char is `./char`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "char" {
            return Ok(Self::Char);
        }
        let Some(size) = text.strip_prefix("bpe:") else {
            return Ok(Self::File(text.into()));
        };
        let vocab_size =
            size.parse().map_err(|_| TokenizerChoiceError::BpeSizeNotANumber { given: size.to_owned() })?;
        Self::check_bpe_size(vocab_size)?;
        Ok(Self::Bpe { vocab_size })
    }
}

impl fmt::Display for TokenizerChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Char => f.write_str("char"),
            Self::Bpe { vocab_size } => write!(f, "bpe:{vocab_size}"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}
