//! `bytes`, as far as `str.encode` brings them into templates.

use std::fmt::Write;

use super::text_of;
use crate::{
    error::{Result, refused, value_error},
    render::Args,
    values::{Value, repr_str},
};

enum Encoding {
    Utf8,
    /// The characters below this one are bytes.
    Below(u32),
}

fn encoding(name: Option<Value>) -> Result<Encoding> {
    let Some(name) = name else {
        return Ok(Encoding::Utf8);
    };
    let name = text_of(&name, "encode")?;
    match name.to_ascii_lowercase().replace(['-', '_', ' '], "").as_str() {
        "utf8" | "u8" => Ok(Encoding::Utf8),
        "ascii" | "usascii" => Ok(Encoding::Below(0x80)),
        "latin1" | "iso88591" | "l1" => Ok(Encoding::Below(0x100)),
        _ => refused(format!("the encoding {} is not supported", repr_str(name))),
    }
}

pub(super) fn encode(text: &str, name: Option<Value>, errors: Option<Value>) -> Result<Value> {
    let errors = errors.as_ref().map_or(Ok("strict"), |errors| text_of(errors, "encode"))?;
    let Encoding::Below(end) = encoding(name)? else {
        return Ok(Value::Bytes(text.as_bytes().into()));
    };
    let mut bytes = Vec::new();
    for letter in text.chars() {
        match (u8::try_from(letter as u32), errors) {
            (Ok(byte), _) if u32::from(byte) < end => bytes.push(byte),
            (_, "ignore") => {}
            (_, "replace") => bytes.push(b'?'),
            (_, "backslashreplace") => bytes.extend(crate::values::escaped(letter).bytes()),
            (_, "xmlcharrefreplace") => bytes.extend(format!("&#{};", letter as u32).bytes()),
            _ => return value_error(format!("can't encode character {}", repr_str(&letter.to_string()))),
        }
    }
    Ok(Value::Bytes(bytes.into()))
}

pub(super) fn call(bytes: &[u8], name: &str, args: Args) -> Result<Value> {
    if name == "hex" {
        args.positional::<0>(name, 0)?;
        let mut text = String::new();
        for byte in bytes {
            _ = write!(text, "{byte:02x}");
        }
        return Ok(Value::str(text));
    }
    let [from, errors] = args.bind(name, ["encoding", "errors"], 0)?;
    let errors = errors.as_ref().map_or(Ok("strict"), |errors| text_of(errors, "decode"))?;
    match encoding(from)? {
        Encoding::Below(end) if bytes.iter().all(|&byte| u32::from(byte) < end) => {
            Ok(Value::str(bytes.iter().copied().map(char::from).collect::<String>()))
        }
        Encoding::Below(_) => value_error("ordinal not in range(128)"),
        Encoding::Utf8 => match (std::str::from_utf8(bytes), errors) {
            (Ok(text), _) => Ok(Value::str(text)),
            (_, "replace") => Ok(Value::str(String::from_utf8_lossy(bytes))),
            (_, "ignore") => Ok(Value::str(String::from_utf8_lossy(bytes).replace('\u{fffd}', ""))),
            _ => value_error("'utf-8' codec can't decode bytes"),
        },
    }
}
