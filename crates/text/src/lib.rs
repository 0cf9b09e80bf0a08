//! The text side of a model: its tokenizer and its chat template. Files are read by the functions named `from_folder`
//! and `from_file` and by [`read_small_file`]; everything else works on bytes in memory, in a browser too.
//!
//! Reading order: [`Tokenizer`] (text to ids and back) · [`StreamingDetokenizer`] (ids to text, token by token) ·
//! [`Encoded`] (the bytes of a text that each token stands for) · [`Message`] (a role and its text) · [`ChatTemplate`]
//! (messages to text) · [`gguf`] (both from the keys of a GGUF file, and such keys from a folder).

mod chat;
pub mod gguf;
mod small_file;
mod tokenizer;

pub use chat::{ChatInput, ChatTemplate, ChatTemplateError, Message, Role, read_messages};
pub use small_file::read_small_file;
pub use tokenizer::{Encoded, Piece, StreamingDetokenizer, Tokenizer, TokenizerError, Unknown, one_line};
