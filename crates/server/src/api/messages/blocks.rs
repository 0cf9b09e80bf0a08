//! Blocks of a message.

use serde_json::{Value, json};

use super::TEXT_PARTS;
use crate::api::{ApiError, Fields, read_content};

/// One message becomes one or more of those that templates read: results of calls have a role of their own there.
pub fn read_message(message: Value, place: &str, read: &mut Vec<Value>) -> Result<(), ApiError> {
    let mut fields = Fields::of_value(message, place)?;
    let role = fields.text("role")?;
    let role = fields.need("role", role)?;
    if !["user", "assistant", "system"].contains(&role.as_str()) {
        return Err(fields.invalid("role", format!("{role:?} is none: user and assistant are")));
    }
    let content = fields.take("content");
    let blocks = match fields.need("content", content)? {
        Value::String(text) => {
            read.push(json!({ "role": role, "content": text }));
            return Ok(());
        }
        Value::Array(blocks) => blocks,
        _ => return Err(fields.invalid("content", "must be a text or a list of blocks")),
    };
    let (mut texts, mut calls, mut thoughts) = (Vec::new(), Vec::new(), Vec::new());
    for (index, block) in blocks.into_iter().enumerate() {
        let place = format!("{place}.content[{index}]");
        let mut block = Fields::of_value(block, &place)?;
        let kind = block.text("type")?;
        match block.need("type", kind)?.as_str() {
            "text" => {
                let text = block.text("text")?;
                texts.push(block.need("text", text)?);
            }
            "thinking" => thoughts.extend(block.text("thinking")?),
            "redacted_thinking" => {}
            "tool_use" => {
                let (id, name) = (block.text("id")?, block.text("name")?);
                let (id, name) = (block.need("id", id)?, block.need("name", name)?);
                let arguments = block.take("input").unwrap_or_else(|| json!({}));
                let function = json!({ "name": name, "arguments": arguments });
                calls.push(json!({ "id": id, "type": "function", "function": function }));
            }
            "tool_result" => {
                let id = block.text("tool_use_id")?;
                let id = block.need("tool_use_id", id)?;
                let content = block.take("content").unwrap_or_else(|| json!(""));
                let text = read_content(content, &block.name("content"), &TEXT_PARTS)?;
                read.push(json!({ "role": "tool", "tool_call_id": id, "content": text }));
            }
            other => {
                let why = format!("{other:?} is not read: this model reads text alone");
                return Err(ApiError::unsupported(block.name("type"), why));
            }
        }
    }
    let mut message = json!({ "role": role, "content": texts.join("\n") });
    if !thoughts.is_empty() {
        message["reasoning_content"] = thoughts.join("\n").into();
    }
    if calls.is_empty() && texts.is_empty() {
        return Ok(());
    }
    if !calls.is_empty() {
        message["tool_calls"] = calls.into();
    }
    read.push(message);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(message: Value) -> Result<Vec<Value>, ApiError> {
        let mut read = Vec::new();
        read_message(message, "messages[0]", &mut read).map(|()| read)
    }

    #[test]
    fn blocks_become_what_templates_read() {
        let user = json!({"role": "user", "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": [{"type": "text", "text": "7"}]},
            {"type": "text", "text": "And now?", "cache_control": {"type": "ephemeral"}}]});
        assert_eq!(
            read(user).unwrap(),
            [
                json!({"role": "tool", "tool_call_id": "a", "content": "7"}),
                json!({"role": "user", "content": "And now?"}),
            ]
        );
        let assistant = json!({"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": ""},
            {"type": "tool_use", "id": "a", "name": "f", "input": {"x": 1}}]});
        let read_back = read(assistant).unwrap();
        assert_eq!(read_back[0]["tool_calls"][0]["function"], json!({"name": "f", "arguments": {"x": 1}}));
        assert_eq!(read_back[0]["reasoning_content"], "hm");
    }

    #[test]
    fn what_no_template_reads_is_named() {
        for (message, param) in [
            (json!({"role": "tool", "content": "a"}), "messages[0].role"),
            (json!({"role": "user"}), "messages[0].content"),
            (json!({"role": "user", "content": [{"type": "image"}]}), "messages[0].content[0].type"),
            (json!({"role": "user", "content": [{"type": "tool_result"}]}), "messages[0].content[0].tool_use_id"),
        ] {
            assert_eq!(read(message.clone()).unwrap_err().param.as_deref(), Some(param), "{message}");
        }
    }
}
