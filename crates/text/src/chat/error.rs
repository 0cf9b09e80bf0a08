use thiserror::Error;

/// Why there is no prompt. Each message is one line.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ChatTemplateError {
    #[error("{path}: cannot be read ({reason}); check the path and its permissions")]
    Unreadable { path: String, reason: String },
    #[error("{path}: not a JSON object ({reason}); download it again")]
    BrokenConfig { path: String, reason: String },
    #[error("{path}: {field} must be {rule}; download the file again")]
    Field { path: String, field: String, rule: &'static str },
    #[error(
        "{folder}: no chat template (neither chat_template.jinja nor chat_template in tokenizer_config.json), as in \
         models that were not trained to chat: give one with --chat-template FILE, or use glass generate"
    )]
    Missing { folder: String },
    #[error(
        "{path}: no chat template (it has no key tokenizer.chat_template), as in models that were not trained to chat: \
         give one with --chat-template FILE, or use glass generate"
    )]
    MissingKey { path: String },
    /// A key of a GGUF file that is missing or has another type; the message names both.
    #[error("{0}")]
    Key(String),
    #[error(
        "{origin}: has templates called {names}, and none called default; save the one you mean to a file and give \
         that with --chat-template FILE"
    )]
    NoDefault { origin: String, names: String },
    #[error("{origin}: not a Jinja template ({reason}); download it again")]
    Syntax { origin: String, reason: String },
    /// The template calls `raise_exception`.
    #[error("the model's chat template refuses these messages: {0}")]
    Refused(String),
    #[error("{origin}: fails for these messages ({reason}); try another with --chat-template FILE")]
    Render { origin: String, reason: String },
    /// A file that is not a conversation.
    #[error(
        "{origin}: {reason}; a conversation is a JSON list of {{\"role\": \"user\", \"content\": \"...\"}}, with the \
         roles system (first, if at all), user and assistant"
    )]
    Messages { origin: String, reason: String },
}
