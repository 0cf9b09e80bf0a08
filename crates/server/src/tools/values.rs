//! Values of calls that are written without quotes: which of them are texts, the function's schema says.

use std::cell::Cell;

use serde_json::Value;

use super::Tool;

/// Schemas that are looked at: those that refer to each other end somewhere.
const MOST: usize = 1000;

/// A value as the function's schema has it, as JSON: a number has the digits that the model wrote. Nothing is said of a key that
/// the schema does not have.
pub fn typed(text: &str, tool: Option<&Tool>, key: &str) -> String {
    let own = Value::from(text);
    let read = [Some(text.trim().to_owned()), python(text)].into_iter().flatten();
    let mut read = read.filter_map(|json| Some((serde_json::from_str::<Value>(&json).ok()?, json)));
    let root = tool.map(|tool| &tool.parameters);
    let schema = root.and_then(|root| root.get("properties")?.get(key));
    let may_be = |value: &Value| match (schema, root) {
        (Some(schema), Some(root)) => allows(schema, root, value, &Cell::new(MOST)),
        _ => true,
    };
    match read.next() {
        Some((value, json)) if !value.is_string() && may_be(&value) => json,
        _ if may_be(&own) => own.to_string(),
        read => read.map_or(own.to_string(), |(_, json)| json),
    }
}

/// Whether a schema has values of this kind; what bounds them is not looked at.
fn allows(schema: &Value, root: &Value, value: &Value, left: &Cell<usize>) -> bool {
    left.set(left.get().saturating_sub(1));
    let Some(fields) = schema.as_object().filter(|_| left.get() > 0) else {
        return true;
    };
    let inner = |schema: &Value| allows(schema, root, value, left);
    fields.iter().all(|(keyword, said)| match (keyword.as_str(), said) {
        ("type", Value::String(kind)) => is_kind(value, kind),
        ("type", Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).any(|kind| is_kind(value, kind)),
        ("enum", Value::Array(values)) => values.contains(value),
        ("const", only) => only == value,
        ("anyOf" | "oneOf", Value::Array(schemas)) => schemas.iter().any(inner),
        ("allOf", Value::Array(schemas)) => schemas.iter().all(inner),
        ("$ref", Value::String(place)) => {
            place.strip_prefix('#').and_then(|place| root.pointer(place)).is_none_or(inner)
        }
        _ => true,
    })
}

fn is_kind(value: &Value, kind: &str) -> bool {
    match kind {
        "string" => value.is_string(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    }
}

/// A literal of Python, which templates write where they print a value that is no text, in the signs of JSON.
fn python(text: &str) -> Option<String> {
    let (mut json, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        if matches!(first, '\'' | '"') {
            let (inner, behind) = quoted(&rest[1..], first)?;
            json.push_str(&Value::from(inner).to_string());
            rest = behind;
            continue;
        }
        let end = rest.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(rest.len()).max(first.len_utf8());
        json.push_str(match &rest[..end] {
            "True" => "true",
            "False" => "false",
            "None" => "null",
            other => other,
        });
        rest = &rest[end..];
    }
    Some(json)
}

/// A text up to its closing quote, and what is behind that.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut inner = String::new();
    let mut letters = text.chars();
    loop {
        let letter = match letters.next()? {
            letter if letter == quote => return Some((inner, letters.as_str())),
            '\\' => match letters.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'x' => code(&mut letters, 2)?,
                'u' => code(&mut letters, 4)?,
                'U' => code(&mut letters, 8)?,
                other => other,
            },
            letter => letter,
        };
        inner.push(letter);
    }
}

fn code(letters: &mut std::str::Chars<'_>, digits: usize) -> Option<char> {
    let text = letters.as_str();
    let (hex, behind) = text.split_at_checked(digits)?;
    *letters = behind.chars();
    char::from_u32(u32::from_str_radix(hex, 16).ok()?)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn values_are_what_the_schema_allows() {
        let parameters = json!({
            "properties": {
                "text": {"type": "string"},
                "zip": {"anyOf": [{"type": "string"}, {"type": "null"}]},
                "list": {"type": ["string", "null"]},
                "kind": {"enum": ["1", "2"]},
                "ref": {"$ref": "#/$defs/code"},
                "loop": {"$ref": "#/properties/loop"},
                "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
                "flag": {"type": "boolean"},
                "count": {"type": "integer"},
                "opts": {"type": "object"},
                "items": {"type": "array"},
            },
            "$defs": {"code": {"type": "string"}},
        });
        let tool = Tool { name: "f".into(), description: None, parameters, strict: false };
        for (key, text, value) in [
            ("text", "12", json!("12")),
            ("text", "\"quoted\"", json!("\"quoted\"")),
            ("zip", "12345", json!("12345")),
            ("zip", "null", json!(null)),
            ("zip", "None", json!(null)),
            ("list", "1e3", json!("1e3")),
            ("kind", "1", json!("1")),
            ("kind", "\"1\"", json!("1")),
            ("ref", "true", json!("true")),
            ("loop", "true", json!(true)),
            ("either", "12", json!(12)),
            ("either", "1.5", json!("1.5")),
            ("flag", "True", json!(true)),
            ("flag", "perhaps", json!("perhaps")),
            ("count", "7", json!(7)),
            ("count", "1.5", json!(1.5)),
            ("opts", "{'a': {'b': [1, 2, {'c': None}]}}", json!({"a": {"b": [1, 2, {"c": null}]}})),
            ("opts", "{\"a\": \"None\"}", json!({"a": "None"})),
            ("items", r#"['it\'s', "it's", 'é\x41\n', -1.5, False]"#, json!(["it's", "it's", "éA\n", -1.5, false])),
            ("unknown", "12", json!(12)),
            ("unknown", "Rome", json!("Rome")),
        ] {
            let json = typed(text, Some(&tool), key);
            assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value, "{key}: {text}");
        }
        for (key, text, json) in [
            ("count", " 123456789012345678901 ", "123456789012345678901"),
            ("opts", "{'a': -123456789012345678901}", "{\"a\": -123456789012345678901}"),
            ("unknown", "-0", "-0"),
        ] {
            assert_eq!(typed(text, Some(&tool), key), json, "no digit is lost");
        }
    }
}
