//! Where a model's folder keeps its chat templates, and the special tokens that they use.

use std::{fs, io::ErrorKind, path::Path};

use serde_json::{Map, Value as Json};

use super::{ChatTemplateError, template::Source};
use crate::{TokenizerError, one_line, read_small_file, tokenizer::read_named_tokens};

const CONFIG: &str = "tokenizer_config.json";
const SPECIAL_TOKENS: &str = "special_tokens_map.json";

/// The file with the template, and the folder of those with other names.
const TEMPLATE: &str = "chat_template.jinja";
const MORE_TEMPLATES: &str = "additional_chat_templates";

/// The special tokens that every tokenizer may name.
const TOKEN_NAMES: [&str; 7] =
    ["bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"];

/// The templates of a folder. As in transformers, template files replace the templates of `tokenizer_config.json`.
pub(crate) fn read_templates(folder: &Path) -> Result<Vec<Source>, ChatTemplateError> {
    let mut sources = Vec::new();
    let path = folder.join(TEMPLATE);
    if let Some(text) = read_text(&path)? {
        sources.push(Source::new("default", path.display(), text));
    }
    let more = folder.join(MORE_TEMPLATES);
    let mut names = Vec::new();
    match fs::read_dir(&more) {
        Ok(entries) => {
            for entry in entries {
                let name = entry.map_err(|error| unreadable(&more, &error))?.file_name();
                names.extend(name.to_str().and_then(|name| name.strip_suffix(".jinja")).map(str::to_owned));
            }
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
        Err(error) => return Err(unreadable(&more, &error)),
    }
    names.sort();
    for name in names {
        let path = more.join(format!("{name}.jinja"));
        if let Some(text) = read_text(&path)? {
            sources.push(Source::new(&name, path.display(), text));
        }
    }
    if sources.is_empty() {
        return read_config_templates(&folder.join(CONFIG));
    }
    Ok(sources)
}

/// `chat_template` of `tokenizer_config.json`: a text, or several with names, as an object or a list.
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
        Some(Json::Object(fields)) => {
            let entries = fields.iter().map(|(name, text)| match text.as_str() {
                Some(text) => Ok(Source::new(name, path.display(), text)),
                None => Err(invalid(format!("chat_template.{name}"), "a text")),
            });
            entries.collect()
        }
        Some(_) => Err(invalid(
            "chat_template".to_owned(),
            "a text, an object from names to texts, or a list of {name, template}",
        )),
    }
}

/// `bos_token` and the other special tokens that the folder names.
pub(super) fn read_special_tokens(folder: &Path) -> Result<Vec<(String, String)>, ChatTemplateError> {
    let tokens = read_named_tokens(folder).map_err(|error| match error {
        TokenizerError::BrokenConfig { path, reason } => ChatTemplateError::BrokenConfig { path, reason },
        TokenizerError::Unreadable { path, reason } => ChatTemplateError::Unreadable { path, reason },
        other => ChatTemplateError::BrokenConfig { path: folder.display().to_string(), reason: one_line(&other) },
    })?;
    let path = folder.join(CONFIG);
    let config = read_object(&path)?;
    check_tokens(&config, &path)?;
    // Older folders keep them in another file.
    if !config.contains_key("added_tokens_decoder") {
        let path = folder.join(SPECIAL_TOKENS);
        check_tokens(&read_object(&path)?, &path)?;
    }
    Ok(tokens)
}

fn check_tokens(config: &Map<String, Json>, path: &Path) -> Result<(), ChatTemplateError> {
    for name in TOKEN_NAMES {
        let is_token = match config.get(name) {
            None | Some(Json::Null | Json::String(_)) => true,
            Some(object) => object.get("content").is_some_and(Json::is_string),
        };
        if !is_token {
            return Err(ChatTemplateError::Field {
                path: path.display().to_string(),
                field: name.to_owned(),
                rule: "a text, or an object with the text content",
            });
        }
    }
    Ok(())
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
