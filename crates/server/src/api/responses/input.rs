//! What was said, as items.

use serde_json::{Value, json};

use crate::api::{ApiError, Fields, read_arguments, read_content};

const TEXT_PARTS: [&str; 4] = ["input_text", "output_text", "text", "refusal"];

/// A text, or items: messages, calls and their results.
pub fn read_input(input: Value, messages: &mut Vec<Value>) -> Result<(), ApiError> {
    let items = match input {
        Value::String(text) => {
            messages.push(json!({ "role": "user", "content": text }));
            return Ok(());
        }
        Value::Array(items) if !items.is_empty() => items,
        _ => return Err(ApiError::invalid("input", "must be a text or a list of items")),
    };
    let mut thoughts = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        let mut item = Fields::of_value(item, &format!("input[{index}]"))?;
        let kind = item.text("type")?;
        match kind.as_deref().unwrap_or("message") {
            "message" => {
                let role = item.text("role")?;
                let role = match item.need("role", role)?.as_str() {
                    "developer" | "system" => "system",
                    "user" => "user",
                    "assistant" => "assistant",
                    other => return Err(item.invalid("role", format!("{other:?} is no role"))),
                };
                let content = item.take("content");
                let content = read_content(item.need("content", content)?, &item.name("content"), &TEXT_PARTS)?;
                messages.push(json!({ "role": role, "content": content }));
                give_thoughts(&mut thoughts, messages);
            }
            "function_call" => {
                let (id, name) = (item.text("call_id")?, item.text("name")?);
                let (id, name) = (item.need("call_id", id)?, item.need("name", name)?);
                let arguments = read_arguments(&mut item);
                let call =
                    json!({ "id": id, "type": "function", "function": { "name": name, "arguments": arguments } });
                // Calls of one turn belong to one message.
                match messages.last_mut().filter(|last| last["role"] == "assistant") {
                    Some(last) => match last.get_mut("tool_calls").and_then(Value::as_array_mut) {
                        Some(calls) => calls.push(call),
                        None => last["tool_calls"] = json!([call]),
                    },
                    None => messages.push(json!({ "role": "assistant", "content": "", "tool_calls": [call] })),
                }
                give_thoughts(&mut thoughts, messages);
            }
            "function_call_output" => {
                let id = item.text("call_id")?;
                let id = item.need("call_id", id)?;
                let output = item.take("output");
                let output = read_content(item.need("output", output)?, &item.name("output"), &TEXT_PARTS)?;
                messages.push(json!({ "role": "tool", "tool_call_id": id, "content": output }));
            }
            // What the model thought before what it said next.
            "reasoning" => {
                let content = item.take("content").unwrap_or_else(|| json!([]));
                thoughts.push(read_content(content, &item.name("content"), &["reasoning_text"])?);
            }
            other => return Err(ApiError::unsupported(item.name("type"), format!("{other:?} is not read here"))),
        }
    }
    Ok(())
}

/// Thoughts belong to the assistant's message behind them, under the name that templates read.
fn give_thoughts(thoughts: &mut Vec<String>, messages: &mut [Value]) {
    let thoughts = std::mem::take(thoughts).join("\n");
    if let Some(last) = messages.last_mut().filter(|last| last["role"] == "assistant" && !thoughts.is_empty()) {
        last["reasoning_content"] = thoughts.into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_become_what_templates_read() {
        let mut messages = Vec::new();
        let input = json!([
            {"role": "user", "content": [{"type": "input_text", "text": "weather?"}]},
            {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]},
            {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{\"x\": 1}"},
            {"type": "function_call", "call_id": "b", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "a", "output": "7"},
        ]);
        read_input(input, &mut messages).unwrap();
        assert_eq!(messages.len(), 3);
        assert_eq!(messages[1]["tool_calls"].as_array().unwrap().len(), 2);
        assert_eq!(messages[1]["reasoning_content"], "hm");
        assert_eq!(messages[1]["tool_calls"][0]["function"]["arguments"], json!({"x": 1}));
        assert_eq!(messages[2], json!({"role": "tool", "tool_call_id": "a", "content": "7"}));
        for (input, param) in [
            (json!([]), "input"),
            (json!([{"type": "item_reference", "id": "a"}]), "input[0].type"),
            (json!([{"role": "user", "content": [{"type": "input_image"}]}]), "input[0].content[0].type"),
        ] {
            assert_eq!(read_input(input.clone(), &mut vec![]).unwrap_err().param.as_deref(), Some(param), "{input}");
        }
    }
}
