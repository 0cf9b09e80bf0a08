//! The tokens that have a role: those with names, those that are matched whole in text, and those around a text.

use serde_json::Value;
use tokenizers::AddedToken;

use super::vocabulary::{Keys, Kind, TOKENS, Tokens};
use crate::{TokenizerError, tokenizer::template};

/// The keys of ids, and the names that chat templates have for these tokens. The spelling is llama.cpp's own.
pub(super) const KEYS: [(&str, &str); 7] = [
    ("tokenizer.ggml.bos_token_id", "bos_token"),
    ("tokenizer.ggml.eos_token_id", "eos_token"),
    ("tokenizer.ggml.unknown_token_id", "unk_token"),
    ("tokenizer.ggml.seperator_token_id", "sep_token"),
    ("tokenizer.ggml.padding_token_id", "pad_token"),
    ("tokenizer.ggml.cls_token_id", "cls_token"),
    ("tokenizer.ggml.mask_token_id", "mask_token"),
];
pub(super) const ADD_BOS: &str = "tokenizer.ggml.add_bos_token";
pub(super) const ADD_EOS: &str = "tokenizer.ggml.add_eos_token";

/// Ends of a turn: further keys, and tokens of models whose files do not have them. llama.cpp goes by the text too.
const ENDS: [&str; 2] = ["tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id"];
const END_TEXTS: [&str; 9] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<EOT>",
];

/// The ids of tokens that have a role.
pub(super) struct Named {
    /// In the order of [`KEYS`].
    pub ids: Vec<(&'static str, u32)>,
    pub unknown: Option<u32>,
    add_bos: Option<bool>,
    add_eos: Option<bool>,
}

impl Named {
    /// `pieces`: SentencePiece's ids hold where the file names no others.
    pub fn read(tokens: &Tokens<'_>, pieces: bool) -> Result<Self, TokenizerError> {
        let keys = tokens.keys;
        let mut ids = Vec::new();
        for (key, name) in KEYS {
            let default = match name {
                "unk_token" => Some((0, Kind::Unknown)),
                "bos_token" => Some((1, Kind::Control)),
                "eos_token" => Some((2, Kind::Control)),
                _ => None,
            };
            let default = default.filter(|&(id, kind)| pieces && tokens.get(id).is_some_and(|token| token.1 == kind));
            let id = read_id(keys, key, tokens.len())?.or(default.map(|(id, _)| id));
            ids.extend(id.map(|id| (name, id)));
        }
        let unknown = ids.iter().find(|(name, _)| *name == "unk_token").map(|&(_, id)| id);
        Ok(Self { ids, unknown, add_bos: keys.bool(ADD_BOS)?, add_eos: keys.bool(ADD_EOS)? })
    }

    fn id(&self, name: &str) -> Option<u32> {
        self.ids.iter().find(|(known, _)| *known == name).map(|&(_, id)| id)
    }

    /// BOS before every text and EOS behind it, as the file says; null if neither. `bos`: BOS where it does not say.
    pub fn post_processor(&self, tokens: &Tokens<'_>, bos: bool) -> Result<Value, TokenizerError> {
        let token = |add: bool, flag: &'static str, name: &str| {
            if !add {
                return Ok(None);
            }
            let id = self.id(name);
            let token = id.and_then(|id| Some((tokens.get(id)?.0, id))).filter(|(text, _)| !text.is_empty());
            token.map(Some).ok_or_else(|| tokens.keys.fault(flag, format!("it is true, and no token is named {name}")))
        };
        let bos = token(self.add_bos.unwrap_or(bos), ADD_BOS, "bos_token")?;
        let eos = token(self.add_eos.unwrap_or(false), ADD_EOS, "eos_token")?;
        Ok(if bos.is_none() && eos.is_none() { Value::Null } else { template(bos, eos) })
    }

    /// The tokens that are matched whole in text: special ones, and those of users. `but`: tokens that are not.
    pub fn added(&self, tokens: &Tokens<'_>, but: impl Fn(&str) -> bool) -> Vec<(u32, AddedToken)> {
        // A key may name a token that text has anyway, such as "!", where a config has an id of nothing in particular.
        let named = |id: u32, text| self.ids.iter().any(|&(_, named)| named == id) && !tokens.is_made(text);
        let added = (0..tokens.len() as u32).filter_map(|id| {
            let (text, kind) = tokens.get(id)?;
            let special = matches!(kind, Kind::Control | Kind::Unknown) || named(id, text);
            let is_added = !text.is_empty() && !but(text) && (special || kind == Kind::UserDefined);
            is_added.then(|| (id, AddedToken::from(text, special).normalized(false)))
        });
        added.collect()
    }

    /// The texts of named tokens, for chat templates.
    pub fn texts<'m>(&self, tokens: &Tokens<'m>) -> Vec<(&'static str, &'m str)> {
        self.ids.iter().filter_map(|&(name, id)| Some((name, tokens.get(id)?.0))).collect()
    }

    /// The ids that end a text or a turn.
    pub fn ends(&self, tokens: &Tokens<'_>) -> Result<Vec<u32>, TokenizerError> {
        let mut ends: Vec<u32> = self.id("eos_token").into_iter().collect();
        for key in ENDS {
            ends.extend(read_id(tokens.keys, key, tokens.len())?);
        }
        let by_text = (0..tokens.len() as u32).filter_map(|id| {
            let (text, kind) = tokens.get(id)?;
            (kind == Kind::Control && END_TEXTS.contains(&text)).then_some((id, text))
        });
        let by_text: Vec<(u32, &str)> = by_text.collect();
        let has = |wanted: &str| by_text.iter().any(|&(_, text)| text == wanted);
        // Where there is a token for the end of all messages, this one ends one message of an answer (gpt-oss).
        let one_of_many = has("<|return|>") && has("<|call|>");
        ends.extend(by_text.iter().filter(|&&(_, text)| !(one_of_many && text == "<|end|>")).map(|&(id, _)| id));
        ends.sort_unstable();
        ends.dedup();
        Ok(ends)
    }
}

fn read_id(keys: Keys<'_>, key: &'static str, tokens: usize) -> Result<Option<u32>, TokenizerError> {
    let id = keys.0.u64(key).map_err(|error| TokenizerError::Key(crate::one_line(&error)))?;
    let Some(id) = id else {
        return Ok(None);
    };
    match u32::try_from(id) {
        Ok(id) if (id as usize) < tokens => Ok(Some(id)),
        _ => Err(keys.fault(key, format!("it is {id}, and {TOKENS} has {tokens} tokens"))),
    }
}
