//! The functions of a request, in three dialects that say the same.

use serde_json::{Value, json};

use crate::api::{ApiError, Fields};

/// Most functions of a request, as OpenAI has it.
const MOST: usize = 128;

/// A function that the model may call.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    pub name: String,
    pub description: Option<String>,
    /// A JSON schema of an object.
    pub parameters: Value,
    /// Arguments must satisfy the schema: kept where a call is forced.
    pub strict: bool,
}

/// Which calls must come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ToolChoice {
    None,
    Auto,
    Required,
    Named(String),
}

/// Where a definition has its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `{"type": "function", "function": {"name", "description", "parameters"}}`
    Chat,
    /// `{"type": "function", "name", "description", "parameters"}`
    Responses,
    /// `{"name", "description", "input_schema"}`
    Messages,
}

impl Tool {
    /// As `transformers` gives it to chat templates.
    pub fn for_template(&self) -> Value {
        let mut function = json!({ "name": self.name });
        if let Some(description) = &self.description {
            function["description"] = json!(description);
        }
        function["parameters"] = self.parameters.clone();
        json!({ "type": "function", "function": function })
    }
}

/// Takes `tools` and `tool_choice` of a request.
///
/// # Errors
/// A tool that is no function, a name that is none or twice there, a choice among none.
pub fn read_tools(fields: &mut Fields, dialect: Dialect) -> Result<(Vec<Tool>, ToolChoice), ApiError> {
    let list = fields.list("tools")?.unwrap_or_default();
    if list.len() > MOST {
        return Err(fields.invalid("tools", format!("has {} functions, and {MOST} are the most", list.len())));
    }
    let mut tools: Vec<Tool> = Vec::new();
    for (index, value) in list.into_iter().enumerate() {
        let tool = read_tool(value, &format!("tools[{index}]"), dialect)?;
        if tools.iter().any(|other| other.name == tool.name) {
            return Err(fields.invalid(&format!("tools[{index}]"), format!("{:?} is there twice", tool.name)));
        }
        tools.push(tool);
    }
    let choice = fields.take("tool_choice");
    let choice = match choice {
        None => ToolChoice::Auto,
        Some(value) => read_choice(&value, dialect)
            .ok_or_else(|| fields.invalid("tool_choice", format!("{value} is no choice of a function")))?,
    };
    match &choice {
        ToolChoice::Required if tools.is_empty() => Err(fields.invalid("tool_choice", "there are no tools")),
        ToolChoice::Named(name) if !tools.iter().any(|tool| tool.name == *name) => {
            Err(fields.invalid("tool_choice", format!("there is no tool {name:?}")))
        }
        _ => Ok((tools, choice)),
    }
}

fn read_tool(value: Value, place: &str, dialect: Dialect) -> Result<Tool, ApiError> {
    let mut fields = Fields::of_value(value, place)?;
    let kind = fields.text("type")?;
    let own = if dialect == Dialect::Messages { "custom" } else { "function" };
    if kind.as_deref().is_some_and(|kind| kind != own) || (kind.is_none() && dialect != Dialect::Messages) {
        let why = format!("functions alone are called (type {own:?}): this server runs no tools of its own");
        return Err(ApiError::unsupported(fields.name("type"), why));
    }
    if dialect == Dialect::Chat {
        let function = fields.object("function")?;
        fields = fields.need("function", function)?;
    }
    let name = fields.text("name")?;
    let name = fields.need("name", name)?;
    let letter = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.');
    if name.is_empty() || name.len() > 128 || !name.chars().all(letter) {
        return Err(fields.invalid("name", "must be 1 to 128 letters, digits, underscores, hyphens and dots"));
    }
    let schema = if dialect == Dialect::Messages { "input_schema" } else { "parameters" };
    let parameters = fields.take(schema).unwrap_or_else(|| json!({ "type": "object", "properties": {} }));
    if !parameters.is_object() {
        return Err(fields.invalid(schema, "must be a JSON schema, an object"));
    }
    Ok(Tool {
        name,
        description: fields.text("description")?,
        parameters,
        strict: fields.flag("strict")? == Some(true),
    })
}

fn read_choice(value: &Value, dialect: Dialect) -> Option<ToolChoice> {
    let kind = value.as_str().or_else(|| value.get("type")?.as_str())?;
    let name = || {
        let holder = if dialect == Dialect::Chat { value.get("function")? } else { value };
        Some(ToolChoice::Named(holder.get("name")?.as_str()?.to_owned()))
    };
    match (kind, dialect) {
        ("none", _) => Some(ToolChoice::None),
        ("auto", _) => Some(ToolChoice::Auto),
        ("required", Dialect::Chat | Dialect::Responses) | ("any", Dialect::Messages) => Some(ToolChoice::Required),
        ("function", Dialect::Chat | Dialect::Responses) | ("tool", Dialect::Messages) => name(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value, dialect: Dialect) -> Result<(Vec<Tool>, ToolChoice), ApiError> {
        read_tools(&mut Fields::of_body(value.to_string().as_bytes()).unwrap(), dialect)
    }

    #[test]
    fn three_dialects_say_the_same() {
        let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}});
        let chat = json!({"tools": [{"type": "function", "function":
            {"name": "weather", "description": "d", "parameters": schema, "strict": true}}],
            "tool_choice": {"type": "function", "function": {"name": "weather"}}});
        let responses = json!({"tools": [{"type": "function", "name": "weather", "description": "d",
            "parameters": schema, "strict": true}], "tool_choice": {"type": "function", "name": "weather"}});
        let messages = json!({"tools": [{"name": "weather", "description": "d", "input_schema": schema, "strict": true}],
            "tool_choice": {"type": "tool", "name": "weather"}});
        let all = [(chat, Dialect::Chat), (responses, Dialect::Responses), (messages, Dialect::Messages)];
        let read: Vec<_> = all.into_iter().map(|(value, dialect)| read(value, dialect).unwrap()).collect();
        assert_eq!(read[0], read[1]);
        assert_eq!(read[0], read[2]);
        assert_eq!(read[0].1, ToolChoice::Named("weather".into()));
        let shown = read[0].0[0].for_template();
        assert_eq!(shown["function"]["parameters"], schema);
    }

    #[test]
    fn what_cannot_be_called_is_named() {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name}});
        for (value, place) in [
            (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
            (json!({"tools": [tool("a b")]}), "tools[0].function.name"),
            (json!({"tools": [tool("a"), tool("a")]}), "tools[1]"),
            (json!({"tools": vec![tool("a"); 129]}), "tools"),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"tools": [tool("a")], "tool_choice": "sometimes"}), "tool_choice"),
            (
                json!({"tools": [tool("a")], "tool_choice": {"type": "function", "function": {"name": "b"}}}),
                "tool_choice",
            ),
        ] {
            let error = read(value.clone(), Dialect::Chat).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(place)), "{value}");
        }
        let (_, choice) =
            read(json!({"tools": [{"name": "a"}], "tool_choice": {"type": "any"}}), Dialect::Messages).unwrap();
        assert_eq!(choice, ToolChoice::Required);
    }
}
