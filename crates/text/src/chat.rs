//! Conversations as text: messages become a prompt as the model's makers wrote their prompts.
//!
//! Reading order: [`Message`] (who says what) · [`ChatTemplate`] (messages to text).

mod error;
mod files;
mod generation_tags;
mod message;
mod python;
mod template;
mod tojson;

pub use error::ChatTemplateError;
pub use message::{Message, Role, read_messages};
pub use template::{ChatInput, ChatTemplate};
