//! Where a model's folder keeps its chat templates, and the special tokens that they use.

use std::path::Path;

use minijinja::Value;
use serde_json::{Map, Value as Json};

use super::{ChatTemplateError, template::Source};
use crate::{one_line, read_small_file};

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// Files with a template each, by its name.
const TEMPLATES: [(&str, &str); 2] =
    [("default", "chat_template.jinja"), ("tool_use", "additional_chat_templates/tool_use.jinja")];

/// The special tokens that templates can name.
const TOKEN_NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The templates of a folder. As in transformers, template files replace the templates of `tokenizer_config.json`.
pub(super) fn read_templates(folder: &Path) -> Result<Vec<Source>, ChatTemplateError> {
    let mut sources = Vec::new();
    for (name, file) in TEMPLATES {
        let path = folder.join(file);
        if let Some(text) = read_text(&path)? {
            sources.push(Source::new(name, path.display(), text));
        }
    }
    if sources.is_empty() {
        return read_config_templates(&folder.join(CONFIG));
    }
    Ok(sources)
}

/// `chat_template` of `tokenizer_config.json`: a text, or a list of texts with names.
fn read_config_templates(path: &Path) -> Result<Vec<Source>, ChatTemplateError> {
    let config = read_object(path)?;
    let invalid = |field: String, rule| ChatTemplateError::Field { path: path.display().to_string(), field, rule };
    match config.get("chat_template") {
        None | Some(Json::Null) => Ok(Vec::new()),
        Some(Json::String(text)) => Ok(vec![Source::new("default", path.display(), text)]),
        Some(Json::Array(list)) => {
            let entries = list.iter().enumerate().map(|(index, entry)| {
                let text = |key: &str| entry.get(key).and_then(Json::as_str);
                match (text("name"), text("template")) {
                    (Some(name), Some(text)) => Ok(Source::new(name, path.display(), text)),
                    _ => Err(invalid(format!("chat_template[{index}]"), "an object with the texts name and template")),
                }
            });
            entries.collect()
        }
        Some(_) => Err(invalid("chat_template".to_owned(), "a text, or a list of {name, template}")),
    }
}

/// `bos_token` and the other special tokens that the folder names.
pub(super) fn read_special_tokens(folder: &Path) -> Result<Vec<(String, Value)>, ChatTemplateError> {
    let mut path = folder.join(CONFIG);
    let mut config = read_object(&path)?;
    // Older folders keep them in another file.
    if !config.contains_key("added_tokens_decoder") {
        let older_path = folder.join(SPECIAL_TOKENS);
        let older = read_object(&older_path)?;
        if !older.is_empty() {
            config.extend(older);
            path = older_path;
        }
    }
    let mut tokens = Vec::new();
    for name in TOKEN_NAMES {
        let token = match config.get(name) {
            None | Some(Json::Null) => continue,
            Some(Json::String(token)) => Some(token.as_str()),
            Some(object) => object.get("content").and_then(Json::as_str),
        };
        let Some(token) = token else {
            return Err(ChatTemplateError::Field {
                path: path.display().to_string(),
                field: name.to_owned(),
                rule: "a text, or an object with the text content",
            });
        };
        tokens.push((name.to_owned(), Value::from(token)));
    }
    Ok(tokens)
}

/// `None` when there is no such file.
pub(super) fn read_text(path: &Path) -> Result<Option<String>, ChatTemplateError> {
    let text = read(path)?.map(String::from_utf8).transpose();
    text.map_err(|_| unreadable(path, "it is not UTF-8"))
}

/// An empty object when there is no such file.
fn read_object(path: &Path) -> Result<Map<String, Json>, ChatTemplateError> {
    let Some(bytes) = read(path)? else {
        return Ok(Map::new());
    };
    glass_json::parse_object(&bytes)
        .map_err(|error| ChatTemplateError::BrokenConfig { path: path.display().to_string(), reason: one_line(&error) })
}

fn read(path: &Path) -> Result<Option<Vec<u8>>, ChatTemplateError> {
    read_small_file(path).map_err(|error| unreadable(path, &error))
}

fn unreadable(path: &Path, reason: &(impl ToString + ?Sized)) -> ChatTemplateError {
    ChatTemplateError::Unreadable { path: path.display().to_string(), reason: one_line(reason) }
}
