use std::path::Path;

use glass_jinja::{Dict, ErrorKind, Template, Value};
use jiff::Zoned;
use serde_json::{Map, json};

use super::{ChatTemplateError, Message, Role, files, strftime::strftime};
use crate::one_line;

/// The name of the template that is used unless tools are called.
pub(crate) const DEFAULT: &str = "default";
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
    default: Parsed,
    tool_use: Option<Parsed>,
    /// Texts of the tokens that have names.
    special_tokens: Vec<(String, String)>,
    /// Variables that every rendering has.
    variables: Map<String, serde_json::Value>,
}

#[derive(Debug)]
struct Parsed {
    template: Template,
    /// Names the template in errors.
    origin: String,
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

impl ChatInput {
    /// Refuses variables that are the conversation itself, as those would count for nothing.
    ///
    /// # Errors
    /// The first of them, in one line.
    pub fn check_variables(variables: &Map<String, serde_json::Value>) -> Result<(), String> {
        const OWN: [&str; 4] = ["messages", "tools", "documents", "add_generation_prompt"];
        match OWN.iter().find(|name| variables.contains_key(**name)) {
            Some(name) => Err(format!("{name} is set by the program: leave it out")),
            None => Ok(()),
        }
    }
}

/// The text of a template.
pub(crate) struct Source {
    name: String,
    /// Names the template in errors.
    origin: String,
    text: String,
}

impl Source {
    pub fn new(name: &str, origin: impl ToString, text: impl Into<String>) -> Self {
        Self { name: name.to_owned(), origin: origin.to_string(), text: text.into() }
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn into_text(self) -> String {
        self.text
    }
}

impl ChatTemplate {
    /// The template of a model's folder: `chat_template.jinja`, or `chat_template` in `tokenizer_config.json`.
    ///
    /// # Errors
    /// [`ChatTemplateError::Missing`] if there is none; a file is unreadable or broken.
    pub fn from_folder(folder: &Path) -> Result<Self, ChatTemplateError> {
        let missing = ChatTemplateError::Missing { folder: folder.display().to_string() };
        Self::choose(files::read_templates(folder)?, missing, files::read_special_tokens(folder)?)
    }

    /// The default template of all that a model has, and the one for tools; `missing` if there are none.
    pub(crate) fn choose(
        mut sources: Vec<Source>,
        missing: ChatTemplateError,
        special_tokens: Vec<(String, String)>,
    ) -> Result<Self, ChatTemplateError> {
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
                None => missing,
            });
        };
        Self::new(default, tool_use, special_tokens)
    }

    /// A template from a file, with the special tokens of a model's folder.
    ///
    /// # Errors
    /// A file is unreadable or broken.
    pub fn from_file(file: &Path, folder: &Path) -> Result<Self, ChatTemplateError> {
        Self::of_file(file, files::read_special_tokens(folder)?)
    }

    pub(crate) fn of_file(file: &Path, special_tokens: Vec<(String, String)>) -> Result<Self, ChatTemplateError> {
        let origin = file.display();
        let Some(text) = files::read_text(file)? else {
            return Err(ChatTemplateError::Unreadable {
                path: origin.to_string(),
                reason: "there is no such file".to_owned(),
            });
        };
        let source = Source::new(DEFAULT, origin, text);
        Self::new(source, None, special_tokens)
    }

    /// A template from its text and special tokens, as `("bos_token", "<s>")`, without files. `origin` names it in errors.
    ///
    /// # Errors
    /// [`ChatTemplateError::Syntax`].
    pub fn from_text(text: &str, origin: &str, special_tokens: &[(&str, &str)]) -> Result<Self, ChatTemplateError> {
        let tokens = special_tokens.iter().map(|&(name, token)| (name.to_owned(), token.to_owned()));
        Self::new(Source::new(DEFAULT, origin, text), None, tokens.collect())
    }

    fn new(
        default: Source,
        tool_use: Option<Source>,
        special_tokens: Vec<(String, String)>,
    ) -> Result<Self, ChatTemplateError> {
        let parse = |Source { origin, text, .. }: Source| match Template::parse(&text) {
            Ok(template) => Ok(Parsed { template, origin }),
            Err(error) => Err(ChatTemplateError::Syntax { origin, reason: one_line(&error) }),
        };
        Ok(Self {
            default: parse(default)?,
            tool_use: tool_use.map(parse).transpose()?,
            special_tokens,
            variables: Map::new(),
        })
    }

    /// Gives every rendering these variables, as `enable_thinking`. Those of [`ChatInput::variables`] go before them.
    pub fn set_variables(&mut self, variables: Map<String, serde_json::Value>) {
        self.variables = variables;
    }

    /// Those of these variables that no template reads: they change nothing.
    pub fn unread<'v>(&self, variables: &'v Map<String, serde_json::Value>) -> impl Iterator<Item = &'v str> {
        let reads = |name: &str| {
            [Some(&self.default), self.tool_use.as_ref()]
                .into_iter()
                .flatten()
                .any(|parsed| parsed.template.reads(name))
        };
        variables.keys().map(String::as_str).filter(move |name| !reads(name))
    }

    /// `eos_token`, which ends a turn in most templates.
    pub fn eos_token(&self) -> Option<&str> {
        let mut tokens = self.special_tokens.iter();
        let (_, token) = tokens.find(|(name, _)| name == "eos_token")?;
        Some(token)
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
        let Parsed { template, origin } = match (&input.tools, &self.tool_use) {
            (Some(_), Some(tool_use)) => tool_use,
            _ => &self.default,
        };
        let list = |list: &[serde_json::Value]| Value::from(&serde_json::Value::from(list.to_vec()));
        let messages: Vec<_> = input.messages.iter().map(prepare_message).collect();
        let optional = |list_of: &Option<Vec<serde_json::Value>>| match list_of {
            Some(items) => list(items),
            None => Value::None,
        };
        // Of two variables with one name, the later counts.
        let mut context = Dict::new();
        for (name, text) in &self.special_tokens {
            context.set(name, Value::from(text.as_str()));
        }
        for (name, value) in self.variables.iter().chain(&input.variables) {
            context.set(name, Value::from(value));
        }
        context.set("messages", list(&messages));
        context.set("tools", optional(&input.tools));
        context.set("documents", optional(&input.documents));
        context.set("add_generation_prompt", Value::from(input.add_generation_prompt));
        let now = |format: &str| strftime(format, Zoned::now().datetime());
        template.render(&context, &now).map_err(|error| match error.kind {
            ErrorKind::Raised => ChatTemplateError::Refused(one_line(&error.message)),
            _ => ChatTemplateError::Render { origin: origin.clone(), reason: one_line(&error) },
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
        // In the order of transformers, which a template may write.
        let thinking = fields.get("thinking").unwrap_or(&reasoning).clone();
        fields.shift_insert(0, "thinking".to_owned(), thinking);
        fields.insert(REASONING[0].to_owned(), reasoning);
    }
    fields.into()
}
