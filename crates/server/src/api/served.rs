//! The model that is served, and what requests may ask of it.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use glass_generate::{Error, Llama, PrefillOptions};
use glass_text::{ChatTemplate, ChatTemplateError, Tokenizer, one_line};

use super::{ApiError, Defaults};
use crate::{
    engine::{Refused, Service},
    reasoning::Marks,
    tools::Syntax,
};

/// Most lines about requests that are told and remembered, so that nobody fills the memory with them.
const REMEMBERED: usize = 256;

/// What a server is told of its model.
pub struct Identity {
    /// The name that clients see and give.
    pub name: String,
    /// Other names that they may give.
    pub aliases: Vec<String>,
    /// `None`: the model was not trained to chat.
    pub template: Option<ChatTemplate>,
    /// Whether what the model thinks is told apart from its answers.
    pub splits_reasoning: bool,
    /// Texts that end an answer in chats, beside those of the model's files.
    pub chat_stops: Vec<String>,
    /// Prints one line for who runs the server.
    pub log: fn(&str),
}

/// A model that answers.
pub struct Served {
    pub service: Service,
    pub identity: Identity,
    pub defaults: Defaults,
    /// How the model writes calls of functions; `None`: its template has no place for them.
    pub syntax: Option<Syntax>,
    /// What stands around the thoughts of the model; `None`: it was not trained to think aloud.
    pub marks: Option<Marks>,
    /// Seconds of Unix time.
    pub created: u64,
    /// Lines for who runs the server.
    told: Mutex<BTreeSet<String>>,
    /// The bytes of every token, once somebody asks.
    bytes: OnceLock<Vec<Vec<u8>>>,
    leaving: AtomicBool,
}

impl Served {
    pub fn new(service: Service, identity: Identity) -> Self {
        let llama = service.llama();
        let mut defaults = Defaults::of(llama, PrefillOptions::default());
        let special = |text: &str| first_special(llama, text);
        let syntax = identity.template.as_ref().and_then(|template| Syntax::of_template(template, &special));
        // Chat models often keep the generation_config.json of their base model, whose end is that of a text, not of a turn.
        let is_token =
            |text: &str| llama.tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.token_id(text).is_some());
        let marks = identity.template.as_ref().and_then(|template| Marks::of_model(template, is_token));
        let end_of_turn = identity.template.as_ref().and_then(ChatTemplate::eos_token);
        defaults.eos_ids.extend(end_of_turn.and_then(|token| llama.tokenizer.as_ref()?.token_id(token)));
        Self {
            defaults,
            syntax,
            marks,
            identity,
            created: now(),
            told: Mutex::default(),
            bytes: OnceLock::new(),
            leaving: AtomicBool::new(false),
            service,
        }
    }

    /// No more requests are taken.
    pub fn leave(&self) {
        self.leaving.store(true, Ordering::Relaxed);
    }

    pub fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Relaxed)
    }

    pub fn llama(&self) -> &Llama {
        self.service.llama()
    }

    /// # Errors
    /// The model has no tokenizer.
    pub fn tokenizer(&self) -> Result<&Tokenizer, ApiError> {
        let none = || ApiError::unprocessable("this model has no tokenizer: give token ids to /v1/completions");
        self.llama().tokenizer.as_ref().ok_or_else(none)
    }

    /// The bytes that a token adds to a text; of a special token, those of its name. Without a tokenizer the ids are the text.
    pub fn token_bytes(&self, id: u32) -> Vec<u8> {
        let llama = self.llama();
        let Some(tokenizer) = &llama.tokenizer else {
            return format!("{id} ").into_bytes();
        };
        let all = self.bytes.get_or_init(|| tokenizer.token_bytes(llama.config.vocab_size).unwrap_or_default());
        match all.get(id as usize) {
            Some(bytes) if !bytes.is_empty() => bytes.clone(),
            _ => tokenizer.token(id).unwrap_or_default().into_bytes(),
        }
    }

    /// Whether a request means this model. One that names none does.
    ///
    /// # Errors
    /// It names another.
    pub fn check_name(&self, name: Option<&str>) -> Result<(), ApiError> {
        let Identity { name: own, aliases, .. } = &self.identity;
        match name {
            Some(name) if name != own && !aliases.iter().any(|alias| alias == name) => {
                Err(ApiError::no_such_model(name, own))
            }
            _ => Ok(()),
        }
    }

    /// Tells once of each parameter that is not known: it was ignored.
    pub fn note_unknown(&self, names: Vec<String>) {
        for name in names {
            self.note(format!("a request has the parameter {:?}, which is not known here: ignored", short(&name)));
        }
    }

    /// Tells once of a variable that the chat template does not read: it changed nothing.
    pub fn note_unread(&self, name: &str) {
        self.note(format!(
            "a request sets {:?}, which the chat template of this model does not read: ignored",
            short(name)
        ));
    }

    /// Tells who runs the server this line, once.
    pub fn note(&self, line: String) {
        if let Ok(mut told) = self.told.lock()
            && told.len() < REMEMBERED
            && !told.contains(&line)
        {
            (self.identity.log)(&line);
            told.insert(line);
        }
    }

    /// An error of the engine or of a model's files, without paths.
    pub fn error(&self, error: &Error) -> ApiError {
        match error {
            Error::EmptyPrompt => ApiError::bad_request("the prompt has no tokens: give some text"),
            Error::Constraint(error) => {
                ApiError { status: 422, ..ApiError::invalid("response_format", error.to_string()) }
            }
            Error::Sampling(_) | Error::Stop(_) | Error::IdOutOfRange { .. } => {
                ApiError::bad_request(error.to_string())
            }
            Error::Tokenizer(_) => ApiError::unprocessable(self.without_path(&error.to_string())),
            Error::ChatTemplate(error) => self.template_error(error, "messages"),
            error => ApiError::internal(self.without_path(&error.to_string())),
        }
    }

    /// Why a template does not render what was said, which stands in the parameter `messages`.
    pub fn template_error(&self, error: &ChatTemplateError, messages: &str) -> ApiError {
        match error {
            ChatTemplateError::Refused(_) => ApiError::invalid(messages, error.to_string()),
            ChatTemplateError::Render { reason, .. } => {
                ApiError::invalid(messages, format!("the model's chat template fails for these: {reason}"))
            }
            error => ApiError::internal(self.without_path(&error.to_string())),
        }
    }

    /// Why the service does not take a request. `prompt` and `most` are the parameters that have the text and its limit.
    pub fn refused(&self, refused: &Refused, prompt: &str, most: &str) -> ApiError {
        match refused {
            Refused::QueueFull { retry_after, .. } => {
                let seconds = u32::try_from(retry_after.as_secs().max(1)).unwrap_or(u32::MAX);
                ApiError::busy(refused.to_string(), seconds)
            }
            Refused::TooLong { tokens, context } => ApiError::too_long(prompt, *tokens, *context, false),
            Refused::TooLarge { .. } => ApiError::invalid(most, refused.to_string()),
            Refused::Choices { .. } => ApiError::invalid("n", refused.to_string()),
            Refused::ShuttingDown => ApiError::unavailable(refused.to_string(), 5),
            Refused::Bad(error) => self.error(error),
        }
    }

    /// A line in which the model's folder, if it is there, has the model's name.
    pub fn without_path(&self, line: &str) -> String {
        match self.llama().folder.to_str().filter(|folder| !folder.is_empty()) {
            Some(folder) => line.replace(folder, &self.identity.name),
            None => line.to_owned(),
        }
    }
}

/// A name of a request, for a line.
fn short(name: &str) -> String {
    one_line(&name).chars().take(80).collect()
}

/// Where the first special token of a text begins.
fn first_special(llama: &Llama, text: &str) -> Option<usize> {
    let tokenizer = llama.tokenizer.as_ref()?;
    let special = tokenizer.special_in(text).ok()?;
    special.iter().filter_map(|token| text.find(token.as_str())).min()
}

/// Seconds of Unix time.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
