//! Text to tokens, with the rules for whitespace around tags.

use super::literals;
use crate::{
    error::{Error, ErrorKind, Result},
    python::unicode::{is_alnum, is_space},
};

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Data(String),
    BlockBegin,
    BlockEnd,
    PrintBegin,
    PrintEnd,
    Name(String),
    Int(i128),
    Float(f64),
    Str(String),
    Op(&'static str),
    End,
}

/// Longest first.
const OPERATORS: [&str; 26] = [
    "//", "**", "==", "!=", ">=", "<=", "+", "-", "/", "*", "%", "~", "[", "]", "(", ")", "{", "}", ">", "<", "=", ".",
    ":", "|", ",", ";",
];

/// The tokens of a template, each with its line.
pub(super) fn tokens(source: &str) -> Result<Vec<(Token, usize)>> {
    let source = source.replace("\r\n", "\n").replace('\r', "\n");
    let source = source.strip_suffix('\n').unwrap_or(&source);
    let mut lexer = Lexer { rest: source, line: 1, line_starts: true, tokens: Vec::new() };
    lexer.text()?;
    let line = lexer.line;
    lexer.tokens.push((Token::End, line));
    Ok(lexer.tokens)
}

struct Lexer<'s> {
    rest: &'s str,
    line: usize,
    /// What was read last ended a line.
    line_starts: bool,
    tokens: Vec<(Token, usize)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Tag {
    Comment,
    Block,
    Print,
    /// With the length of the tag.
    Raw(usize),
}

impl<'s> Lexer<'s> {
    fn text(&mut self) -> Result<()> {
        while let Some((at, tag)) = self.next_tag() {
            let sign = self.rest[at + 2..].chars().next().filter(|sign| matches!(sign, '-' | '+'));
            self.data(at, sign, tag != Tag::Print);
            let length = match tag {
                Tag::Raw(length) => length,
                _ => 2 + sign.map_or(0, char::len_utf8),
            };
            self.take(length);
            match tag {
                Tag::Comment => self.comment()?,
                Tag::Raw(_) => self.raw()?,
                Tag::Block => {
                    self.push(Token::BlockBegin);
                    self.code(Token::BlockEnd)?;
                }
                Tag::Print => {
                    self.push(Token::PrintBegin);
                    self.code(Token::PrintEnd)?;
                }
            }
        }
        if !self.rest.is_empty() {
            self.push(Token::Data(self.rest.to_owned()));
            self.take(self.rest.len());
        }
        Ok(())
    }

    fn next_tag(&self) -> Option<(usize, Tag)> {
        self.rest.match_indices('{').find_map(|(at, _)| {
            let tag = &self.rest[at..];
            let kind = match tag.as_bytes().get(1)? {
                b'#' => Tag::Comment,
                b'{' => Tag::Print,
                b'%' => raw_length(tag).map_or(Tag::Block, Tag::Raw),
                _ => return None,
            };
            Some((at, kind))
        })
    }

    /// The text before a tag, without the whitespace that the tag takes away.
    fn data(&mut self, end: usize, sign: Option<char>, is_block: bool) {
        let text = &self.rest[..end];
        let mut kept = text;
        if sign == Some('-') {
            kept = text.trim_end_matches(is_space);
        } else if sign != Some('+') && is_block {
            let start = text.rfind('\n').map_or(0, |at| at + 1);
            if (start > 0 || self.line_starts) && text[start..].chars().all(is_space) {
                kept = &text[..start];
            }
        }
        if !kept.is_empty() {
            self.push(Token::Data(kept.to_owned()));
        }
        self.take(end);
    }

    fn comment(&mut self) -> Result<()> {
        let Some(end) = self.rest.find("#}") else {
            return self.fail("Missing end of comment tag");
        };
        let before = self.rest[..end].chars().next_back();
        self.take(end);
        self.end_tag(before.filter(|sign| matches!(sign, '-' | '+')), true);
        Ok(())
    }

    fn raw(&mut self) -> Result<()> {
        let found = self.rest.match_indices("{%").find_map(|(at, _)| {
            let inside = &self.rest[at + 2..];
            let sign = inside.chars().next().filter(|sign| matches!(sign, '-' | '+'));
            let word = inside[sign.map_or(0, char::len_utf8)..].trim_start_matches(is_space);
            let rest = word.strip_prefix("endraw")?.trim_start_matches(is_space);
            let end = rest.chars().next().filter(|sign| matches!(sign, '-' | '+'));
            let tail = rest[end.map_or(0, char::len_utf8)..].strip_prefix("%}")?;
            Some((at, sign, end, self.rest.len() - tail.len() - 2))
        });
        let Some((at, sign, end, close)) = found else {
            return self.fail("Missing end of raw directive");
        };
        self.data(at, sign, true);
        self.take(close - at);
        self.end_tag(end, true);
        Ok(())
    }

    /// Takes the two letters that end a tag, and the whitespace behind it: all of it after `-`, a newline after a block.
    fn end_tag(&mut self, sign: Option<char>, is_block: bool) {
        let behind = &self.rest[2..];
        let more = match sign {
            Some('-') => behind.len() - behind.trim_start_matches(is_space).len(),
            Some('+') => 0,
            _ => usize::from(is_block && behind.starts_with('\n')),
        };
        self.take(2 + more);
    }

    fn code(&mut self, end: Token) -> Result<()> {
        let is_block = end == Token::BlockEnd;
        let close = if is_block { "%}" } else { "}}" };
        let mut open: Vec<char> = Vec::new();
        loop {
            let sign = self.rest.chars().next().filter(|sign| *sign == '-' || *sign == '+' && is_block);
            let signed = sign.filter(|sign| self.rest[sign.len_utf8()..].starts_with(close));
            if open.is_empty() && (signed.is_some() || self.rest.starts_with(close)) {
                self.push(end);
                self.take(signed.map_or(0, char::len_utf8));
                self.end_tag(signed, is_block);
                return Ok(());
            }
            let Some(first) = self.rest.chars().next() else {
                return Ok(()); // the parser says what is missing
            };
            if is_space(first) {
                let length = self.rest.len() - self.rest.trim_start_matches(is_space).len();
                self.take(length);
            } else if first.is_ascii_digit() {
                let after_dot = matches!(self.tokens.last(), Some((Token::Op("."), _)));
                let (token, length) = literals::number(self.rest, after_dot).map_err(|why| self.error(why))?;
                self.push(token);
                self.take(length);
            } else if is_alnum(first) || first == '_' {
                let length = self.rest.find(|letter| !is_alnum(letter) && letter != '_').unwrap_or(self.rest.len());
                self.push(Token::Name(self.rest[..length].to_owned()));
                self.take(length);
            } else if let Some(length) = literals::string_length(self.rest) {
                let text = literals::unescape(&self.rest[1..length - 1]).map_err(|why| self.error(why))?;
                self.push(Token::Str(text));
                self.take(length);
            } else if let Some(operator) = OPERATORS.into_iter().find(|operator| self.rest.starts_with(operator)) {
                match first {
                    '(' => open.push(')'),
                    '[' => open.push(']'),
                    '{' => open.push('}'),
                    ')' | ']' | '}' if open.pop() != Some(first) => return self.fail(format!("unexpected '{first}'")),
                    _ => {}
                }
                self.push(Token::Op(operator));
                self.take(operator.len());
            } else {
                return self.fail(format!("unexpected char {first:?}"));
            }
        }
    }

    fn push(&mut self, token: Token) {
        self.tokens.push((token, self.line));
    }

    fn take(&mut self, length: usize) {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        self.line_starts = taken.ends_with('\n') || taken.is_empty() && self.line_starts;
    }

    fn error(&self, message: impl Into<String>) -> Error {
        Error::new(ErrorKind::Syntax, message).at(self.line)
    }

    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(self.error(message))
    }
}

/// The length of a `{% raw %}` at the beginning of `tag`.
fn raw_length(tag: &str) -> Option<usize> {
    let inside = tag.strip_prefix("{%")?;
    let inside = inside.strip_prefix(['-', '+']).unwrap_or(inside).trim_start_matches(is_space);
    let rest = inside.strip_prefix("raw")?.trim_start_matches(is_space);
    let rest = match rest.strip_prefix("-%}") {
        Some(rest) => rest.trim_start_matches(is_space),
        None => rest.strip_prefix("%}")?,
    };
    Some(tag.len() - rest.len())
}
