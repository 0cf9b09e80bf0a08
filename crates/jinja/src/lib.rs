//! Jinja2 as Python runs it: what chat templates are written in.
//!
//! A template is text with expressions of Python's types and methods in it. Models were trained on what Jinja2 in Python
//! made of theirs, byte for byte: how a float prints, what `%` does to a string, what `split` leaves. So this crate has
//! Python's values, not Rust's, and the environment is the one that `transformers` 5.23 builds
//! (`utils/chat_template_utils.py`): Jinja2 3.1.6 in its immutable sandbox, `trim_blocks`, `lstrip_blocks`, loop controls,
//! the tag `generation`, and the functions `raise_exception` and `strftime_now`.
//!
//! Reading order: `syntax` (a template's text becomes a tree) · `values` (Python's types: equality, order, text) ·
//! `python` (their methods and formats) · `library` (Jinja's filters, tests and functions) · `render` (the tree becomes
//! text).

mod error;
mod library;
mod python;
mod render;
mod syntax;
mod template;
mod values;

pub use error::{Error, ErrorKind};
pub use template::Template;
pub use values::{Dict, Value};
