//! The tokens that files beside `tokenizer.json` add, by the rules of `transformers` 5.23
//! (`PreTrainedTokenizerBase._from_pretrained`, `TokenizersBackend.__init__`).

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use tokenizers::AddedToken;

/// The tokens that every tokenizer may name, in the order in which they are added.
const NAMED: [&str; 7] = ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// A token as a file gives it: a text, which makes a special token, or one with its flags.
#[derive(Clone, Debug, PartialEq)]
enum Given {
    Text(String),
    Flags(AddedToken),
}

impl Given {
    /// `None` where the value is no token. Flags stand in an object, with or without `__type`.
    fn new(value: &Value, special: Option<bool>) -> Option<Self> {
        match value {
            Value::String(text) => Some(Self::Text(text.clone())),
            Value::Object(fields) => added_token(fields, special).map(Self::Flags),
            _ => None,
        }
    }

    fn content(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Flags(token) => &token.content,
        }
    }
}

/// As `AddedToken(**fields)`: a token is matched in normalized text unless it is special.
fn added_token(fields: &Map<String, Value>, special: Option<bool>) -> Option<AddedToken> {
    let flag = |name: &str| fields.get(name).and_then(Value::as_bool);
    let special = special.or(flag("special")).unwrap_or(false);
    Some(AddedToken {
        content: fields.get("content")?.as_str()?.to_owned(),
        single_word: flag("single_word").unwrap_or(false),
        lstrip: flag("lstrip").unwrap_or(false),
        rstrip: flag("rstrip").unwrap_or(false),
        normalized: flag("normalized").unwrap_or(!special),
        special,
    })
}

/// The files that name tokens; each may be empty.
#[derive(Default)]
pub(crate) struct TokenFiles {
    pub tokenizer_config: Map<String, Value>,
    pub special_tokens_map: Map<String, Value>,
    pub added_tokens: Map<String, Value>,
    /// `added_tokens` of `tokenizer.json`.
    pub of_tokenizer: Vec<Value>,
}

/// What these files say together.
#[derive(Debug, Default)]
pub(crate) struct SpecialTokens {
    /// `bos_token` and the other tokens that have a name.
    named: Vec<(String, Given)>,
    extra: Vec<Given>,
    by_id: BTreeMap<u64, AddedToken>,
}

impl SpecialTokens {
    /// `defaults`: the tokens of a tokenizer class, where the files name no others.
    pub fn new(files: &TokenFiles, defaults: &[(&str, &str)]) -> Self {
        let mut config = files.tokenizer_config.clone();
        rename_extra(&mut config);
        // Names of the model's own, which are texts here, come behind the others.
        let own: Vec<String> = config
            .iter()
            .filter(|(key, value)| is_own_name(key) && value.is_string())
            .map(|(key, _)| key.clone())
            .collect();
        let mut own_tokens: Vec<(String, Given)> = Vec::new();
        for key in own {
            let value = config.shift_remove(&key);
            own_tokens.extend(value.and_then(|value| Given::new(&value, None)).map(|token| (key, token)));
        }
        take_named_extra(&mut config, &mut own_tokens);

        let mut by_id = BTreeMap::new();
        match config.get("added_tokens_decoder").and_then(Value::as_object) {
            Some(decoder) => {
                for (id, token) in decoder {
                    let token = token.as_object().and_then(|fields| added_token(fields, None));
                    if let (Ok(id), Some(token)) = (id.parse(), token) {
                        by_id.insert(id, token);
                    }
                }
            }
            // Older folders keep them in other files.
            None => {
                merge_map(&mut config, &files.special_tokens_map);
                take_named_extra(&mut config, &mut own_tokens);
                by_id = older_tokens(&config, files);
            }
        }
        rename_extra(&mut config);

        let known = |token: Given| {
            let found = by_id.values().rev().find(|known| known.content == token.content());
            found.cloned().map_or(token, Given::Flags)
        };
        let mut named = Vec::new();
        for key in NAMED {
            let token = match config.get(key) {
                Some(value) => Given::new(value, None).map(known),
                None => defaults.iter().find(|(name, _)| *name == key).map(|(_, text)| Given::Text((*text).to_owned())),
            };
            named.extend(token.map(|token| (key.to_owned(), token)));
        }
        let others = config.iter().filter(|(key, _)| is_own_name(key));
        named.extend(others.filter_map(|(key, value)| Some((key.clone(), Given::new(value, None)?))));
        for (name, text) in defaults.iter().filter(|(name, _)| is_own_name(name)) {
            if !named.iter().chain(&own_tokens).any(|(known, _)| known == name) {
                named.push(((*name).to_owned(), Given::Text((*text).to_owned())));
            }
        }
        named.extend(own_tokens);
        let extra = config.get("extra_special_tokens").and_then(Value::as_array);
        let extra = extra.into_iter().flatten().filter_map(|value| Given::new(value, None)).collect();
        Self { named, extra, by_id }
    }

    /// The texts of the named tokens, for templates.
    pub fn texts(&self) -> impl Iterator<Item = (&str, &str)> {
        self.named.iter().map(|(name, token)| (name.as_str(), token.content()))
    }

    /// The text of a named token.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.texts().find(|(found, _)| *found == name).map(|(_, text)| text)
    }

    /// What is to be added, in order, to a tokenizer that knows the tokens `known`.
    pub fn to_add(&self, known: &[String]) -> Vec<AddedToken> {
        let mut all: Vec<Given> = self.by_id.values().cloned().map(Given::Flags).collect();
        let listed: Vec<String> = all.iter().map(|token| token.content().to_owned()).collect();
        for token in self.named.iter().map(|(_, token)| token).chain(&self.extra) {
            let is_known = [known, &listed].iter().any(|list| list.iter().any(|text| text == token.content()));
            if !is_known && !all.contains(token) {
                all.push(token.clone());
            }
        }
        all.into_iter()
            .map(|token| match token {
                Given::Text(text) => AddedToken::from(text, true),
                Given::Flags(mut token) => {
                    token.special |= self.texts().any(|(_, text)| text == token.content);
                    token
                }
            })
            .collect()
    }

    /// Every named or extra token, as a special one without flags.
    pub fn as_special(&self) -> Vec<AddedToken> {
        let all = self.named.iter().map(|(_, token)| token).chain(&self.extra);
        all.map(|token| AddedToken::from(token.content().to_owned(), true)).collect()
    }
}

fn is_own_name(key: &str) -> bool {
    key.ends_with("_token") && !NAMED.contains(&key)
}

fn is_truthy(value: Option<&Value>) -> bool {
    match value {
        None | Some(Value::Null) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(_) => true,
    }
}

/// The older name of the list.
fn rename_extra(config: &mut Map<String, Value>) {
    if !is_truthy(config.get("extra_special_tokens"))
        && let Some(extra) = config.shift_remove("additional_special_tokens")
    {
        config.insert("extra_special_tokens".to_owned(), extra);
    }
}

/// An object of extra tokens gives them names.
fn take_named_extra(config: &mut Map<String, Value>, own: &mut Vec<(String, Given)>) {
    if !config.get("extra_special_tokens").is_some_and(Value::is_object) {
        return;
    }
    let Some(Value::Object(extra)) = config.shift_remove("extra_special_tokens") else {
        return;
    };
    for (name, value) in extra {
        if let Some(token) = Given::new(&value, None) {
            own.retain(|(known, _)| *known != name);
            own.push((name, token));
        }
    }
}

/// `special_tokens_map.json` over `tokenizer_config.json`; lists of extra tokens are joined.
fn merge_map(config: &mut Map<String, Value>, map: &Map<String, Value>) {
    for (key, value) in map {
        let value = match (key.as_str(), value) {
            ("extra_special_tokens", Value::Array(more)) => {
                let special = |token: &Value| match token {
                    Value::Object(fields) => special_object(fields),
                    _ => token.clone(),
                };
                let mut all = config.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
                for token in more.iter().map(special) {
                    if !all.contains(&token) {
                        all.push(token);
                    }
                }
                Value::Array(all)
            }
            ("extra_special_tokens", _) => value.clone(),
            (_, Value::Object(fields)) => special_object(fields),
            _ => value.clone(),
        };
        config.insert(key.clone(), value);
    }
}

fn special_object(fields: &Map<String, Value>) -> Value {
    let mut fields = fields.clone();
    fields.insert("special".to_owned(), Value::Bool(true));
    Value::Object(fields)
}

/// `added_tokens.json`, and over it what `tokenizer.json` has.
fn older_tokens(config: &Map<String, Value>, files: &TokenFiles) -> BTreeMap<u64, AddedToken> {
    let named = NAMED.iter().filter_map(|key| config.get(*key)).filter_map(|value| Given::new(value, None));
    let extra = config.get("extra_special_tokens").and_then(Value::as_array).into_iter().flatten();
    let special: Vec<Given> = named.chain(extra.filter_map(|value| Given::new(value, None))).collect();
    let mut by_id = BTreeMap::new();
    for (text, id) in &files.added_tokens {
        let is_special = special.iter().any(|token| token.content() == text);
        if let Some(id) = id.as_u64() {
            by_id.insert(id, AddedToken::from(text.clone(), is_special));
        }
    }
    for token in &files.of_tokenizer {
        let fields = token.as_object();
        let id = fields.and_then(|fields| fields.get("id")).and_then(Value::as_u64);
        if let (Some(id), Some(token)) = (id, fields.and_then(|fields| added_token(fields, None))) {
            by_id.insert(id, token);
        }
    }
    by_id
}
