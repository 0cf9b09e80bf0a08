//! The training text and its held-out tail.

use std::{fs, io::ErrorKind, path::Path};

use glass_config::LlamaConfig;
use serde::{Deserialize, Serialize};

use crate::{Recipe, TrainError, init::fnv1a, tokenizer::TrainedTokenizer};

/// A text, split in two: its beginning is trained on, its tail is held out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    whole: String,
    /// Byte at which the held-out tail begins.
    split: usize,
}

/// Identifies a text: a resumed run must read the same one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextFingerprint {
    pub bytes: usize,
    /// FNV-1a, 64 bits, in hexadecimal.
    pub fnv: String,
}

impl Text {
    /// Reads a UTF-8 file and holds out its last `held_out`, a fraction of its bytes.
    ///
    /// # Errors
    /// The file cannot be read, is not UTF-8, or is empty.
    pub fn read(path: &Path, held_out: f64) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Text { path: path.to_owned(), reason };
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed("does not exist".into()),
            ErrorKind::IsADirectory => failed("is a folder: give one text file".into()),
            _ => failed(format!("cannot be read ({error})")),
        })?;
        let whole = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            failed(format!("is not UTF-8 at byte {at}: convert it to UTF-8 first"))
        })?;
        if whole.is_empty() {
            return Err(failed("is empty: there is nothing to train on".into()));
        }
        let split = whole.floor_char_boundary((whole.len() as f64 * (1.0 - held_out)) as usize);
        Ok(Self { whole, split })
    }

    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// The part that is trained on.
    pub fn train(&self) -> &str {
        &self.whole[..self.split]
    }

    /// The tail that is not trained on.
    pub fn held_out(&self) -> &str {
        &self.whole[self.split..]
    }

    pub fn fingerprint(&self) -> TextFingerprint {
        TextFingerprint { bytes: self.whole.len(), fnv: format!("{:016x}", fnv1a(self.whole.as_bytes())) }
    }
}

/// A text as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    pub train: Vec<u32>,
    pub held_out: Vec<u32>,
}

impl Corpus {
    /// Encodes `text` for a model of `config`, which is `pretrained` with this tokenizer, or new.
    ///
    /// # Errors
    /// The config has fewer tokens than the tokenizer, or fewer positions than the recipe's context; the tokenizer
    /// refuses the text; [`TrainError::TooShort`]: the text has not one sequence to train on, or nothing to evaluate on.
    pub fn encode(
        text: &Text,
        tokenizer: &TrainedTokenizer,
        config: &LlamaConfig,
        recipe: &Recipe,
        pretrained: bool,
    ) -> Result<Self, TrainError> {
        let (tokens, positions) = (tokenizer.vocab_size(), config.context());
        if recipe.context > positions {
            return Err(TrainError::Recipe {
                field: "context",
                reason: format!(
                    "is {}, more than the {positions} positions of the config: lower it, or raise max_position_embeddings",
                    recipe.context
                ),
            });
        }
        let corpus = Self { train: tokenizer.encode(text.train())?, held_out: tokenizer.encode(text.held_out())? };
        // Tokenizers of models may have tokens that the model never got, as long as the text has none of them.
        let ids = corpus.train.iter().chain(&corpus.held_out);
        let largest = ids.max().map_or(0, |&id| id as usize);
        if largest >= config.vocab_size || (tokens > config.vocab_size && !pretrained) {
            return Err(TrainError::Vocabulary { tokenizer: tokens.max(largest + 1), config: config.vocab_size });
        }
        for (part, tokens, needed) in
            [("train on", corpus.train.len(), recipe.context + 1), ("measure with", corpus.held_out.len(), 2)]
        {
            if tokens < needed {
                return Err(TrainError::TooShort { part, tokens, needed });
            }
        }
        Ok(corpus)
    }
}
