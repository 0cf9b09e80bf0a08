//! What is said, as items.

use serde_json::{Value, json};

use crate::api::{Call, random};

/// An item of the output.
pub struct Item {
    pub id: String,
    pub is_open: bool,
    /// The limit of tokens came before its end.
    pub is_cut: bool,
    pub what: What,
}

pub enum What {
    Reasoning(String),
    Text { text: String, logprobs: Vec<Value> },
    Call(Call),
}

impl Item {
    pub fn text() -> Self {
        let what = What::Text { text: String::new(), logprobs: Vec::new() };
        Self { id: format!("msg_{:016x}", random()), is_open: true, is_cut: false, what }
    }

    pub fn reasoning() -> Self {
        Self { id: format!("rs_{:016x}", random()), is_open: true, is_cut: false, what: What::Reasoning(String::new()) }
    }

    pub fn call(call: Call) -> Self {
        Self { id: format!("fc_{:016x}", random()), is_open: true, is_cut: false, what: What::Call(call) }
    }

    pub fn part(&self) -> Value {
        match &self.what {
            What::Reasoning(text) => json!({ "type": "reasoning_text", "text": text }),
            What::Text { text, logprobs } => {
                json!({ "type": "output_text", "text": text, "annotations": [], "logprobs": logprobs })
            }
            What::Call(_) => Value::Null,
        }
    }

    pub fn value(&self) -> Value {
        let status = match (self.is_open, self.is_cut) {
            (true, _) => "in_progress",
            (false, true) => "incomplete",
            (false, false) => "completed",
        };
        match &self.what {
            What::Reasoning(text) => {
                let content = if self.is_open && text.is_empty() { json!([]) } else { json!([self.part()]) };
                json!({ "type": "reasoning", "id": self.id, "status": status, "summary": [], "content": content })
            }
            What::Text { text, .. } => {
                let content = if self.is_open && text.is_empty() { json!([]) } else { json!([self.part()]) };
                json!({ "type": "message", "id": self.id, "status": status, "role": "assistant", "content": content })
            }
            What::Call(call) => json!({
                "type": "function_call", "id": self.id, "call_id": call.id, "name": call.name,
                "arguments": call.arguments, "status": status,
            }),
        }
    }
}
