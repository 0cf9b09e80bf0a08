use std::path::Path;

use minijinja::{Environment, Value, value::Serde};
use serde_json::{Map, json};

use super::{
    ChatTemplateError, Message, Role,
    files::{self, Source, Sources},
    generation_tags, python,
};
use crate::one_line;

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// Names under which a message's reasoning comes; templates read the first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// Turns messages into the text that the model was trained to read: the Jinja template that its makers ship.
///
/// The text has all special tokens in it, BOS included: it is tokenized without adding any
/// ([`Tokenizer::encode`](crate::Tokenizer::encode) with `special` off). Special tokens that somebody writes
/// into a message become tokens as well, as they do in transformers.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    origin: String,
    tool_use: Option<String>,
    special_tokens: Vec<(String, Value)>,
}

/// What a template is given: the arguments of transformers' `apply_chat_template`.
#[derive(Clone, Debug, Default)]
pub struct ChatInput {
    /// Objects with `role`, `content`, and whatever else the template reads.
    pub messages: Vec<serde_json::Value>,
    /// JSON schemas of functions that the model may call.
    pub tools: Option<Vec<serde_json::Value>>,
    pub documents: Option<Vec<serde_json::Value>>,
    /// End where the assistant's answer begins.
    pub add_generation_prompt: bool,
    /// More variables, which go before special tokens of the same name.
    pub variables: Map<String, serde_json::Value>,
}

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`ChatTemplateError::Missing`] if there is none; files that are not as they must be.
    pub fn from_folder(folder: &Path) -> Result<Self, ChatTemplateError> {
        let sources = files::templates(folder)?;
        let Sources {
            default,
            tool_use,
            others,
        } = sources;
        match (default, tool_use) {
            (Some(default), tool_use) => Self::new(default, tool_use, folder),
            (None, tool_use) => {
                let only = tool_use.map(|source| (source.origin, TOOL_USE.to_owned()));
                let names: Vec<(String, String)> = only.into_iter().chain(others).collect();
                let Some((origin, _)) = names.first().cloned() else {
                    let folder = folder.display().to_string();
                    return Err(ChatTemplateError::Missing { folder });
                };
                let names: Vec<String> = names.into_iter().map(|(_, name)| name).collect();
                Err(ChatTemplateError::NoDefault {
                    origin,
                    names: names.join(", "),
                })
            }
        }
    }

    /// A template from a file, with the special tokens of a model's folder.
    ///
    /// # Errors
    /// Files that are not as they must be.
    pub fn from_file(file: &Path, folder: &Path) -> Result<Self, ChatTemplateError> {
        let origin = file.display().to_string();
        match files::read_text(file)? {
            Some(text) => Self::new(Source { origin, text }, None, folder),
            None => Err(ChatTemplateError::Unreadable {
                path: origin,
                reason: "there is no such file".to_owned(),
            }),
        }
    }

    fn new(
        default: Source,
        tool_use: Option<Source>,
        folder: &Path,
    ) -> Result<Self, ChatTemplateError> {
        let special_tokens = files::special_tokens(folder)?;
        let mut environment =
            python::environment().map_err(|error| syntax(&default.origin, &error))?;
        let origin = default.origin.clone();
        let tool_use_origin = tool_use.as_ref().map(|source| source.origin.clone());
        for (name, source) in [(DEFAULT, Some(default)), (TOOL_USE, tool_use)] {
            let Some(Source { origin, text }) = source else {
                continue;
            };
            // Jinja2 reads every end of line as this one.
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            let text = generation_tags::replace(&text).into_owned();
            environment
                .add_template_owned(name, text)
                .map_err(|error| syntax(&origin, &error))?;
        }
        Ok(Self {
            environment,
            origin,
            tool_use: tool_use_origin,
            special_tokens,
        })
    }

    /// The token that ends a turn in most templates, as the folder names it.
    pub fn eos_token(&self) -> Option<&str> {
        let named = self.special_tokens.iter();
        let mut eos = named.filter(|(name, _)| name == "eos_token");
        eos.next().and_then(|(_, token)| token.as_str())
    }

    /// The text after which the assistant answers `messages`.
    ///
    /// # Errors
    /// [`ChatTemplateError::Refused`] if the template raises an exception, [`ChatTemplateError::Render`] if it fails.
    pub fn prompt(&self, messages: &[Message]) -> Result<String, ChatTemplateError> {
        let object =
            |message: &Message| json!({ "role": message.role, "content": message.content });
        self.render(&ChatInput {
            messages: messages.iter().map(object).collect(),
            add_generation_prompt: true,
            ..ChatInput::default()
        })
    }

    /// Whether a system message leaves a trace in prompts. Templates that know none either refuse it or pass over it.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn honours_system(&self, text: &str) -> Result<bool, ChatTemplateError> {
        let user = Message::new(Role::User, "?");
        let without = self.prompt(std::slice::from_ref(&user))?;
        let with = self.prompt(&[Message::new(Role::System, text), user])?;
        Ok(with != without)
    }

    /// The text of a conversation.
    ///
    /// # Errors
    /// As [`Self::prompt`].
    pub fn render(&self, input: &ChatInput) -> Result<String, ChatTemplateError> {
        let (name, origin) = match (&input.tools, &self.tool_use) {
            (Some(_), Some(origin)) => (TOOL_USE, origin),
            _ => (DEFAULT, &self.origin),
        };
        let messages: Vec<_> = input.messages.iter().map(prepared).collect();
        let own = [
            ("messages", Value::from(Serde(&messages))),
            ("tools", Value::from(Serde(&input.tools))),
            ("documents", Value::from(Serde(&input.documents))),
            (
                "add_generation_prompt",
                Value::from(input.add_generation_prompt),
            ),
        ];
        // Of two with one name the later counts.
        let mut context = self.special_tokens.clone();
        let more = input.variables.iter();
        context.extend(more.map(|(name, value)| (name.clone(), Value::from(Serde(value)))));
        context.extend(own.map(|(name, value)| (name.to_owned(), value)));
        let context = Value::from_pairs(context);
        self.environment
            .get_template(name)
            .and_then(|template| template.render(context))
            .map_err(|error| match python::raised(&error) {
                Some(message) => ChatTemplateError::Refused(one_line(message)),
                None => ChatTemplateError::Render {
                    origin: origin.clone(),
                    reason: reason(&error),
                },
            })
    }
}

/// A message as transformers hands it to a template: without fields that are null, and with its reasoning under the
/// name that templates read.
fn prepared(message: &serde_json::Value) -> serde_json::Value {
    let serde_json::Value::Object(fields) = message else {
        return message.clone();
    };
    let mut fields = fields.clone();
    fields.retain(|_, value| !value.is_null());
    let reasoning = REASONING.iter().find_map(|name| fields.get(*name)).cloned();
    if let Some(reasoning) = reasoning {
        fields.entry("thinking").or_insert(reasoning.clone());
        fields.insert(REASONING[0].to_owned(), reasoning);
    }
    fields.into()
}

fn syntax(origin: &str, error: &minijinja::Error) -> ChatTemplateError {
    ChatTemplateError::Syntax {
        origin: origin.to_owned(),
        reason: reason(error),
    }
}

/// What is wrong and in which line, without the piece of the template that would follow.
fn reason(error: &minijinja::Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("line {line}: {}", one_line(&what)),
        None => one_line(&what),
    }
}
