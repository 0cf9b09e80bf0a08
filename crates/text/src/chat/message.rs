use std::fmt;

use serde::{Deserialize, Serialize};

use super::ChatTemplateError;
use crate::one_line;

/// The author of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions; the first message, if there are any.
    System,
    User,
    Assistant,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::System => "system",
            Self::User => "user",
            Self::Assistant => "assistant",
        })
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    pub role: Role,
    pub content: String,
}

impl Message {
    pub fn new(role: Role, content: impl Into<String>) -> Self {
        Self { role, content: content.into() }
    }
}

/// Parses a saved conversation: user and assistant alternate, the assistant last. `origin` names it in errors.
///
/// # Errors
/// [`ChatTemplateError::Messages`], with the number of the wrong message.
pub fn read_messages(json: &[u8], origin: &str) -> Result<Vec<Message>, ChatTemplateError> {
    let wrong = |reason: String| ChatTemplateError::Messages { origin: origin.to_owned(), reason };
    let messages: Vec<Message> = serde_json::from_slice(json).map_err(|error| wrong(one_line(&error)))?;
    let first = messages.first().map(|message| message.role);
    let turns = &messages[usize::from(first == Some(Role::System))..];
    for (index, message) in turns.iter().enumerate() {
        let expected = [Role::User, Role::Assistant][index % 2];
        if message.role != expected {
            let number = messages.len() - turns.len() + index + 1;
            return Err(wrong(format!(
                "message {number} is the {}'s where one of the {expected} must be",
                message.role
            )));
        }
    }
    if turns.len() % 2 == 1 {
        return Err(wrong("the last message has no answer".to_owned()));
    }
    Ok(messages)
}
