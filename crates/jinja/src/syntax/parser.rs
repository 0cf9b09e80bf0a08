//! The stream of tokens, and what the two halves of the parser share.

use std::sync::Arc;

use super::{
    ast::{Macro, Name, Tree},
    lexer::{Token, tokens},
    symbols,
};
use crate::error::{Error, ErrorKind, Result};

/// How deep expressions and blocks may lie in each other.
const MAX_DEPTH: usize = 96;

/// # Errors
/// The text is not Jinja.
pub(crate) fn parse(source: &str) -> Result<Tree> {
    let mut parser = Parser {
        tokens: tokens(source)?,
        at: 0,
        depth: 0,
        soft: false,
        loops: 0,
        loops_around: 0,
        blocks: Vec::new(),
        loaded: Vec::new(),
        unknown: Vec::new(),
    };
    let mut body = parser.body(&[])?;
    let Parser { mut blocks, loaded, unknown, .. } = parser;
    // A block looks its variables up when it is rendered: the frames around it know none of its names.
    [&mut body].into_iter().chain(blocks.iter_mut().map(|block| &mut block.body)).for_each(symbols::hide);
    match unknown.into_iter().next() {
        Some(error) => Err(error),
        None => {
            Ok(Tree { body, blocks: blocks.into_iter().map(Arc::new).collect(), names: loaded.into_iter().collect() })
        }
    }
}

pub(super) struct Parser {
    tokens: Vec<(Token, usize)>,
    at: usize,
    depth: usize,
    /// Behind a condition: an unknown filter there is an error only when it is reached.
    pub soft: bool,
    /// How many loops are around, which `break` can leave.
    pub loops: usize,
    /// How many loops are around, macros between them or not.
    pub loops_around: usize,
    /// The blocks so far.
    pub blocks: Vec<Macro>,
    /// Every name that an expression read so far.
    pub loaded: Vec<Name>,
    /// Filters and tests that there are not, where that matters.
    pub unknown: Vec<Error>,
}

impl Parser {
    pub fn peek(&self) -> &Token {
        &self.tokens[self.at].0
    }

    pub fn peek_second(&self) -> &Token {
        &self.tokens[(self.at + 1).min(self.tokens.len() - 1)].0
    }

    pub fn line(&self) -> usize {
        self.tokens[self.at].1
    }

    pub fn next(&mut self) -> Token {
        let token = self.peek().clone();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    pub fn is_op(&self, operator: &str) -> bool {
        matches!(self.peek(), Token::Op(found) if *found == operator)
    }

    pub fn is_name(&self, name: &str) -> bool {
        matches!(self.peek(), Token::Name(found) if found == name)
    }

    pub fn skip_op(&mut self, operator: &str) -> bool {
        let found = self.is_op(operator);
        if found {
            self.next();
        }
        found
    }

    pub fn skip_name(&mut self, name: &str) -> bool {
        let found = self.is_name(name);
        if found {
            self.next();
        }
        found
    }

    pub fn expect_op(&mut self, operator: &str) -> Result<()> {
        if self.skip_op(operator) { Ok(()) } else { self.unexpected(operator) }
    }

    pub fn expect_name(&mut self, name: &str) -> Result<()> {
        if self.skip_name(name) { Ok(()) } else { self.unexpected(name) }
    }

    pub fn expect(&mut self, token: &Token) -> Result<()> {
        if self.peek() == token {
            self.next();
            return Ok(());
        }
        self.unexpected(if *token == Token::BlockEnd { "end of statement block" } else { "end of print statement" })
    }

    pub fn name(&mut self) -> Result<Name> {
        match self.peek() {
            Token::Name(name) => {
                let name = Name::from(name.as_str());
                self.next();
                Ok(name)
            }
            _ => self.unexpected("name"),
        }
    }

    pub fn unexpected<T>(&self, expected: &str) -> Result<T> {
        self.fail(match self.peek() {
            Token::End => format!("unexpected end of template, expected {expected:?}"),
            token => format!("expected token {expected:?}, got {:?}", describe(token)),
        })
    }

    pub fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Error::new(ErrorKind::Syntax, message).at(self.line()))
    }

    /// Notes a filter or test that there is not, unless it stands behind a condition.
    pub fn note_unknown(&mut self, what: &str, name: &str) {
        if !self.soft {
            let line = self.line();
            self.unknown.push(Error::new(ErrorKind::Syntax, format!("No {what} named {name:?}")).at(line));
        }
    }

    /// Runs `parse` one level deeper.
    pub fn deeper<T>(&mut self, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return self.fail(format!("more than {MAX_DEPTH} levels in each other"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// Runs `parse` with another value of `soft`.
    pub fn with_soft<T>(&mut self, soft: bool, parse: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let before = std::mem::replace(&mut self.soft, soft);
        let result = parse(self);
        self.soft = before;
        result
    }
}

pub(super) fn describe(token: &Token) -> String {
    match token {
        Token::Data(_) => "template data / text".to_owned(),
        Token::BlockBegin => "begin of statement block".to_owned(),
        Token::BlockEnd => "end of statement block".to_owned(),
        Token::PrintBegin => "begin of print statement".to_owned(),
        Token::PrintEnd => "end of print statement".to_owned(),
        Token::Name(name) => name.clone(),
        Token::Int(_) => "integer".to_owned(),
        Token::Float(_) => "float".to_owned(),
        Token::Str(_) => "string".to_owned(),
        Token::Op(operator) => (*operator).to_owned(),
        Token::End => "end of template".to_owned(),
    }
}
