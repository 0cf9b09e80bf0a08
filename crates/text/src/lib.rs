//! What a model's folder says of text: its tokenizer, and the template that makes a prompt of messages.
//!
//! Reading order: [`Tokenizer`] (text to ids and back) · [`StreamingDetokenizer`] (ids to text as they come) · [`Encoded`]
//! (which bytes of a text a token stands for) · [`Message`] (who says what) · [`ChatTemplate`] (messages to text).

mod chat;
mod small_file;
mod tokenizer;

pub use chat::{ChatInput, ChatTemplate, ChatTemplateError, Message, Role, read_messages};
pub use small_file::read_small_file;
pub use tokenizer::{Encoded, StreamingDetokenizer, Tokenizer, TokenizerError, one_line};
