//! The tokenizer that a model is trained with: made from the training text, or taken from a file.
//!
//! Reading order: [`TokenizerChoice`] (what can be asked for) · `char_level` and `byte_level_bpe` (how a vocabulary
//! is made from a text) · `from_file`. Whatever the choice, the result is the pair of files that transformers and
//! this project load, and a tokenizer read back from those very bytes: what trains is what is saved.

mod byte_level_bpe;
mod char_level;
mod choice;
mod from_file;
mod pieces;

use glass_text::{Tokenizer, TokenizerError};
use serde_json::json;
use thiserror::Error;

pub use choice::{BPE_SIZES, TokenizerChoice};
use pieces::pieces;

/// The `tokenizers` crate keeps some hundred bytes for each token of a text until the text is done; this bounds them.
const PIECE_BYTES: usize = 1 << 16;

/// Why a tokenizer could not be chosen, made or used. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenizerChoiceError {
    #[error("bpe:{given}: not a number of tokens; give for instance bpe:512")]
    BpeSizeNotANumber { given: String },
    #[error("bpe:{given}: too few tokens, for each of the 256 bytes is one; give bpe:256 or more")]
    BpeSizeTooSmall { given: usize },
    #[error("bpe:{given}: more tokens than any model uses; give at most bpe:{}", BPE_SIZES.end())]
    BpeSizeTooLarge { given: usize },
    #[error(
        "no tokenizer file {path:?}; give char, bpe:N (for instance bpe:512) or the path of a tokenizer.json"
    )]
    NoSuchFile { path: String },
    #[error("the text is empty: there is nothing to make tokens of")]
    EmptyText,
    #[error(
        "the tokenizer gives no tokens for this text; take one that knows its characters, or char or bpe:N"
    )]
    NoTokens,
    #[error("the tokenizer could not be made: {reason}")]
    Library { reason: String },
    #[error(transparent)]
    Tokenizer(#[from] TokenizerError),
}

/// Ids that a model's config names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpecialIds {
    pub bos: Option<u32>,
    pub eos: Option<u32>,
    /// What stands for text that no other token spells.
    pub unk: Option<u32>,
}

/// A tokenizer to train a model with, and the files that it is saved as.
pub struct TrainedTokenizer {
    tokenizer: Tokenizer,
    json: Vec<u8>,
    config_json: Vec<u8>,
    vocab_size: usize,
    special_ids: SpecialIds,
    /// A text may be encoded in [`pieces`].
    in_pieces: bool,
    warnings: Vec<String>,
}

/// Makes the tokenizer of `choice`; `char` and `bpe:N` learn their vocabulary from `text`. The same text gives the
/// same bytes.
///
/// # Errors
/// An empty text, a bpe size out of range, a file that cannot be read or is no tokenizer.
pub fn train_tokenizer(
    choice: &TokenizerChoice,
    text: &str,
) -> Result<TrainedTokenizer, TokenizerChoiceError> {
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
    /// One whose vocabulary was learned here: it has no special tokens, and a text may be cut into [`pieces`].
    fn learned(
        tokenizer: &tokenizers::Tokenizer,
        unk: Option<u32>,
    ) -> Result<Self, TokenizerChoiceError> {
        let json = tokenizer.to_string(true).map_err(library)?.into_bytes();
        Ok(Self {
            tokenizer: Tokenizer::from_json(&json, "tokenizer.json")?,
            json,
            config_json: plain_config(),
            vocab_size: tokenizer.get_vocab_size(true),
            special_ids: SpecialIds {
                unk,
                ..SpecialIds::default()
            },
            in_pieces: true,
            warnings: Vec::new(),
        })
    }

    /// The ids of a training text (or of its held-out tail). No BOS and no EOS is added.
    ///
    /// Text such as `</s>` is text like any other for `char` and `bpe:N`, which have no special tokens. A tokenizer
    /// from a file reads its own special tokens where the text spells them, as it will in a prompt; so a text can
    /// mark where its documents end.
    ///
    /// Takes 4 bytes of memory per token for `char` and `bpe:N`. Nothing is known about where a tokenizer from a file
    /// may be cut, so it is given the text whole, which takes a few hundred bytes per token while it lasts.
    ///
    /// # Errors
    /// When the tokenizer refuses the text, or makes no token of it.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TokenizerChoiceError> {
        let ids = if self.in_pieces {
            let mut ids = Vec::new();
            for piece in pieces(text, PIECE_BYTES) {
                ids.extend(self.tokenizer.encode(piece, false)?);
            }
            ids
        } else {
            self.tokenizer.encode(text, false)?
        };
        if ids.is_empty() {
            return Err(TokenizerChoiceError::NoTokens);
        }
        Ok(ids)
    }

    /// Says of one that was read from files whether it was learned here, which they do not: then a text may be encoded in
    /// [`pieces`], in the memory that it took the first time.
    pub fn learned_here(mut self, in_pieces: bool) -> Self {
        self.in_pieces = in_pieces;
        self
    }

    /// For all else: decoding, single tokens.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The contents of the model folder's `tokenizer.json`.
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The contents of the model folder's `tokenizer_config.json`. It names the class, which transformers would
    /// otherwise guess from the model's type.
    pub fn config_json(&self) -> &[u8] {
        &self.config_json
    }

    /// Rows that the model's embedding needs: the largest id plus one.
    pub fn vocab_size(&self) -> usize {
        self.vocab_size
    }

    /// For the model's `config.json` and `generation_config.json`.
    pub fn special_ids(&self) -> SpecialIds {
        self.special_ids
    }

    /// What turned out otherwise than asked: one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// "PreTrainedTokenizerFast" is transformers' name for: do what `tokenizer.json` says and nothing else.
fn plain_config() -> Vec<u8> {
    let config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "clean_up_tokenization_spaces": false,
    });
    format!("{config:#}\n").into_bytes()
}

fn library(error: tokenizers::Error) -> TokenizerChoiceError {
    let text = error.to_string();
    TokenizerChoiceError::Library {
        reason: text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}
