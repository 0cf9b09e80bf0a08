use std::path::Path;

use minijinja::{Environment, Value, value::Serde};
use serde_json::{Map, json};

use super::{ChatTemplateError, Message, Role, files, generation_tags, python};
use crate::one_line;

const DEFAULT: &str = "default";
const TOOL_USE: &str = "tool_use";

/// Names of a message's reasoning; templates read the first.
const REASONING: [&str; 3] = ["reasoning_content", "thinking", "reasoning"];

/// A model's chat template: the Jinja program that turns messages into the text the model was trained on.
///
/// The text contains all special tokens, BOS included: encode it without adding any
/// ([`Tokenizer::encode`](crate::Tokenizer::encode) without `add_special`). Special tokens that a message spells out become
/// tokens as well, as they do in transformers.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    origin: String,
    tool_use: Option<String>,
    special_tokens: Vec<(String, Value)>,
}

/// The input of a template: the arguments of transformers' `apply_chat_template`.
#[derive(Clone, Debug, Default)]
pub struct ChatInput {
    /// Objects with `role`, `content`, and other fields that the template reads.
    pub messages: Vec<serde_json::Value>,
    /// JSON schemas of functions that the model may call.
    pub tools: Option<Vec<serde_json::Value>>,
    pub documents: Option<Vec<serde_json::Value>>,
    /// End where the assistant's answer begins.
    pub add_generation_prompt: bool,
    /// More variables; they override special tokens of the same name.
    pub variables: Map<String, serde_json::Value>,
}

/// The text of a template.
pub(super) struct Source {
    name: String,
    /// Names the template in errors.
    origin: String,
    text: String,
}

impl Source {
    pub fn new(name: &str, origin: impl ToString, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), origin: origin.to_string(), text: text.into() }
    }
}

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`ChatTemplateError::Missing`] if there is none; a file is unreadable or broken.
    pub fn from_folder(folder: &Path) -> Result<Self, ChatTemplateError> {
        let mut sources = files::read_templates(folder)?;
        let mut take = |name: &str| {
            let index = sources.iter().rposition(|source| source.name == name)?;
            Some(sources.remove(index))
        };
        let (default, tool_use) = (take(DEFAULT), take(TOOL_USE));
        let Some(default) = default else {
            let others: Vec<Source> = tool_use.into_iter().chain(sources).collect();
            let names: Vec<&str> = others.iter().map(|source| &*source.name).collect();
            return Err(match others.first() {
                Some(first) => ChatTemplateError::NoDefault { origin: first.origin.clone(), names: names.join(", ") },
                None => ChatTemplateError::Missing { folder: folder.display().to_string() },
            });
        };
        Self::new(default, tool_use, files::read_special_tokens(folder)?)
    }

    /// A template from a file, with the special tokens of a model's folder.
    ///
    /// # Errors
    /// A file is unreadable or broken.
    pub fn from_file(file: &Path, folder: &Path) -> Result<Self, ChatTemplateError> {
        let origin = file.display();
        let Some(text) = files::read_text(file)? else {
            return Err(ChatTemplateError::Unreadable {
                path: origin.to_string(),
                reason: "there is no such file".to_owned(),
            });
        };
        let source = Source::new(DEFAULT, origin, text);
        Self::new(source, None, files::read_special_tokens(folder)?)
    }

    /// A template from its text and special tokens, as `("bos_token", "<s>")`, without files. `origin` names it in errors.
    ///
    /// # Errors
    /// [`ChatTemplateError::Syntax`].
    pub fn from_text(text: &str, origin: &str, special_tokens: &[(&str, &str)]) -> Result<Self, ChatTemplateError> {
        let tokens = special_tokens.iter();
        let tokens = tokens.map(|&(name, token)| (name.to_owned(), Value::from(token)));
        let source = Source::new(DEFAULT, origin, text);
        Self::new(source, None, tokens.collect())
    }

    fn new(
        default: Source,
        tool_use: Option<Source>,
        special_tokens: Vec<(String, Value)>,
    ) -> Result<Self, ChatTemplateError> {
        let mut environment = python::environment().map_err(|error| syntax_error(&default.origin, &error))?;
        let origin = default.origin.clone();
        let tool_use_origin = tool_use.as_ref().map(|source| source.origin.clone());
        for Source { name, origin, text } in [Some(default), tool_use].into_iter().flatten() {
            // Jinja2 normalizes line ends.
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            let text = generation_tags::replace(&text).into_owned();
            environment.add_template_owned(name, text).map_err(|error| syntax_error(&origin, &error))?;
        }
        Ok(Self { environment, origin, tool_use: tool_use_origin, special_tokens })
    }

    /// `eos_token`, which ends a turn in most templates.
    pub fn eos_token(&self) -> Option<&str> {
        let mut tokens = self.special_tokens.iter();
        let (_, token) = tokens.find(|(name, _)| name == "eos_token")?;
        token.as_str()
    }

    /// The text that the assistant's answer to `messages` continues.
    ///
    /// # Errors
    /// [`ChatTemplateError::Refused`] if the template raises an exception, [`ChatTemplateError::Render`] if it fails.
    pub fn prompt(&self, messages: &[Message]) -> Result<String, ChatTemplateError> {
        let object = |message: &Message| json!({ "role": message.role, "content": message.content });
        self.render(&ChatInput {
            messages: messages.iter().map(object).collect(),
            add_generation_prompt: true,
            ..ChatInput::default()
        })
    }

    /// A system message shows in prompts. Templates without support for one refuse or ignore it.
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
        let messages: Vec<_> = input.messages.iter().map(prepare_message).collect();
        let arguments = [
            ("messages", Value::from(Serde(&messages))),
            ("tools", Value::from(Serde(&input.tools))),
            ("documents", Value::from(Serde(&input.documents))),
            ("add_generation_prompt", Value::from(input.add_generation_prompt)),
        ];
        // Of two variables with one name, the later counts.
        let mut context = self.special_tokens.clone();
        let variables = input.variables.iter();
        context.extend(variables.map(|(name, value)| (name.clone(), Value::from(Serde(value)))));
        context.extend(arguments.map(|(name, value)| (name.to_owned(), value)));
        let context = Value::from_pairs(context);
        self.environment.get_template(name).and_then(|template| template.render(context)).map_err(|error| {
            match python::raised_message(&error) {
                Some(message) => ChatTemplateError::Refused(one_line(message)),
                None => ChatTemplateError::Render { origin: origin.clone(), reason: describe(&error) },
            }
        })
    }
}

/// A message as transformers passes it to a template: without null fields, and with its reasoning under the name that
/// templates read.
fn prepare_message(message: &serde_json::Value) -> serde_json::Value {
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

fn syntax_error(origin: &str, error: &minijinja::Error) -> ChatTemplateError {
    ChatTemplateError::Syntax { origin: origin.to_owned(), reason: describe(error) }
}

/// The error and its line, without the excerpt of the template that minijinja adds.
fn describe(error: &minijinja::Error) -> String {
    let what = match error.detail() {
        Some(detail) => format!("{}: {detail}", error.kind()),
        None => error.kind().to_string(),
    };
    match error.line() {
        Some(line) => format!("line {line}: {}", one_line(&what)),
        None => one_line(&what),
    }
}
