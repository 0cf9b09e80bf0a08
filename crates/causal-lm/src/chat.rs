//! Conversations: messages become a prompt as the model's makers wrote their prompts, and what was read of a
//! conversation is not read again.
//!
//! Reading order: [`Message`] (who says what) · [`ChatTemplate`] (messages to text) · [`Conversation`] (turn after turn,
//! with one cache).

mod conversation;
mod error;
mod files;
mod generation_tags;
mod message;
mod python;
mod template;
mod tojson;

pub use conversation::{Conversation, Fitted, Reply, Restart};
pub use error::ChatTemplateError;
pub use message::{Message, Role, read_messages};
pub use template::{ChatInput, ChatTemplate};
