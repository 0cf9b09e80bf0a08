//! `tojson` as transformers defines it: Python's `json.dumps` without `ensure_ascii` and without HTML escapes.

use std::io;

use minijinja::{
    Error, ErrorKind, Value,
    value::{Kwargs, Rest, ValueKind},
};
use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// The filter: `value | tojson(ensure_ascii=false, indent=none, separators=none, sort_keys=false)`.
pub(super) fn tojson(value: &Value, positional: Rest<Value>, named: Kwargs) -> Result<String, Error> {
    if value.is_undefined() {
        return Err(invalid("tojson of a value that is not defined"));
    }
    let mut positional = positional.iter().cloned();
    let mut argument = |name| match positional.next() {
        Some(value) => Ok(value),
        None => named.get::<Option<Value>>(name).map(Option::unwrap_or_default),
    };
    let ascii = argument("ensure_ascii")?.is_true();
    let indent = indent(&argument("indent")?)?;
    let separators = argument("separators")?;
    let sort = argument("sort_keys")?.is_true();
    if positional.next().is_some() {
        return Err(Error::from(ErrorKind::TooManyArguments));
    }
    named.assert_all_used()?;

    let (item, key) = if separators.is_undefined() || separators.is_none() {
        let item = if indent.is_some() { "," } else { ", " };
        (item.to_owned(), ": ".to_owned())
    } else {
        let texts = separators.try_iter()?;
        let texts: Option<Vec<String>> = texts.map(|text| text.as_str().map(str::to_owned)).collect();
        match texts.as_deref() {
            Some([item, key]) => (item.clone(), key.clone()),
            _ => return Err(invalid("separators must be two texts")),
        }
    };
    let style = Dumps { ascii, indent, item, key, depth: 0, filled: false };
    let mut out = Vec::new();
    let mut serializer = Serializer::with_formatter(&mut out, style);
    let written = if sort {
        serde_json::to_value(value).and_then(|mut value| {
            value.sort_all_objects();
            value.serialize(&mut serializer)
        })
    } else {
        value.serialize(&mut serializer)
    };
    written.map_err(|error| invalid(&error.to_string()))?;
    String::from_utf8(out).map_err(|error| invalid(&error.to_string()))
}

fn invalid(reason: &str) -> Error {
    Error::new(ErrorKind::InvalidOperation, reason.to_owned())
}

/// One level of indentation: a text, or a number of spaces.
fn indent(value: &Value) -> Result<Option<String>, Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(None);
    }
    if let Some(text) = value.as_str() {
        return Ok(Some(text.to_owned()));
    }
    let spaces = match value.kind() {
        ValueKind::Bool => i64::from(value.is_true()),
        _ => i64::try_from(value.clone())?,
    };
    // More than any reader needs, and a bound on memory.
    Ok(Some(" ".repeat(spaces.clamp(0, 64) as usize)))
}

/// The layout of `json.dumps`.
struct Dumps {
    ascii: bool,
    indent: Option<String>,
    item: String,
    key: String,
    depth: usize,
    /// The innermost list or object is not empty.
    filled: bool,
}

impl Dumps {
    fn line<W: ?Sized + io::Write>(&self, writer: &mut W) -> io::Result<()> {
        match &self.indent {
            Some(indent) => write!(writer, "\n{}", indent.repeat(self.depth)),
            None => Ok(()),
        }
    }

    fn open<W: ?Sized + io::Write>(&mut self, writer: &mut W, sign: &[u8]) -> io::Result<()> {
        self.depth += 1;
        self.filled = false;
        writer.write_all(sign)
    }

    fn close<W: ?Sized + io::Write>(&mut self, writer: &mut W, sign: &[u8]) -> io::Result<()> {
        self.depth -= 1;
        if self.filled {
            self.line(writer)?;
        }
        writer.write_all(sign)
    }

    fn next<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        if !first {
            writer.write_all(self.item.as_bytes())?;
        }
        self.line(writer)
    }
}

impl Formatter for Dumps {
    fn begin_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"[")
    }

    fn end_array<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"]")
    }

    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn end_array_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.open(writer, b"{")
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.close(writer, b"}")
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        self.next(writer, first)
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }

    fn end_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.filled = true;
        Ok(())
    }

    /// As in Python: `1.0`, `1e+16`, `1e-05`.
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let text = format!("{value:?}");
        match text.split_once('e') {
            None => writer.write_all(text.as_bytes()),
            Some((digits, exponent)) => {
                let (sign, exponent) = match exponent.strip_prefix('-') {
                    Some(exponent) => ('-', exponent),
                    None => ('+', exponent),
                };
                write!(writer, "{digits}e{sign}{exponent:0>2}")
            }
        }
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, text: &str) -> io::Result<()> {
        if !self.ascii {
            return writer.write_all(text.as_bytes());
        }
        let mut units = [0; 2];
        for letter in text.chars() {
            match letter {
                ' '..='~' => write!(writer, "{letter}")?,
                _ => {
                    for unit in letter.encode_utf16(&mut units) {
                        write!(writer, "\\u{unit:04x}")?;
                    }
                }
            }
        }
        Ok(())
    }
}
