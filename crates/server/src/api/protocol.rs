//! How answers are said: what the protocols have in common.

use glass_generate::TokenLogprobs;
use serde_json::{Value, json};

use super::{Answer, Answers, ApiError, Served, Update};
use crate::engine::{Timings, Usage};

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// The event's name, in protocols that have names.
    pub event: Option<&'static str>,
    pub data: String,
}

impl Frame {
    pub fn data(data: &Value) -> Self {
        Self { event: None, data: data.to_string() }
    }

    /// An event whose data has its name as `type`.
    pub fn named(event: &'static str, mut data: Value) -> Self {
        if let Some(fields) = data.as_object_mut() {
            fields.shift_insert(0, "type".to_owned(), event.into());
        }
        Self { event: Some(event), data: data.to_string() }
    }

    /// The end of OpenAI's streams.
    pub fn done() -> Self {
        Self { event: None, data: "[DONE]".to_owned() }
    }
}

/// A request that was taken.
pub struct Asked {
    pub answers: Answers,
    pub stream: bool,
    pub protocol: Box<dyn Protocol>,
}

/// Says what came of a request, at once or as it comes.
pub trait Protocol: Send {
    /// The body of whole answers.
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value;

    /// What a stream begins with.
    fn begin(&mut self, served: &Served) -> Vec<Frame>;

    /// What an update is in a stream; errors come to [`failed`](Self::failed).
    fn update(&mut self, update: Update, served: &Served) -> Vec<Frame>;

    /// What a stream ends with.
    fn end(&mut self, served: &Served) -> Vec<Frame>;

    /// What a stream ends with that is broken off.
    fn failed(&mut self, error: &ApiError) -> Vec<Frame>;
}

/// OpenAI's `usage` of all answers to a request, whose prompt counts once.
pub fn usage(prompt: Usage, completion_tokens: usize) -> Value {
    json!({
        "prompt_tokens": prompt.prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt.prompt_tokens + completion_tokens,
        "prompt_tokens_details": { "cached_tokens": prompt.cached_tokens },
    })
}

/// Where the time went, under the names of llama-server, and the time before the prompt's turn.
pub fn timings(usage: Usage, timings: Timings) -> Value {
    let speed = |tokens: usize, seconds: f64| if seconds > 0.0 { tokens as f64 / seconds } else { 0.0 };
    let read = usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens);
    let (prompt, decode) = (timings.prompt.as_secs_f64(), timings.decode.as_secs_f64());
    json!({
        "queued_ms": timings.queued.as_secs_f64() * 1000.0,
        "cache_n": usage.cached_tokens,
        "prompt_n": read,
        "prompt_ms": prompt * 1000.0,
        "prompt_per_second": speed(read, prompt),
        "predicted_n": usage.completion_tokens,
        "predicted_ms": decode * 1000.0,
        // The first token comes of the prompt's pass.
        "predicted_per_second": speed(usage.completion_tokens.saturating_sub(1), decode),
    })
}

/// Adds up what the answers to one prompt cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum {
    prompts: Usage,
    completion_tokens: usize,
    reasoning_tokens: usize,
}

impl Sum {
    /// `first`: this is the first answer to its prompt.
    pub fn add(&mut self, usage: Usage, reasoning_tokens: usize, first: bool) {
        if first {
            self.prompts.prompt_tokens += usage.prompt_tokens;
            self.prompts.cached_tokens += usage.cached_tokens;
        }
        self.completion_tokens += usage.completion_tokens;
        self.reasoning_tokens += reasoning_tokens;
    }

    pub fn usage(&self) -> Value {
        let mut usage = usage(self.prompts, self.completion_tokens);
        usage["completion_tokens_details"] = json!({ "reasoning_tokens": self.reasoning_tokens });
        usage
    }
}

/// `logprobs.content` of a chat.
pub fn chat_logprobs(logprobs: &[TokenLogprobs], served: &Served) -> Value {
    let token = |id: u32, logprob: f64| {
        let bytes = served.token_bytes(id);
        json!({ "token": String::from_utf8_lossy(&bytes), "logprob": finite(logprob), "bytes": bytes })
    };
    let tokens = logprobs.iter().map(|told| {
        let mut value = token(told.id, told.logprob);
        value["top_logprobs"] = told.top.iter().map(|&(id, logprob)| token(id, logprob)).collect();
        value
    });
    json!({ "content": tokens.collect::<Vec<_>>(), "refusal": null })
}

/// JSON has no infinity; OpenAI writes -9999 for what cannot be.
pub fn finite(logprob: f64) -> f64 {
    if logprob.is_finite() { logprob } else { -9999.0 }
}
