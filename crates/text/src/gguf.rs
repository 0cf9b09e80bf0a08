//! The tokenizer and the chat templates of a GGUF file, and the keys of such a file from a model's folder.
//!
//! A GGUF file has no `tokenizer.json`: its keys `tokenizer.ggml.*` hold the vocabulary in llama.cpp's words
//! (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>). Here they become the parts of a `tokenizer.json`, by the
//! recipe of `transformers` 5.23 (`integrations/gguf/gguf_tokenizer_mapping.py`), and the `tokenizers` crate does the rest:
//!
//! | `tokenizer.ggml.model` | what it is |
//! |---|---|
//! | `gpt2` | byte-level byte-pair encoding: `tokens`, `merges`, and in `pre` the name of a way to cut text into words |
//! | `llama` | SentencePiece's byte-pair encoding: `tokens`, and `scores` from which the merges are rebuilt |
//! | others | refused by name |
//!
//! A file with the key `tokenizer.huggingface.json` has a whole `tokenizer.json`, which then counts: it is written where
//! llama.cpp's words do not say all.
//!
//! Reading order: `vocabulary.rs` (the arrays) · `named.rs` (tokens with roles) · `bytes.rs` and `pre_tokenizer.rs`
//! (`gpt2`) · `pieces.rs` (`llama`) · `merges.rs` (which tokens join) · `parts.rs` (a tokenizer in parts) · `chat.rs` (templates) · `write.rs` (the reverse).

mod bytes;
mod chat;
mod merges;
mod named;
mod parts;
mod pieces;
mod pre_tokenizer;
mod vocabulary;
mod write;

use glass_gguf::Metadata;
use serde_json::{Map, Value, json};

pub use chat::write_chat_templates;
use named::{ADD_BOS, ADD_EOS, Named};
use parts::Parts;
use vocabulary::{Keys, MODEL, Tokens};
pub use write::write_tokenizer;

use crate::{ChatTemplateError, Tokenizer, TokenizerError, one_line};

const ARCHITECTURE: &str = "general.architecture";
const HUGGING_FACE: &str = "tokenizer.huggingface.json";
/// Vocabularies that are none.
const NO_MODEL: [&str; 2] = ["none", "no_vocab"];

impl Tokenizer {
    /// The tokenizer of a GGUF file; `None` when the file has none.
    ///
    /// # Errors
    /// The file's tokenizer is of another kind than `gpt2` and `llama`, cuts text in a way that is not known here, or its
    /// keys are missing, of other types, or do not fit together.
    pub fn from_gguf(metadata: &Metadata) -> Result<Option<Self>, TokenizerError> {
        let origin = Keys(metadata).origin();
        if let Some(json) = Keys(metadata).string(HUGGING_FACE)? {
            return Self::from_json(json.as_bytes(), &format!("{origin}: {HUGGING_FACE}")).map(Some);
        }
        let Some(mut parts) = parts(metadata)? else {
            return Ok(None);
        };
        let warnings = std::mem::take(&mut parts.warnings);
        let mut tokenizer = Self::build(|| parts.tokenizer(), &origin)?;
        warnings.into_iter().for_each(|warning| tokenizer.warn(warning));
        Ok(Some(tokenizer))
    }
}

/// The `tokenizer.json` of a GGUF file; `None` when the file has no tokenizer.
///
/// # Errors
/// As [`Tokenizer::from_gguf`].
pub fn tokenizer_json(metadata: &Metadata) -> Result<Option<Value>, TokenizerError> {
    let keys = Keys(metadata);
    if let Some(json) = keys.string(HUGGING_FACE)? {
        return serde_json::from_str(json).map(Some).map_err(|error| keys.fault(HUGGING_FACE, one_line(&error)));
    }
    Ok(parts(metadata)?.map(Parts::json))
}

/// The `tokenizer_config.json` that belongs to [`tokenizer_json`]: named tokens, flags, chat templates. Its class is one
/// that takes `tokenizer.json` as it is.
///
/// # Errors
/// A key is missing or of another type.
pub fn tokenizer_config_json(metadata: &Metadata) -> Result<Value, ChatTemplateError> {
    let key = |error: TokenizerError| ChatTemplateError::Key(one_line(&error));
    let mut config = Map::new();
    config.insert("tokenizer_class".to_owned(), "PreTrainedTokenizerFast".into());
    config.insert("clean_up_tokenization_spaces".to_owned(), false.into());
    for (name, text) in named_tokens(metadata).map_err(key)? {
        config.insert(name, text.into());
    }
    for (flag, name) in [(ADD_BOS, "add_bos_token"), (ADD_EOS, "add_eos_token")] {
        if let Some(set) = Keys(metadata).bool(flag).map_err(key)? {
            config.insert(name.to_owned(), set.into());
        }
    }
    let templates = chat::sources(metadata)?;
    let template = match templates.as_slice() {
        [] => return Ok(config.into()),
        [one] if one.name() == crate::chat::DEFAULT => one.text().into(),
        all => all.iter().map(|one| json!({"name": one.name(), "template": one.text()})).collect(),
    };
    config.insert("chat_template".to_owned(), template);
    Ok(config.into())
}

/// The named tokens of a GGUF file, as `("bos_token", "<s>")`; none when it has no tokenizer.
///
/// # Errors
/// A key is missing or of another type, or an id is out of range.
pub fn named_tokens(metadata: &Metadata) -> Result<Vec<(String, String)>, TokenizerError> {
    let Some((tokens, named)) = named(metadata)? else {
        return Ok(Vec::new());
    };
    Ok(named.texts(&tokens).into_iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect())
}

/// The ids that end a text or a turn, ascending: those that the file names, and tokens that are known to end turns, since
/// the files of many models name only the end of a text.
///
/// # Errors
/// As [`named_tokens`].
pub fn end_ids(metadata: &Metadata) -> Result<Vec<u32>, TokenizerError> {
    named(metadata)?.map_or(Ok(Vec::new()), |(tokens, named)| named.ends(&tokens))
}

fn named(metadata: &Metadata) -> Result<Option<(Tokens<'_>, Named)>, TokenizerError> {
    let keys = Keys(metadata);
    let Some(model) = keys.string(MODEL)?.filter(|model| !NO_MODEL.contains(model)) else {
        return Ok(None);
    };
    let tokens = Tokens::read(keys)?;
    let named = Named::read(&tokens, model == "llama")?;
    Ok(Some((tokens, named)))
}

fn parts(metadata: &Metadata) -> Result<Option<Parts>, TokenizerError> {
    let keys = Keys(metadata);
    match keys.string(MODEL)? {
        None => Ok(None),
        Some(none) if NO_MODEL.contains(&none) => Ok(None),
        Some("gpt2") => bytes::parts(Tokens::read(keys)?).map(Some),
        Some("llama") => {
            let architecture = keys.string(ARCHITECTURE)?.unwrap_or_default();
            pieces::parts(Tokens::read(keys)?, architecture).map(Some)
        }
        Some(other) => Err(TokenizerError::UnknownKind {
            path: keys.origin(),
            key: MODEL,
            found: other.chars().take(60).collect(),
            reason: "only gpt2 (byte-level) and llama (SentencePiece) are read; take the model's folder from the hub, \
                     which has a tokenizer.json"
                .to_owned(),
        }),
    }
}
