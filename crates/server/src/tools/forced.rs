//! A call that must come: the prompt goes on with the family's opening mark, and a JSON schema holds what follows.

use serde_json::{Map, Value, json};

use super::{Body, Reader, Syntax, Tool, ToolChoice};

/// How a call is forced.
#[derive(Clone, Debug, PartialEq)]
pub struct Forced {
    /// What the prompt ends with.
    pub prefix: String,
    /// What the answer must satisfy.
    pub schema: Value,
    /// The function, where the answer is its arguments alone.
    pub name: Option<String>,
    keys: (String, String),
}

impl Forced {
    /// `None` where the model may choose not to call.
    pub fn new(choice: &ToolChoice, tools: &[Tool], syntax: &Syntax) -> Option<Self> {
        let tools: Vec<&Tool> = match choice {
            ToolChoice::None | ToolChoice::Auto => return None,
            ToolChoice::Required => tools.iter().collect(),
            ToolChoice::Named(name) => tools.iter().filter(|tool| tool.name == *name).collect(),
        };
        if let (Body::Named { between }, [tool]) = (&syntax.body, &tools[..]) {
            return Some(Self {
                prefix: format!("{}{}{between}", syntax.open, tool.name),
                schema: tool.parameters.clone(),
                name: Some(tool.name.clone()),
                keys: Default::default(),
            });
        }
        let (prefix, keys) = match &syntax.body {
            Body::Json { name, arguments, list } => {
                let bracket = if *list { "[" } else { "" };
                (format!("{}{bracket}", syntax.open), (name.clone(), arguments.clone()))
            }
            // A choice among several functions, of families that do not write them in JSON.
            _ => (String::new(), ("name".to_owned(), "arguments".to_owned())),
        };
        let schema = call_schema(tools.iter().map(|tool| (&*tool.name, tool.parameters.clone())), (&keys.0, &keys.1));
        Some(Self { prefix, schema, name: None, keys })
    }

    /// What reads the answer.
    pub fn reader(&self, syntax: &Syntax) -> Reader {
        match &self.name {
            Some(name) => Reader::of_arguments(syntax.clone(), name),
            None => Reader::of_call(syntax.clone(), &self.keys.0, &self.keys.1),
        }
    }
}

/// The schema of a call, an object with these two keys, of any of these functions, each with its parameters.
pub fn call_schema<'a>(tools: impl Iterator<Item = (&'a str, Value)>, keys: (&str, &str)) -> Value {
    let (mut definitions, mut calls) = (Map::new(), Vec::new());
    for (index, (name, mut parameters)) in tools.enumerate() {
        let place = format!("tool{index}");
        move_references(&mut parameters, &format!("#/$defs/{place}"));
        definitions.insert(place.clone(), parameters);
        calls.push(json!({
            "type": "object",
            "properties": { (keys.0): { "const": name }, (keys.1): { "$ref": format!("#/$defs/{place}") } },
            "required": [keys.0, keys.1],
            "additionalProperties": false,
        }));
    }
    match calls.len() {
        1 => {
            let mut schema = calls.remove(0);
            schema["$defs"] = definitions.into();
            schema
        }
        _ => json!({ "anyOf": calls, "$defs": definitions }),
    }
}

/// References of a schema that becomes a part of another.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (key, value) in fields.iter_mut() {
                match value {
                    Value::String(reference) if key == "$ref" => {
                        if let Some(rest) = reference.strip_prefix('#') {
                            *reference = format!("{place}{rest}");
                        }
                    }
                    _ => move_references(value, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use glass_generate::JsonSchema;

    use super::*;

    fn tool(name: &str) -> Tool {
        let parameters = json!({"type": "object", "properties": {"at": {"$ref": "#/$defs/point"}}, "required": ["at"],
            "additionalProperties": false, "$defs": {"point": {"type": "object", "properties": {"x": {"type": "integer"}},
            "required": ["x"], "additionalProperties": false}}});
        Tool { name: name.into(), description: None, parameters, strict: false }
    }

    #[test]
    fn every_choice_is_a_schema_that_is_honoured() {
        let json = |list| Syntax {
            open: "[CALLS]".into(),
            close: String::new(),
            body: Body::Json { name: "name".into(), arguments: "parameters".into(), list },
        };
        let named = Syntax { body: Body::Named { between: "[ARGS]".into() }, ..json(false) };
        let tools = [tool("f"), tool("g")];
        assert_eq!(Forced::new(&ToolChoice::Auto, &tools, &json(false)), None);
        for (choice, syntax, prefix, name) in [
            (ToolChoice::Required, json(false), "[CALLS]", None),
            (ToolChoice::Named("g".into()), json(true), "[CALLS][", None),
            (ToolChoice::Named("g".into()), named.clone(), "[CALLS]g[ARGS]", Some("g")),
            (ToolChoice::Required, named, "", None),
        ] {
            let forced = Forced::new(&choice, &tools, &syntax).unwrap();
            assert_eq!((forced.prefix.as_str(), forced.name.as_deref()), (prefix, name), "{choice:?}");
            JsonSchema::parse(&forced.schema.to_string()).unwrap();
        }
    }
}
