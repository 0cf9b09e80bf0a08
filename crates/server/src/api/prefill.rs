//! A last message of the assistant: the model goes on with it, as llama-server and Anthropic have it, and begins no new turn.

use serde_json::Value;

use super::ApiError;

/// Stands where the model goes on, until the template has rendered the messages. No text has it by chance.
const HERE: &str = "glass_go_on_here";

/// Marks the end of a last message of the assistant. False: there is none, and a new turn begins. A turn with calls is over.
pub fn open_last(messages: &mut [Value]) -> bool {
    let last = messages.last_mut().filter(|last| last["role"] == "assistant" && last.get("tool_calls").is_none());
    let Some(Value::String(content)) = last.and_then(|last| last.get_mut("content")) else {
        return false;
    };
    content.push_str(HERE);
    true
}

/// Cuts what the template has put behind that message, so that its turn stays open.
///
/// # Errors
/// The template does not show it.
pub fn cut_last(text: &mut String, param: &str) -> Result<(), ApiError> {
    let Some(end) = text.rfind(HERE) else {
        let why =
            "the last message is the assistant's, and the model's chat template does not show it: end with the user's";
        return Err(ApiError::invalid(param, why));
    };
    text.truncate(end);
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_last_turn_of_the_assistant_stays_open() {
        let mut messages = [json!({"role": "user", "content": "Hi"}), json!({"role": "assistant", "content": "I'm e"})];
        assert!(!open_last(&mut messages[..1]) && open_last(&mut messages));
        let mut text = format!("assistant:{}<end>\n", messages[1]["content"].as_str().unwrap());
        cut_last(&mut text, "messages").unwrap();
        assert_eq!(text, "assistant:I'm e");
        assert_eq!(cut_last(&mut text, "messages").unwrap_err().param.as_deref(), Some("messages"));
        assert!(!open_last(&mut [json!({"role": "assistant", "content": "", "tool_calls": []})]));
    }
}
