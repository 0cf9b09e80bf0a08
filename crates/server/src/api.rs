//! What requests mean and what answers look like, in three protocols: OpenAI's chats and texts, its responses, and
//! Anthropic's messages. Nothing here knows of connections.
//!
//! Reading order: [`ApiError`] · [`Fields`] (one request, field by field) · `settings` (parameters that all have) · [`Served`]
//! (the model) · [`Conversation`] (what is to go on) · [`Answers`] (what came of it) · [`Protocol`] (how that is said).

mod answers;
mod conversation;
mod error;
mod fields;
mod prefill;
mod protocol;
mod served;
mod settings;
mod token_text;

pub mod chat;
pub mod completions;
pub mod embeddings;
pub mod messages;
pub mod responses;
pub mod tokens;

pub use answers::{Answer, Answers, Call, Reason, Update, call_id};
pub use completions::read_prompt;
pub use conversation::{Conversation, Prepared, cuts, limit, read_arguments, read_content, read_format, schema};
pub use error::ApiError;
pub use fields::Fields;
pub use protocol::{Asked, Frame, Protocol};
pub use served::{Identity, Served, now};
pub use settings::{Defaults, random, read_options, stops};
