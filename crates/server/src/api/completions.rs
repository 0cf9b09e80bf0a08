//! `/v1/completions`: texts that go on, without a chat.

use glass_generate::TokenLogprobs;
use serde_json::{Map, Value, json};

use super::{
    Answer, Answers, ApiError, Asked, Fields, Frame, Protocol, Served, Update,
    chat::{Stream, answers, most, read_stream},
    limit, now,
    protocol::{Sum, finite, timings},
    random, read_format, read_options,
};
use crate::{engine::Request, tools::Part};

/// New tokens where a request does not say how many: OpenAI's number.
const TOKENS: usize = 16;

/// Most prompts of one request, and most alternatives to one token.
const MOST_PROMPTS: usize = 128;
const MOST_LOGPROBS: usize = 20;

/// Reads a request and gives it to the engine.
///
/// # Errors
/// What cannot be honoured; a full queue.
pub fn ask(served: &Served, body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    let prompt = fields.take("prompt");
    let prompts = read_prompts(fields.need("prompt", prompt)?, "prompt", served)?;
    let stream = read_stream(&mut fields)?;
    let stops = fields.clone().take("stop").is_some();
    let echo = fields.flag("echo")? == Some(true);
    let mut options = read_options(&mut fields, &served.defaults, served.llama().config.vocab_size)?;
    let old = fields.count("max_completion_tokens")?;
    let asked = most(&mut fields, "max_tokens", old)?;
    options.logprobs = match fields.count("logprobs")? {
        Some(top) if top > MOST_LOGPROBS => {
            return Err(fields.invalid("logprobs", format!("must be from 0 to {MOST_LOGPROBS}")));
        }
        Some(_) if echo => {
            return Err(ApiError::unsupported("logprobs", "are of new tokens alone: take echo out"));
        }
        top => top,
    };
    read_format(fields.object("response_format")?, &mut options, stops)?;
    if options.json_schema.is_some() {
        options.stop_strings.clear();
    }
    let n = answers(&mut fields)?;
    fields.refuse("best_of", &[json!(1), json!(n)], "is not supported: n answers come as they are")?;
    served.note_unknown(fields.unknown());

    let stops = options.stop_strings.clone();
    let (mut tickets, mut echoes) = (Vec::new(), Vec::new());
    for Prompt { ids, text } in prompts {
        let asked = if asked > 0 { asked } else { TOKENS };
        let mut options = options.clone();
        options.max_new_tokens = limit(asked, ids.len(), "prompt", served)?;
        if echo {
            let text = match text {
                Some(text) => text,
                None => served.tokenizer()?.decode(&ids, true).map_err(|error| served.error(&error.into()))?,
            };
            echoes.push(text);
        }
        let submitted = served.service.submit(Request { ids, options, n });
        tickets.push(submitted.map_err(|refused| served.refused(&refused, "prompt", "max_tokens"))?);
    }
    let protocol = Completions::new(n, stream, echoes);
    Ok(Asked { answers: Answers::new(tickets, n, None, stops), stream: stream.on, protocol: Box::new(protocol) })
}

/// A prompt, and its text if it was one.
pub struct Prompt {
    pub ids: Vec<u32>,
    pub text: Option<String>,
}

/// The tokens of one text, or of ids.
///
/// # Errors
/// Something else; several.
pub fn read_prompt(value: Value, name: &str, served: &Served) -> Result<Vec<u32>, ApiError> {
    let mut prompts = read_prompts(value, name, served)?;
    match (prompts.pop(), prompts.is_empty()) {
        (Some(prompt), true) => Ok(prompt.ids),
        _ => Err(ApiError::invalid(name, "must be one text, or the ids of one")),
    }
}

/// A text, token ids, or a list of either.
///
/// # Errors
/// Something else; ids that the model does not have; too many prompts.
pub fn read_prompts(value: Value, name: &str, served: &Served) -> Result<Vec<Prompt>, ApiError> {
    let rule = || ApiError::invalid(name, "must be a text, a list of token ids, or a list of either");
    let prompts = match value {
        Value::String(text) => vec![of_text(text, served)?],
        Value::Array(items) if items.is_empty() => return Err(ApiError::invalid(name, "is empty")),
        Value::Array(items) if items.iter().all(Value::is_number) => vec![of_ids(&items, name, served)?],
        Value::Array(items) if items.len() > MOST_PROMPTS => {
            return Err(ApiError::invalid(name, format!("has {} texts, and {MOST_PROMPTS} are the most", items.len())));
        }
        Value::Array(items) => {
            let read = |(index, item)| match item {
                Value::String(text) => of_text(text, served),
                Value::Array(ids) => of_ids(&ids, &format!("{name}[{index}]"), served),
                _ => Err(rule()),
            };
            items.into_iter().enumerate().map(read).collect::<Result<_, _>>()?
        }
        _ => return Err(rule()),
    };
    match prompts.iter().any(|prompt| prompt.ids.is_empty()) {
        true => Err(ApiError::invalid(name, "has no tokens: give some text")),
        false => Ok(prompts),
    }
}

fn of_text(text: String, served: &Served) -> Result<Prompt, ApiError> {
    let ids = served.tokenizer()?.encode_prompt(&text).map_err(|error| served.error(&error.into()))?;
    Ok(Prompt { ids, text: Some(text) })
}

fn of_ids(items: &[Value], name: &str, served: &Served) -> Result<Prompt, ApiError> {
    let vocab_size = served.llama().config.vocab_size;
    let id = |value: &Value| value.as_u64().filter(|&id| id < vocab_size as u64).map(|id| id as u32);
    let ids: Option<Vec<u32>> = items.iter().map(id).collect();
    let ids = ids.ok_or_else(|| ApiError::invalid(name, format!("must be token ids below {vocab_size}")))?;
    Ok(Prompt { ids, text: None })
}

/// OpenAI's texts, as they are said.
struct Completions {
    id: String,
    created: u64,
    n: usize,
    stream: Stream,
    /// The prompts, if they are to be repeated.
    echoes: Vec<String>,
    sum: Sum,
    /// Characters of each text so far, for the places of its tokens.
    offsets: Vec<usize>,
}

impl Completions {
    fn new(n: usize, stream: Stream, echoes: Vec<String>) -> Self {
        let id = format!("cmpl-{:016x}", random());
        Self { id, created: now(), n, stream, echoes, sum: Sum::default(), offsets: Vec::new() }
    }

    fn object(&self, choices: Value, served: &Served) -> Value {
        json!({
            "id": self.id, "object": "text_completion", "created": self.created, "model": served.identity.name,
            "choices": choices,
        })
    }

    fn chunk(&self, choice: usize, text: &str, served: &Served) -> Value {
        let choices = json!([{ "index": choice, "text": text, "logprobs": null, "finish_reason": null }]);
        let mut chunk = self.object(choices, served);
        if self.stream.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }

    /// The older form of log-probabilities: one list each.
    fn logprobs(&mut self, choice: usize, logprobs: &[TokenLogprobs], served: &Served) -> Value {
        if logprobs.is_empty() {
            return Value::Null;
        }
        if self.offsets.len() <= choice {
            self.offsets.resize(choice + 1, 0);
        }
        let text = |id| String::from_utf8_lossy(&served.token_bytes(id)).into_owned();
        let mut offsets = Vec::new();
        for told in logprobs {
            offsets.push(self.offsets[choice]);
            self.offsets[choice] += text(told.id).chars().count();
        }
        let top = |told: &TokenLogprobs| -> Map<String, Value> {
            told.top.iter().map(|&(id, logprob)| (text(id), finite(logprob).into())).collect()
        };
        json!({
            "tokens": logprobs.iter().map(|told| text(told.id)).collect::<Vec<_>>(),
            "token_logprobs": logprobs.iter().map(|told| finite(told.logprob)).collect::<Vec<_>>(),
            "top_logprobs": logprobs.iter().map(top).collect::<Vec<_>>(),
            "text_offset": offsets,
        })
    }
}

impl Protocol for Completions {
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value {
        let first = answers.first().map(|answer| timings(answer.usage, answer.timings));
        let mut choices = Vec::new();
        for (index, answer) in answers.into_iter().enumerate() {
            self.sum.add(answer.usage, index % self.n == 0);
            let echo = self.echoes.get(index / self.n).cloned().unwrap_or_default();
            let logprobs = self.logprobs(index, &answer.logprobs, served);
            let reason = answer.reason.map(|reason| reason.openai());
            choices.push(
                json!({ "index": index, "text": echo + &answer.text, "logprobs": logprobs, "finish_reason": reason }),
            );
        }
        let mut body = self.object(choices.into(), served);
        body["usage"] = self.sum.usage();
        body["timings"] = first.unwrap_or_default();
        body
    }

    fn begin(&mut self, served: &Served) -> Vec<Frame> {
        let echo = |(index, text): (usize, &String)| {
            let choices = index * self.n..(index + 1) * self.n;
            choices.map(|choice| Frame::data(&self.chunk(choice, text, served))).collect::<Vec<_>>()
        };
        self.echoes.iter().enumerate().flat_map(echo).collect()
    }

    fn update(&mut self, update: Update, served: &Served) -> Vec<Frame> {
        match update {
            Update::Part { choice, part: Part::Text(text), logprobs } => {
                let mut chunk = self.chunk(choice, &text, served);
                chunk["choices"][0]["logprobs"] = self.logprobs(choice, &logprobs, served);
                vec![Frame::data(&chunk)]
            }
            // Nothing reads calls out of texts.
            Update::Part { .. } => vec![],
            Update::End { choice, reason, usage, timings: took } => {
                self.sum.add(usage, choice % self.n == 0);
                let mut chunk = self.chunk(choice, "", served);
                chunk["choices"][0]["finish_reason"] = reason.openai().into();
                chunk["timings"] = timings(usage, took);
                vec![Frame::data(&chunk)]
            }
            Update::Failed(error) => self.failed(&error),
        }
    }

    fn end(&mut self, served: &Served) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.stream.include_usage {
            let mut chunk = self.object(json!([]), served);
            chunk["usage"] = self.sum.usage();
            frames.push(Frame::data(&chunk));
        }
        frames.push(Frame::done());
        frames
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::data(&error.openai()), Frame::done()]
    }
}
