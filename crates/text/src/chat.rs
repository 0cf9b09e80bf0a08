//! Chat templates: messages become a prompt in the format that the model was trained on.
//!
//! Reading order: [`Message`] (a role and its text) · [`ChatTemplate`] (messages to text).

mod error;
mod files;
mod message;
mod strftime;
mod template;

pub use error::ChatTemplateError;
pub(crate) use files::read_templates;
pub use message::{Message, Role, read_messages};
pub use template::{ChatInput, ChatTemplate};
pub(crate) use template::{DEFAULT, Source};
