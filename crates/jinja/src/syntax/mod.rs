//! A template's text becomes a tree. Source: `jinja2/lexer.py`, `jinja2/parser.py`.

pub(crate) mod ast;
mod expressions;
mod lexer;
mod literals;
mod parser;
mod primaries;
mod statements;
mod symbols;

pub(crate) use parser::parse;
