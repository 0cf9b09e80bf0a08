//! Messages of a chat.

use serde_json::{Value, json};

use crate::api::{ApiError, Fields, call_id, read_arguments, read_content};

/// Types of parts that are text.
const TEXT_PARTS: [&str; 2] = ["text", "refusal"];

/// The messages as chat templates read them.
///
/// # Errors
/// One that no template reads.
pub fn read_messages(messages: Vec<Value>) -> Result<Vec<Value>, ApiError> {
    if messages.is_empty() {
        return Err(ApiError::invalid("messages", "must have one message at least"));
    }
    let read = |(index, message)| read_message(message, &format!("messages[{index}]"));
    messages.into_iter().enumerate().map(read).collect()
}

fn read_message(message: Value, place: &str) -> Result<Value, ApiError> {
    let mut fields = Fields::of_value(message, place)?;
    let role = fields.text("role")?;
    let role = match fields.need("role", role)?.as_str() {
        // The newer name of the same role, which few templates know.
        "developer" | "system" => "system",
        "user" => "user",
        "assistant" => "assistant",
        "tool" => "tool",
        other => return Err(fields.invalid("role", format!("{other:?} is none: system, user, assistant and tool are"))),
    };
    fields.refuse("function_call", &[], "is the older form of tool_calls, which is read here: give that")?;
    let mut read = json!({ "role": role });
    let calls = fields.list("tool_calls")?.unwrap_or_default();
    let content = match fields.take("content") {
        None if role == "assistant" => String::new(),
        content => read_content(fields.need("content", content)?, &fields.name("content"), &TEXT_PARTS)?,
    };
    read["content"] = content.into();
    for name in ["name", "tool_call_id", "reasoning_content", "reasoning"] {
        if let Some(text) = fields.text(name)? {
            read[name] = text.into();
        }
    }
    if !calls.is_empty() {
        let place = fields.name("tool_calls");
        let call = |(index, call)| read_call(call, &format!("{place}[{index}]"));
        read["tool_calls"] = Value::Array(calls.into_iter().enumerate().map(call).collect::<Result<_, _>>()?);
    }
    Ok(read)
}

fn read_call(call: Value, place: &str) -> Result<Value, ApiError> {
    let mut fields = Fields::of_value(call, place)?;
    let id = fields.text("id")?.unwrap_or_else(call_id);
    let function = fields.object("function")?;
    let mut function = fields.need("function", function)?;
    let name = function.text("name")?;
    let name = function.need("name", name)?;
    let arguments = read_arguments(&mut function);
    Ok(json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_become_what_templates_read() {
        let messages = json!([
            {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
            {"role": "user", "content": "hi", "name": "Ann"},
            {"role": "assistant", "content": null, "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
            {"role": "tool", "tool_call_id": "x", "content": "7"},
        ]);
        let read = read_messages(messages.as_array().unwrap().clone()).unwrap();
        assert_eq!(read[0], json!({"role": "system", "content": "a\nb"}));
        assert_eq!(read[1]["name"], "Ann");
        assert_eq!(read[2]["tool_calls"][0]["function"]["arguments"], json!({"a": 1}));
        assert_eq!(read[3]["tool_call_id"], "x");
        let own = json!({"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": "{\"a\": 99999999999999999999}"}}]});
        let arguments = &read_messages(vec![own]).unwrap()[0]["tool_calls"][0]["function"]["arguments"];
        assert_eq!(*arguments, json!({"a": "99999999999999999999"}), "as the model wrote it");
    }

    #[test]
    fn what_no_template_reads_is_named() {
        for (message, param) in [
            (json!({"content": "a"}), "messages[0].role"),
            (json!({"role": "king", "content": "a"}), "messages[0].role"),
            (json!({"role": "user"}), "messages[0].content"),
            (json!({"role": "user", "content": 1}), "messages[0].content"),
            (
                json!({"role": "user", "content": [{"type": "image_url", "image_url": {}}]}),
                "messages[0].content[0].type",
            ),
            (json!({"role": "assistant", "tool_calls": [{"id": "a"}]}), "messages[0].tool_calls[0].function"),
            (json!("hi"), "messages[0]"),
        ] {
            let error = read_messages(vec![message.clone()]).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{message}");
        }
    }
}
