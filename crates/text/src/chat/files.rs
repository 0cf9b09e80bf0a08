//! Where a model's folder keeps its chat template, and the special tokens that the template writes.

use std::path::Path;

use minijinja::Value;
use serde_json::Map;

use super::ChatTemplateError;
use crate::{one_line, read_small_file};

const CONFIG: &str = "tokenizer_config.json";
const TEMPLATE: &str = "chat_template.jinja";
const MORE_TEMPLATES: &str = "additional_chat_templates";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// The special tokens that have names in templates.
const TOKEN_NAMES: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// The texts of templates, and where they come from.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Sources {
    pub default: Option<Source>,
    /// For conversations with tools.
    pub tool_use: Option<Source>,
    /// What else there is, where it comes from first.
    pub others: Vec<(String, String)>,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    pub origin: String,
    pub text: String,
}

impl Sources {
    fn add(&mut self, name: &str, origin: String, text: String) {
        match name {
            "default" => self.default = Some(Source { origin, text }),
            "tool_use" => self.tool_use = Some(Source { origin, text }),
            other => self.others.push((origin, other.to_owned())),
        }
    }
}

/// The templates of a folder. As in transformers, files of their own replace what `tokenizer_config.json` has.
pub(super) fn templates(folder: &Path) -> Result<Sources, ChatTemplateError> {
    let mut files = Sources::default();
    let path = folder.join(TEMPLATE);
    if let Some(text) = read_text(&path)? {
        files.add("default", path.display().to_string(), text);
    }
    let path = folder.join(MORE_TEMPLATES).join("tool_use.jinja");
    if let Some(text) = read_text(&path)? {
        files.add("tool_use", path.display().to_string(), text);
    }
    if files != Sources::default() {
        return Ok(files);
    }
    in_config(folder)
}

/// `chat_template` of `tokenizer_config.json`: a text, or a list of texts with names.
fn in_config(folder: &Path) -> Result<Sources, ChatTemplateError> {
    let mut sources = Sources::default();
    let path = folder.join(CONFIG);
    let config = read_object(&path)?;
    let origin = path.display().to_string();
    match config.get("chat_template") {
        None | Some(serde_json::Value::Null) => {}
        Some(serde_json::Value::String(text)) => sources.add("default", origin, text.clone()),
        Some(serde_json::Value::Array(list)) => {
            for (index, entry) in list.iter().enumerate() {
                let text = |key: &str| entry.get(key).and_then(serde_json::Value::as_str);
                let (Some(name), Some(template)) = (text("name"), text("template")) else {
                    return Err(ChatTemplateError::Field {
                        path: origin,
                        field: format!("chat_template[{index}]"),
                        rule: "an object with the texts name and template",
                    });
                };
                sources.add(name, origin.clone(), template.to_owned());
            }
        }
        Some(_) => {
            return Err(ChatTemplateError::Field {
                path: origin,
                field: "chat_template".to_owned(),
                rule: "a text, or a list of {name, template}",
            });
        }
    }
    Ok(sources)
}

/// `bos_token` and its kin, as far as the folder names them.
pub(super) fn special_tokens(folder: &Path) -> Result<Vec<(String, Value)>, ChatTemplateError> {
    let path = folder.join(CONFIG);
    let mut config = read_object(&path)?;
    let mut origin = path;
    // Older folders have them in a file of its own.
    if !config.contains_key("added_tokens_decoder") {
        let path = folder.join(SPECIAL_TOKENS);
        let older = read_object(&path)?;
        if !older.is_empty() {
            config.extend(older);
            origin = path;
        }
    }
    let mut tokens = Vec::new();
    for name in TOKEN_NAMES {
        let token = match config.get(name) {
            None | Some(serde_json::Value::Null) => continue,
            Some(serde_json::Value::String(token)) => Some(token.as_str()),
            Some(object) => object.get("content").and_then(serde_json::Value::as_str),
        };
        let Some(token) = token else {
            return Err(ChatTemplateError::Field {
                path: origin.display().to_string(),
                field: name.to_owned(),
                rule: "a text, or an object with the text content",
            });
        };
        tokens.push((name.to_owned(), Value::from(token)));
    }
    Ok(tokens)
}

pub(super) fn read_text(path: &Path) -> Result<Option<String>, ChatTemplateError> {
    let unreadable = |reason: String| ChatTemplateError::Unreadable {
        path: path.display().to_string(),
        reason,
    };
    let Some(bytes) = read_small_file(path).map_err(|error| unreadable(one_line(&error)))? else {
        return Ok(None);
    };
    match String::from_utf8(bytes) {
        Ok(text) => Ok(Some(text)),
        Err(_) => Err(unreadable("it is not UTF-8".to_owned())),
    }
}

/// An empty object where there is no such file.
fn read_object(path: &Path) -> Result<Map<String, serde_json::Value>, ChatTemplateError> {
    let bytes = read_small_file(path).map_err(|error| ChatTemplateError::Unreadable {
        path: path.display().to_string(),
        reason: one_line(&error),
    })?;
    match bytes {
        None => Ok(Map::new()),
        Some(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| ChatTemplateError::BrokenConfig {
                path: path.display().to_string(),
                reason: one_line(&error),
            })
        }
    }
}
