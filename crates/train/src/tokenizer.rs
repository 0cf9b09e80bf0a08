//! The tokenizer that a model is trained with: trained on the text, or read from a file.
//!
//! Reading order: [`TokenizerChoice`] (`char`, `bpe:N` or a path) · `char_level` and `byte_level_bpe` (how a vocabulary is
//! learned from a text) · `from_file`. Every choice gives the pair of files that transformers and this project load, and
//! a tokenizer read back from these bytes: training uses what is saved.

mod byte_level_bpe;
mod char_level;
mod choice;
mod chunks;
mod from_file;

use glass_text::{Tokenizer, TokenizerError, one_line};
use serde_json::json;
use thiserror::Error;

pub use choice::{BPE_SIZES, TokenizerChoice};
use chunks::chunks;

/// The `tokenizers` crate holds some hundred bytes for each token of a text until the text is encoded; a chunk bounds them.
const CHUNK_BYTES: usize = 1 << 16;

/// Why a tokenizer cannot be chosen, trained or used. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenizerChoiceError {
    #[error("bpe:{given}: not a number of tokens; give for instance bpe:512")]
    BpeSizeNotANumber { given: String },
    #[error("bpe:{given}: too few tokens, each of the 256 bytes needs one; give bpe:256 or more")]
    BpeSizeTooSmall { given: usize },
    #[error("bpe:{given}: more tokens than any model uses; give at most bpe:{}", BPE_SIZES.end())]
    BpeSizeTooLarge { given: usize },
    #[error("no tokenizer file {path:?}; give char, bpe:N (for instance bpe:512) or the path of a tokenizer.json")]
    NoSuchFile { path: String },
    #[error("the text is empty: there is nothing to train a tokenizer on")]
    EmptyText,
    #[error("the tokenizer encodes this text to no tokens; give one that knows its characters, or char or bpe:N")]
    NoTokens,
    #[error("the tokenizer cannot be trained: {reason}")]
    Library { reason: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// The special ids of a model's config.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialIds {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// For text that no other token spells.
    pub unk: Option<u32>,
}

/// A tokenizer to train a model with, and the files it is saved as.
pub struct TrainedTokenizer {
    tokenizer: Tokenizer,
    json: Vec<u8>,
    config_json: Vec<u8>,
    vocab_size: usize,
    special_ids: SpecialIds,
    /// A text may be encoded in [`chunks`].
    in_chunks: bool,
    warnings: Vec<String>,
}

/// Trains or reads the tokenizer of `choice`: `char` and `bpe:N` learn their vocabulary from `text`. Equal texts give equal
/// bytes.
///
/// # Errors
/// The text is empty, the bpe size out of range, or the file cannot be read or is not a tokenizer.
pub fn train_tokenizer(choice: &TokenizerChoice, text: &str) -> Result<TrainedTokenizer, TokenizerChoiceError> {
    if text.is_empty() {
        return Err(TokenizerChoiceError::EmptyText);
    }
    match choice {
        TokenizerChoice::Char => char_level::train(text),
        TokenizerChoice::Bpe { vocab_size } => byte_level_bpe::train(text, *vocab_size),
        TokenizerChoice::File(path) => from_file::read(path),
    }
}

impl TrainedTokenizer {
    /// A tokenizer that learned its vocabulary here: it has no special tokens, and encodes a text in [`chunks`].
    fn learned(tokenizer: &tokenizers::Tokenizer, unk: Option<u32>) -> Result<Self, TokenizerChoiceError> {
        let json = tokenizer.to_string(true).map_err(library_error)?.into_bytes();
        Ok(Self {
            tokenizer: Tokenizer::from_json(&json, "tokenizer.json")?,
            json,
            config_json: plain_config(),
            vocab_size: tokenizer.get_vocab_size(true),
            special_ids: SpecialIds { unk, ..SpecialIds::default() },
            in_chunks: true,
            warnings: Vec::new(),
        })
    }

    /// The ids of a training text or of its held-out tail, without BOS and EOS.
    ///
    /// For `char` and `bpe:N`, which have no special tokens, text such as `</s>` is ordinary text. A tokenizer from a file
    /// reads its special tokens where the text spells them, as it does in a prompt: a text can mark the ends of its
    /// documents.
    ///
    /// `char` and `bpe:N` take 4 bytes of memory per token. A tokenizer from a file takes a few hundred, because it encodes
    /// the text whole: its tokens may span any cut.
    ///
    /// # Errors
    /// The tokenizer refuses the text, or encodes it to no tokens.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerChoiceError> {
        let chunk_bytes = if self.in_chunks { CHUNK_BYTES } else { text.len() };
        let mut ids = Vec::new();
        for chunk in chunks(text, chunk_bytes) {
            ids.extend(self.tokenizer.encode(chunk, false)?);
        }
        if ids.is_empty() {
            return Err(TokenizerChoiceError::NoTokens);
        }
        Ok(ids)
    }

    /// Encodes in [`chunks`] or whole. Files do not say whether their tokenizer was trained here; a resumed run does.
    pub fn in_chunks(mut self, in_chunks: bool) -> Self {
        self.in_chunks = in_chunks;
        self
    }

    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The contents of the model folder's `tokenizer.json`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The contents of the model folder's `tokenizer_config.json`. It names the tokenizer's class, which transformers
    /// would otherwise derive from the model type.
    pub fn config_json(&self) -> &[u8] {
        &self.config_json
    }

    /// Rows of the model's embedding: the largest id plus one.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// For the model's `config.json` and `generation_config.json`.
    pub fn special_ids(&self) -> SpecialIds {
        self.special_ids
    }

    /// What differs from what was asked: one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// "PreTrainedTokenizerFast" is transformers' class that follows `tokenizer.json` alone.
fn plain_config() -> Vec<u8> {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
    });
    format!("{config:#}\n").into_bytes()
}

fn library_error(error: tokenizers::Error) -> TokenizerChoiceError {
    TokenizerChoiceError::Library { reason: one_line(&error) }
}
