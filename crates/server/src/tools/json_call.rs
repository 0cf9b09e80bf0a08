//! A call that is written as a JSON object, read as it grows.

use super::Part;

/// What the arguments are called, whatever the template says: models mix the two up.
const ARGUMENTS: [&str; 2] = ["arguments", "parameters"];

/// Reads `{"name": ..., "arguments": {...}}`, character by character, and hands on the arguments as they come.
#[derive(Clone, Debug)]
pub struct JsonCall {
    /// The names of the two fields.
    name_key: String,
    arguments_key: String,
    /// All of it so far, for who finds that it is no call.
    raw: String,
    depth: usize,
    in_string: bool,
    escaped: bool,
    /// Of the fields of the object itself: the one that is being read, and its value so far.
    key: Option<String>,
    value: String,
    name: Option<String>,
    /// Arguments that came before the name.
    early: Option<String>,
    /// How much of the value was handed on.
    sent: usize,
    /// The arguments are known: what looks like others is none.
    has_all: bool,
    complete: bool,
}

impl JsonCall {
    pub fn new(name_key: &str, arguments_key: &str) -> Self {
        Self {
            name_key: name_key.to_owned(),
            arguments_key: arguments_key.to_owned(),
            raw: String::new(),
            depth: 0,
            in_string: false,
            escaped: false,
            key: None,
            value: String::new(),
            name: None,
            early: None,
            sent: 0,
            has_all: false,
            complete: false,
        }
    }

    /// Whether the object is closed.
    pub fn is_complete(&self) -> bool {
        self.complete
    }

    /// Whether the arguments are closed, of a call that is nothing else.
    pub fn has_arguments(&self) -> bool {
        self.depth == 1 && !self.in_string && self.sent > 0
    }

    /// Whether the call's name is known, so that something was handed on.
    pub fn is_named(&self) -> bool {
        self.name.is_some()
    }

    /// What was read, as it was.
    pub fn into_raw(self) -> String {
        self.raw
    }

    /// Reads one character. An object that is complete takes no more.
    pub fn push(&mut self, letter: char, parts: &mut Vec<Part>) {
        self.raw.push(letter);
        if self.in_string {
            self.value.push(letter);
            match letter {
                _ if self.escaped => self.escaped = false,
                '\\' => self.escaped = true,
                '"' => self.in_string = false,
                _ => {}
            }
        } else {
            match letter {
                '"' => {
                    self.in_string = true;
                    self.value.push(letter);
                }
                '{' | '[' => {
                    self.depth += 1;
                    match self.depth {
                        1 => self.value.clear(),
                        _ => self.value.push(letter),
                    }
                }
                '}' | ']' if self.depth <= 1 => {
                    self.end_value(parts);
                    self.complete = true;
                    if self.is_named() && !self.has_all {
                        parts.push(Part::Arguments("{}".to_owned()));
                    }
                    return;
                }
                '}' | ']' => {
                    self.depth -= 1;
                    self.value.push(letter);
                }
                ':' if self.depth == 1 && self.key.is_none() => {
                    self.key = serde_json::from_str(self.value.trim()).ok();
                    self.value.clear();
                    self.sent = 0;
                }
                ',' if self.depth == 1 => self.end_value(parts),
                _ => self.value.push(letter),
            }
        }
        // Whole values of one level wait for their end; the arguments do not.
        if self.name.is_some() && self.is_object_of_arguments() {
            self.send(self.value.len(), parts);
        }
    }

    /// The arguments are an object; some models write it into a string, which is taken out of it at the end.
    fn is_object_of_arguments(&self) -> bool {
        self.key.as_ref().is_some_and(|key| self.is_arguments(key)) && self.value.trim_start().starts_with('{')
    }

    fn is_arguments(&self, key: &str) -> bool {
        !self.has_all && (key == self.arguments_key || ARGUMENTS.contains(&key))
    }

    fn send(&mut self, end: usize, parts: &mut Vec<Part>) {
        let start = if self.sent == 0 { self.value.len() - self.value.trim_start().len() } else { self.sent };
        if start < end {
            parts.push(Part::Arguments(self.value[start..end].to_owned()));
            self.sent = end;
        }
    }

    fn end_value(&mut self, parts: &mut Vec<Part>) {
        let value = self.value.trim();
        match self.key.take() {
            Some(key) if key == self.name_key => {
                if let Ok(name) = serde_json::from_str::<String>(value) {
                    self.name = Some(name.clone());
                    parts.push(Part::Call { name });
                    parts.extend(self.early.take().map(Part::Arguments));
                }
            }
            Some(key) if self.is_arguments(&key) => {
                let text = serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned());
                // What is nothing is no arguments.
                let text = if matches!(text.trim(), "" | "null") { "{}".to_owned() } else { text };
                match self.name {
                    _ if self.sent > 0 => {}
                    Some(_) => parts.push(Part::Arguments(text)),
                    None => self.early = Some(text),
                }
                self.has_all = true;
            }
            _ => {}
        }
        self.value.clear();
        self.sent = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> (Vec<Part>, JsonCall) {
        let mut call = JsonCall::new("name", "arguments");
        let mut parts = Vec::new();
        for letter in text.chars() {
            call.push(letter, &mut parts);
        }
        (parts, call)
    }

    /// Name and arguments; and in how many pieces those came.
    fn joined(parts: &[Part]) -> (String, String, usize) {
        let (mut name, mut arguments, mut pieces) = (String::new(), String::new(), 0);
        for part in parts {
            match part {
                Part::Call { name: called } => name.push_str(called),
                Part::Arguments(piece) => {
                    arguments.push_str(piece);
                    pieces += 1;
                }
                Part::Text(text) | Part::Reasoning(text) => panic!("{text}"),
            }
        }
        (name, arguments, pieces)
    }

    #[test]
    fn arguments_come_as_they_grow() {
        let text = r#"{"name": "weather", "arguments": {"place": "a \"b\" {c}", "days": [1, {"x": 2}]}}"#;
        let (parts, call) = read(text);
        assert!(call.is_complete() && call.is_named());
        let (name, arguments, pieces) = joined(&parts);
        assert_eq!(name, "weather");
        assert_eq!(arguments, r#"{"place": "a \"b\" {c}", "days": [1, {"x": 2}]}"#);
        assert!(pieces > 20, "{pieces}");
        let (half, call) = read(&text[..45]);
        assert!(!call.is_complete() && !joined(&half).1.is_empty());
    }

    #[test]
    fn any_order_and_strings_and_other_fields() {
        for (text, arguments) in [
            (r#"{"arguments": {"a": 1}, "name": "f"}"#, r#"{"a": 1}"#),
            (r#"{"name": "f", "id": "123456789", "arguments": {}}"#, "{}"),
            (r#"{"id": {"name": "g"}, "name": "f", "arguments": "{\"a\": 1}"}"#, r#"{"a": 1}"#),
            (r#"{"name":"f"}"#, "{}"),
            (r#"{"name": "f", "arguments": null}"#, "{}"),
            (r#"{"name": "f", "parameters": {"a": 1}}"#, r#"{"a": 1}"#),
            (r#"{"parameters": {"a": 1}, "name": "f", "arguments": {"b": 1}}"#, r#"{"a": 1}"#),
            (r#"{"name": "f", "arguments": {"b": 1}, "parameters": {"a": 1}}"#, r#"{"b": 1}"#),
        ] {
            let (parts, call) = read(text);
            assert!(call.is_complete(), "{text}");
            let (name, found, _) = joined(&parts);
            assert_eq!((name.as_str(), found.as_str()), ("f", arguments), "{text}");
        }
        let (parts, call) = read(r#"{"city": "Rome"}"#);
        assert!(parts.is_empty() && call.is_complete() && !call.is_named());
        assert_eq!(call.into_raw(), r#"{"city": "Rome"}"#);
    }
}
