//! Text to token ids and back, by the model's own `tokenizer.json`.
//!
//! The `tokenizers` crate, which transformers uses too, encodes and decodes. This file decides what a model runner must
//! decide: where the file is, when BOS is added, and what an error says.

mod class;
mod clean_up;
mod encoded;
mod folder;
mod ordinary;
mod pieces;
mod post_processor;
mod special;
mod streaming;
mod token_bytes;
mod unknown;

use std::panic::{self, AssertUnwindSafe};

use serde_json::Value;
use thiserror::Error;

pub(crate) use class::{QWEN, QWEN_3_5};
use clean_up::clean_up;
pub use encoded::Encoded;
pub(crate) use folder::read_named_tokens;
pub use pieces::Piece;
pub(crate) use post_processor::template;
pub use streaming::StreamingDetokenizer;
use token_bytes::has_decoder;
pub use unknown::Unknown;

/// Why a tokenizer cannot be read or used. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TokenizerError {
    #[error("{path}: cannot be read ({reason}); check the path and its permissions")]
    Unreadable { path: String, reason: String },
    #[error(
        "{path}: not a tokenizer file ({reason}); download it again, or write it anew with transformers' \
         save_pretrained"
    )]
    Broken { path: String, reason: String },
    #[error("{path}: not a JSON object ({reason}); download it again")]
    BrokenConfig { path: String, reason: String },
    /// A folder in SentencePiece's own format, which the `tokenizers` crate does not read.
    #[error(
        "{folder}: has tokenizer.model but no tokenizer.json; convert it once, in this folder, with: python -c \"from \
         transformers import AutoTokenizer as T; T.from_pretrained('.').save_pretrained('.')\""
    )]
    SentencePieceOnly { folder: String },
    /// A key of a GGUF file that is missing or has another type; the message names both.
    #[error("{0}")]
    Key(String),
    /// Keys of a GGUF file that do not fit together.
    #[error("{path}: {key}: {reason}; the file was written by a faulty converter, convert or fetch it again")]
    KeyValue { path: String, key: &'static str, reason: String },
    /// A kind of tokenizer, or a way of cutting text, that is not known here.
    #[error("{path}: {key} is {found:?}: {reason}")]
    UnknownKind { path: String, key: &'static str, found: String, reason: String },
    /// A folder's tokenizer that a GGUF file has no words for.
    #[error(
        "{folder}: a GGUF file cannot hold this tokenizer ({reason}); write a folder instead of a GGUF file, or a GGUF \
         file without tokenizer from a copy of the folder without tokenizer.json"
    )]
    Unwritable { folder: String, reason: String },
    #[error("the text cannot be encoded: {reason}")]
    Encode { reason: String },
    #[error("the token ids cannot be decoded: {reason}")]
    Decode { reason: String },
}

/// A model's tokenizer.
pub struct Tokenizer {
    pub(crate) inner: tokenizers::Tokenizer,
    /// The decoder reads the tokens `<0x00>`..`<0xFF>` as bytes of UTF-8 (SentencePiece's byte fallback).
    byte_fallback: bool,
    /// Decoded text loses blanks before punctuation.
    cleans_up: bool,
    warnings: Vec<String>,
}

impl Tokenizer {
    /// The tokenizer of a `tokenizer.json` in memory; `origin` names it in errors.
    ///
    /// # Errors
    /// [`TokenizerError::Broken`] when the JSON is not a tokenizer.
    pub fn from_json(json: &[u8], origin: &str) -> Result<Self, TokenizerError> {
        let broken =
            |reason: &dyn ToString| TokenizerError::Broken { path: origin.to_owned(), reason: one_line(reason) };
        // For what is not JSON, this error has line and column.
        let _: serde::de::IgnoredAny = serde_json::from_slice(json).map_err(|error| broken(&error))?;
        let inner = catch_panic(|| tokenizers::Tokenizer::from_bytes(json)).map_err(|reason| broken(&reason))?;
        Self::new(inner, origin)
    }

    /// Checks what is built. `origin` names it in errors.
    fn new(mut inner: tokenizers::Tokenizer, origin: &str) -> Result<Self, TokenizerError> {
        let broken =
            |reason: &dyn ToString| TokenizerError::Broken { path: origin.to_owned(), reason: one_line(reason) };
        // A tokenizer saved after training may have the truncation and padding of its batches. Like transformers,
        // encoding does neither unless asked.
        inner.with_truncation(None).map_err(|error| broken(&error))?;
        inner.with_padding(None);
        // A post-processor with undefined tokens fails only when it is used.
        catch_panic(|| inner.encode("", true)).map_err(|reason| broken(&reason))?;
        let mut tokenizer = Self { inner, byte_fallback: false, cleans_up: false, warnings: Vec::new() };
        tokenizer.byte_fallback = tokenizer.decoder().is_some_and(|decoder| has_decoder(&decoder, "ByteFallback"));
        Ok(tokenizer)
    }

    /// Settings of the folder that are not honoured: one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// The ids of `text`. With `add_special`, the tokenizer's post-processor adds BOS and EOS.
    ///
    /// These are exactly the reference's ids: a text that begins with BOS itself (`<s>Hi`) gets a second one. For a
    /// model's prompt use [`Self::encode_prompt`].
    ///
    /// # Errors
    /// The tokenizer refuses the text, as a word-level vocabulary without an unknown token does.
    pub fn encode(&self, text: &str, add_special: bool) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.encoding(text, add_special)?.get_ids().to_vec())
    }

    /// The ids of a prompt: [`Self::encode`] with `add_special`, but BOS never twice. When the text begins with the token
    /// that the post-processor puts in front, the post-processor's is removed.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>, TokenizerError> {
        Ok(self.encode_with_bytes(text)?.into_ids())
    }

    /// The ids of [`Self::encode_prompt`], and the bytes that each one stands for.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn encode_with_bytes(&self, text: &str) -> Result<Encoded, TokenizerError> {
        let encoding = self.encoding(text, true)?;
        let mut tokens: Vec<(u32, usize)> =
            encoding.get_ids().iter().zip(encoding.get_offsets()).map(|(&id, &(_, end))| (id, end)).collect();
        // The mask marks the tokens of the post-processor, not special tokens in the text.
        let mask = encoding.get_special_tokens_mask();
        let added = mask.iter().take_while(|&&mark| mark == 1).count();
        if added > 0 && tokens.get(added).map(|next| next.0) == Some(tokens[added - 1].0) {
            tokens.remove(added - 1);
        }
        Ok(Encoded::new(tokens, text.len()))
    }

    /// As [`Self::new`], of parts that may not fit together.
    pub(crate) fn build(
        parts: impl FnOnce() -> tokenizers::Result<tokenizers::Tokenizer>,
        origin: &str,
    ) -> Result<Self, TokenizerError> {
        let inner = catch_panic(parts).map_err(|reason| TokenizerError::Broken { path: origin.to_owned(), reason })?;
        Self::new(inner, origin)
    }

    /// Adds a setting that is not honoured.
    pub(crate) fn warn(&mut self, warning: impl Into<String>) {
        self.warnings.push(warning.into());
    }

    fn encoding(&self, text: &str, add_special: bool) -> Result<tokenizers::Encoding, TokenizerError> {
        catch_panic(|| self.inner.encode(text, add_special)).map_err(|reason| TokenizerError::Encode { reason })
    }

    /// The text of `ids`. With `skip_special`, special tokens have no text. As in the reference, neither have ids that the
    /// tokenizer lacks (models often pad their vocabulary).
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn decode(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        let text = self.decode_as_is(ids, skip_special)?;
        Ok(if self.cleans_up { clean_up(&text) } else { text })
    }

    /// As [`Self::decode`], with the blanks that the folder wants removed.
    fn decode_as_is(&self, ids: &[u32], skip_special: bool) -> Result<String, TokenizerError> {
        catch_panic(|| self.inner.decode(ids, skip_special)).map_err(|reason| TokenizerError::Decode { reason })
    }

    /// Number of tokens, including added ones. A model's `vocab_size` may be larger (padding).
    pub fn vocab_size(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    /// The token of an id as the vocabulary spells it ("▁time", "Ġtime"); `None` when there is none.
    pub fn token(&self, id: u32) -> Option<String> {
        self.inner.id_to_token(id)
    }

    /// The id of a token as the vocabulary spells it.
    pub fn token_id(&self, token: &str) -> Option<u32> {
        self.inner.token_to_id(token)
    }

    /// The token of `id`, unless decoding drops it: the tokenizer lacks it, or it is special and `skip_special`.
    fn visible_token(&self, id: u32, skip_special: bool) -> Option<String> {
        let special = |token: &String| self.inner.get_added_vocabulary().is_special_token(token);
        self.token(id).filter(|token| !skip_special || !special(token))
    }

    /// The text of a special token, which decoding drops.
    pub fn special_text(&self, id: u32) -> Option<String> {
        self.token(id).filter(|token| self.inner.get_added_vocabulary().is_special_token(token))
    }

    /// The special tokens that `text` spells out: they encode like those of a template.
    ///
    /// # Errors
    /// As [`Self::encode`].
    pub fn special_in(&self, text: &str) -> Result<Vec<String>, TokenizerError> {
        let special = self.inner.get_added_vocabulary();
        let mut found: Vec<String> = self
            .encode(text, false)?
            .into_iter()
            .filter_map(|id| self.token(id))
            // An unknown character encodes to a special token too, but does not spell it out.
            .filter(|token| special.is_special_token(token) && text.contains(token.as_str()))
            .collect();
        found.sort();
        found.dedup();
        Ok(found)
    }

    /// The decoder, as `tokenizer.json` has it.
    fn decoder(&self) -> Option<Value> {
        let decoder = self.inner.get_decoder()?;
        serde_json::to_value(decoder).ok()
    }

    /// Tokens are bytes, spelled as letters (GPT-2).
    pub(crate) fn decodes_bytes(&self) -> bool {
        self.decoder().is_some_and(|decoder| has_decoder(&decoder, "ByteLevel"))
    }

    /// The byte of a byte-fallback token: "<0x0A>" is a newline.
    pub(crate) fn fallback_byte(&self, token: &str) -> Option<u8> {
        if !self.byte_fallback || token.len() != 6 {
            return None;
        }
        let hex = token.strip_prefix("<0x")?.strip_suffix('>')?;
        u8::from_str_radix(hex, 16).ok()
    }
}

/// Turns panics of the `tokenizers` crate, which some damaged files cause, into errors.
fn catch_panic<T>(work: impl FnOnce() -> tokenizers::Result<T>) -> Result<T, String> {
    match panic::catch_unwind(AssertUnwindSafe(work)) {
        Ok(result) => result.map_err(|error| one_line(&error)),
        Err(_) => Err("the parts of the file do not fit together".to_owned()),
    }
}

/// An error's message in one line, whatever a library or a file puts into it.
pub fn one_line(reason: &(impl ToString + ?Sized)) -> String {
    let text = reason.to_string();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
