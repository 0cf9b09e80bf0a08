//! What is wrong with a request, in the words of the two protocols.

use serde_json::{Value, json};

/// Why a request is not answered: a status, and one line for people. No line holds a path of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiError {
    pub status: u16,
    /// OpenAI's word for the kind of error.
    pub kind: &'static str,
    pub message: String,
    /// The parameter that is wrong, as `messages[0].content`.
    pub param: Option<String>,
    pub code: Option<&'static str>,
    /// Seconds after which the same request may succeed.
    pub retry_after: Option<u32>,
}

const INVALID: &str = "invalid_request_error";

impl ApiError {
    fn new(status: u16, kind: &'static str, message: impl Into<String>) -> Self {
        Self { status, kind, message: message.into(), param: None, code: None, retry_after: None }
    }

    /// A request that cannot be honoured.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, INVALID, message)
    }

    /// A parameter that cannot be honoured.
    pub fn invalid(param: impl Into<String>, message: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("{param}: {}", message.into());
        Self { param: Some(param), code: Some("invalid_value"), ..Self::bad_request(message) }
    }

    /// A parameter that other servers know and this one does not honour.
    pub fn unsupported(param: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: Some("unsupported_parameter"), ..Self::invalid(param, message) }
    }

    /// A text that no context of the server holds. `goes_on`: with a token more. The words are OpenAI's: clients look for them.
    pub fn too_long(param: &str, tokens: usize, context: usize, goes_on: bool) -> Self {
        let over = (tokens + usize::from(goes_on)).saturating_sub(context);
        let room = if goes_on { ", so that one more fits" } else { "" };
        let why = format!(
            "this model's maximum context length is {context} tokens, and the prompt has {tokens}: shorten it by {over}{room}"
        );
        Self { code: Some("context_length_exceeded"), ..Self::invalid(param, why) }
    }

    pub fn unauthorized(message: &str) -> Self {
        Self { code: Some("invalid_api_key"), ..Self::new(401, INVALID, message) }
    }

    pub fn forbidden(message: impl Into<String>) -> Self {
        Self::new(403, "permission_error", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, INVALID, message)
    }

    pub fn no_such_model(asked: &str, served: &str) -> Self {
        let message = format!("model: {asked:?} is not served here, {served:?} is");
        Self { param: Some("model".to_owned()), code: Some("model_not_found"), ..Self::not_found(message) }
    }

    pub fn method_not_allowed(message: impl Into<String>) -> Self {
        Self::new(405, INVALID, message)
    }

    pub fn too_slow(message: impl Into<String>) -> Self {
        Self::new(408, INVALID, message)
    }

    pub fn too_large(message: impl Into<String>) -> Self {
        Self::new(413, INVALID, message)
    }

    /// Well-formed, and yet nothing that can be computed.
    pub fn unprocessable(message: impl Into<String>) -> Self {
        Self::new(422, INVALID, message)
    }

    pub fn busy(message: impl Into<String>, retry_after: u32) -> Self {
        Self {
            retry_after: Some(retry_after),
            code: Some("rate_limit_exceeded"),
            ..Self::new(429, "rate_limit_error", message)
        }
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(500, "server_error", message)
    }

    pub fn unavailable(message: impl Into<String>, retry_after: u32) -> Self {
        Self { retry_after: Some(retry_after), ..Self::new(503, "server_error", message) }
    }

    /// OpenAI's body.
    pub fn openai(&self) -> Value {
        json!({ "error": {
            "message": self.message, "type": self.kind, "param": self.param, "code": self.code,
        }})
    }

    /// Anthropic's body.
    pub fn anthropic(&self) -> Value {
        let kind = match self.status {
            401 => "authentication_error",
            403 => "permission_error",
            404 => "not_found_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            503 => "overloaded_error",
            status if status < 500 => INVALID,
            _ => "api_error",
        };
        json!({ "type": "error", "error": { "type": kind, "message": self.message } })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_bodies_say_the_same() {
        let error = ApiError::too_long("messages", 300, 256, true);
        let (openai, anthropic) = (error.openai(), error.anthropic());
        assert_eq!(openai["error"]["code"], "context_length_exceeded");
        assert_eq!(openai["error"]["message"], anthropic["error"]["message"]);
        let message = openai["error"]["message"].as_str().unwrap();
        assert!(message.contains("300") && message.contains("256") && message.contains("by 45"), "{message}");
        let alone = ApiError::too_long("input", 9, 8, false);
        assert!(alone.message.ends_with("shorten it by 1"), "{}", alone.message);
        assert_eq!(ApiError::busy("full", 1).anthropic()["error"]["type"], "rate_limit_error");
        assert_eq!(ApiError::invalid("top_p", "no").openai()["error"]["param"], "top_p");
    }
}
