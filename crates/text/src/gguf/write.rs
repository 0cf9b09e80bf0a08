//! The reverse: the keys of a GGUF file from the tokenizer of a model's folder.

mod compare;

use std::{collections::HashMap, path::Path};

use glass_gguf::{Metadata, Strings};
use serde_json::Value;

use super::{
    HUGGING_FACE,
    bytes::{PRE, SPACE_PREFIX},
    merges::MERGES,
    named::{ADD_BOS, ADD_EOS, KEYS},
    pieces::SPACE,
    pre_tokenizer::PreTokenizer,
    vocabulary::{Kind, MODEL, SCORES, TOKEN_TYPE, TOKENS, filling, short},
};
use crate::{Tokenizer, TokenizerError, one_line, tokenizer::read_named_tokens};

/// What of a tokenizer llama.cpp has words for.
enum Style {
    Bytes(&'static PreTokenizer),
    /// `prefix`: a space is put in front of a text.
    Pieces {
        prefix: bool,
    },
    /// One token for each character, and no merges: pieces of one character each.
    Characters,
}

/// Writes the tokenizer of a folder, as [`Tokenizer::from_folder`] sees it, for a model with `vocab_size` rows of
/// embeddings: every row gets a token. Without a tokenizer in the folder, the keys say so.
///
/// Where llama.cpp's keys do not say all, its whole `tokenizer.json` is written too, and the warnings, one line each, name
/// what others may see otherwise. So [`Tokenizer::from_gguf`] gives the same ids as the folder for all texts.
///
/// # Errors
/// [`TokenizerError::Unwritable`] for a tokenizer that is not byte-pair encoding, or one that cuts text in a way that has no
/// name; and as [`Tokenizer::from_folder`].
pub fn write_tokenizer(
    folder: &Path,
    vocab_size: usize,
    metadata: &mut Metadata,
) -> Result<Vec<String>, TokenizerError> {
    let Some(tokenizer) = Tokenizer::from_folder(folder)? else {
        metadata.insert(MODEL, "none");
        return Ok(Vec::new());
    };
    let name = folder.display().to_string();
    let unwritable = |reason: String| TokenizerError::Unwritable { folder: name.clone(), reason };
    let model = json(&tokenizer.inner.get_model()).map_err(&unwritable)?;
    let style = Style::of(&tokenizer, &model).map_err(&unwritable)?;
    let mut warnings = tokenizer.warnings().to_vec();

    let mut texts: Vec<Option<String>> = vec![None; vocab_size];
    let mut dropped = 0;
    for (text, id) in tokenizer.inner.get_vocab(true) {
        match texts.get_mut(id as usize) {
            Some(place) => *place = Some(text),
            None => dropped += 1,
        }
    }
    if dropped > 0 {
        warnings.push(format!(
            "{name}: {dropped} tokens of the tokenizer are left out: the model has {vocab_size} rows of embeddings"
        ));
    }
    let unknown = model["unk_token"].as_str().and_then(|unknown| tokenizer.token_id(unknown));
    let kinds = kinds(&tokenizer, &texts, unknown);
    let merges: Vec<(&str, &str)> = merges(&model);
    let spelled = texts.iter().enumerate().map(|(id, text)| match text {
        Some(space) if space == " " && matches!(style, Style::Characters) => SPACE.to_owned(),
        Some(text) => text.clone(),
        None => filling(id as u32),
    });
    let spelled: Strings = spelled.collect();

    metadata.insert(MODEL, if matches!(style, Style::Bytes(_)) { "gpt2" } else { "llama" });
    metadata.insert(PRE, if let Style::Bytes(pre) = style { pre.names[0] } else { "default" });
    metadata.insert(TOKENS, spelled);
    if !matches!(style, Style::Bytes(_)) {
        metadata.insert(SCORES, scores(&texts, &merges));
    }
    metadata.insert(TOKEN_TYPE, kinds.iter().map(|&kind| kind as i32).collect::<Vec<i32>>());
    if let Style::Bytes(_) = style {
        metadata.insert(MERGES, merges.iter().map(|(left, right)| format!("{left} {right}")).collect::<Strings>());
    }
    metadata.insert(SPACE_PREFIX, style.prefix(&tokenizer));
    write_named(&tokenizer, folder, vocab_size, unknown, metadata)?;

    let rebuilt = Tokenizer::from_gguf(metadata).map_err(|error| unwritable(one_line(&error)))?;
    let different = rebuilt.map_or(Ok(vec!["all"]), |rebuilt| compare::differences(&tokenizer, &rebuilt, vocab_size));
    let different = different.map_err(&unwritable)?;
    if !different.is_empty() {
        let whole = tokenizer.inner.to_string(false).map_err(|error| unwritable(one_line(&error)))?;
        metadata.insert(HUGGING_FACE, whole);
        warnings.push(format!(
            "{name}: llama.cpp's keys cannot say all of this tokenizer ({}): other programs may cut some texts otherwise \
             than glass, which reads its tokenizer.json from the key {HUGGING_FACE}",
            different.join(", ")
        ));
    }
    if tokenizer.inner.get_encode_special_tokens() {
        warnings.push(format!("{name}: split_special_tokens = true is not written: a GGUF file has no key for it"));
    }
    Ok(warnings)
}

impl Style {
    fn of(tokenizer: &Tokenizer, model: &Value) -> Result<Self, String> {
        if model["type"] != "BPE" {
            return Err(format!("its model is {}, and only byte-pair encoding can be written", model["type"]));
        }
        let normalizer = json(&tokenizer.inner.get_normalizer())?;
        let pre_tokenizer = json(&tokenizer.inner.get_pre_tokenizer())?;
        if tokenizer.decodes_bytes() {
            let nfc = normalizer["type"] == "NFC";
            let pre = PreTokenizer::recognize(&pre_tokenizer, nfc, model["ignore_merges"] == true);
            return pre.map(Self::Bytes).ok_or_else(|| {
                format!(
                    "llama.cpp has no name for its way to cut text into words, {}",
                    short(&pre_tokenizer.to_string())
                )
            });
        }
        let spaces = format!("{normalizer}{pre_tokenizer}");
        if spaces.contains(SPACE) {
            let never = pre_tokenizer["prepend_scheme"] == "never";
            let prefix = spaces.contains("\"Prepend\"") || spaces.contains("\"prepend_scheme\"") && !never;
            return Ok(Self::Pieces { prefix });
        }
        if merges(model).is_empty() && spaces == "nullnull" {
            return Ok(Self::Characters);
        }
        Err("it is neither byte-level nor SentencePiece's byte-pair encoding".to_owned())
    }

    fn prefix(&self, tokenizer: &Tokenizer) -> bool {
        match self {
            Self::Pieces { prefix } => *prefix,
            Self::Characters => false,
            Self::Bytes(_) => json(&tokenizer.inner.get_pre_tokenizer())
                .is_ok_and(|parts| parts.to_string().contains("\"add_prefix_space\":true")),
        }
    }
}

/// `tokenizer.json` of a part.
fn json(part: &impl serde::Serialize) -> Result<Value, String> {
    serde_json::to_value(part).map_err(|error| one_line(&error))
}

fn merges(model: &Value) -> Vec<(&str, &str)> {
    let pairs = model["merges"].as_array().into_iter().flatten();
    pairs.filter_map(|pair| Some((pair[0].as_str()?, pair[1].as_str()?))).collect()
}

fn kinds(tokenizer: &Tokenizer, texts: &[Option<String>], unknown: Option<u32>) -> Vec<Kind> {
    let added = tokenizer.inner.get_added_tokens_decoder();
    let kind = |(id, text): (u32, &Option<String>)| match text {
        None => Kind::Unused,
        Some(_) if unknown == Some(id) => Kind::Unknown,
        Some(text) => match added.get(&id) {
            Some(token) if token.special => Kind::Control,
            Some(_) => Kind::UserDefined,
            None if tokenizer.fallback_byte(text).is_some() => Kind::Byte,
            None => Kind::Normal,
        },
    };
    (0..).zip(texts).map(kind).collect()
}

/// The scores that give the merges in their order: minus the rank of the first merge that makes a token, counted in tokens.
/// What no merge makes comes behind them; characters, bytes and special tokens are made by none.
fn scores(texts: &[Option<String>], merges: &[(&str, &str)]) -> Vec<f32> {
    let mut ranks: HashMap<String, usize> = HashMap::new();
    for (left, right) in merges {
        let next = ranks.len();
        ranks.entry([*left, *right].concat()).or_insert(next);
    }
    let last = ranks.len();
    let score = |text: &Option<String>| text.as_ref().and_then(|text| ranks.get(text)).copied().unwrap_or(last);
    texts.iter().map(|text| -(score(text) as f32)).collect()
}

/// The ids of named tokens, and what is put around a text.
fn write_named(
    tokenizer: &Tokenizer,
    folder: &Path,
    vocab_size: usize,
    unknown: Option<u32>,
    metadata: &mut Metadata,
) -> Result<(), TokenizerError> {
    let (before, behind) = tokenizer.ids_around()?;
    let mut ids: HashMap<String, u32> = read_named_tokens(folder)?
        .into_iter()
        .filter_map(|(name, text)| Some((name, tokenizer.token_id(&text)?)))
        .collect();
    if let Some(unknown) = unknown {
        ids.entry("unk_token".to_owned()).or_insert(unknown);
    }
    for (flag, name, around) in [(ADD_BOS, "bos_token", before), (ADD_EOS, "eos_token", behind)] {
        let adds = match around.as_slice() {
            &[id] => *ids.entry(name.to_owned()).or_insert(id) == id,
            _ => false,
        };
        metadata.insert(flag, adds);
    }
    for (key, name) in KEYS {
        if let Some(&id) = ids.get(name)
            && (id as usize) < vocab_size
        {
            metadata.insert(key, id);
        }
    }
    Ok(())
}
