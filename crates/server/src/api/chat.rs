//! `/v1/chat/completions`.

mod messages;

use glass_text::ChatInput;
use serde_json::{Map, Value, json};

use super::{
    Answer, Answers, ApiError, Asked, Conversation, Fields, Frame, Prepared, Protocol, Reason, Served, Update, call_id,
    cuts, now,
    protocol::{Sum, chat_logprobs, timings},
    random, read_format, read_options,
};
use crate::tools::{Dialect, Part, read_tools};

pub use messages::read_messages;

/// Most answers to one request, and most alternatives to one token.
const MOST_ANSWERS: usize = 128;
const MOST_LOGPROBS: usize = 20;

/// Reads a request and gives it to the engine.
///
/// # Errors
/// What cannot be honoured; a full queue.
pub fn ask(served: &Served, body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    let messages = fields.list("messages")?;
    let messages = read_messages(fields.need("messages", messages)?)?;
    let (tools, choice) = read_tools(&mut fields, Dialect::Chat)?;
    let single_call = fields.flag("parallel_tool_calls")? == Some(false);
    let stream = read_stream(&mut fields)?;
    let cuts = cuts(&fields, &["stop", "ignore_eos"]);
    let continues = continues(&mut fields, &messages)?;
    let mut options = read_options(&mut fields, &served.defaults, served.llama().config.vocab_size)?;
    options.stop_strings.extend(served.identity.chat_stops.iter().cloned());
    let (limit, name) = most(&mut fields, &["max_completion_tokens", "max_tokens", "n_predict"])?;
    options.max_new_tokens = limit;
    options.logprobs = read_logprobs(&mut fields)?;
    read_format(fields.object("response_format")?, &mut options, cuts, served)?;
    let n = answers(&mut fields)?;
    let variables = variables(&mut fields)?;
    let splits_reasoning = splits_reasoning(&mut fields)?;
    fields.refuse("add_special_tokens", &[json!(false)], "is the chat template's to say: leave it out")?;
    served.note_unknown(fields.unknown());

    let names = ("messages", name);
    let conversation =
        Conversation { messages, tools, choice, variables, splits_reasoning, options, n, names, continues, cuts };
    let Prepared { request, thoughts, reader } = conversation.prepare(served)?;
    let (n, stops) = (request.n, request.options.stop_strings.clone());
    let ticket = served.service.submit(request).map_err(|refused| served.refused(&refused, names.0, names.1))?;
    let answers = Answers::new(vec![ticket], n, reader, stops);
    let answers = answers.with_thoughts(thoughts).with_single_call(single_call);
    Ok(Asked { answers, stream: stream.on, protocol: Box::new(Chat::new(n, stream)) })
}

/// `stream` and its options.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stream {
    pub on: bool,
    pub include_usage: bool,
}

/// # Errors
/// Options of no stream.
pub fn read_stream(fields: &mut Fields) -> Result<Stream, ApiError> {
    let on = fields.flag("stream")? == Some(true);
    let mut include_usage = false;
    if let Some(mut options) = fields.object("stream_options")? {
        include_usage = options.flag("include_usage")? == Some(true);
    }
    Ok(Stream { on, include_usage })
}

/// The most tokens of an answer, or 0 if nothing says so, and which of its names does.
pub fn most(fields: &mut Fields, names: &[&'static str]) -> Result<(usize, &'static str), ApiError> {
    match fields.either(names, Fields::limit)? {
        Some((name, 0)) => Err(fields.invalid(name, "must be at least 1")),
        Some((name, most)) => Ok((most, name)),
        None => Ok((0, names[0])),
    }
}

/// Whether a last message of the assistant is gone on with: unless `continue_final_message`, as of vLLM, says otherwise.
pub fn continues(fields: &mut Fields, messages: &[Value]) -> Result<bool, ApiError> {
    let asked = fields.flag("continue_final_message")?;
    if asked == Some(true) {
        if messages.last().is_none_or(|last| last["role"] != "assistant" || last.get("tool_calls").is_some()) {
            let why = "the last message is not the assistant's, or ends with calls";
            return Err(fields.invalid("continue_final_message", why));
        }
        let rule = "a new turn begins there, and the last message goes on: leave it out";
        fields.refuse("add_generation_prompt", &[json!(false)], rule)?;
    }
    Ok(asked != Some(false))
}

/// `n`.
pub fn answers(fields: &mut Fields) -> Result<usize, ApiError> {
    match fields.count("n")?.unwrap_or(1) {
        n @ 1..=MOST_ANSWERS => Ok(n),
        _ => Err(fields.invalid("n", format!("must be from 1 to {MOST_ANSWERS}"))),
    }
}

fn read_logprobs(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    let asked = fields.flag("logprobs")? == Some(true);
    match fields.count("top_logprobs")? {
        Some(top) if top > MOST_LOGPROBS => {
            Err(fields.invalid("top_logprobs", format!("must be from 0 to {MOST_LOGPROBS}")))
        }
        Some(top) if !asked && top > 0 => Err(fields.invalid("top_logprobs", "needs logprobs: true")),
        top => Ok(asked.then_some(top.unwrap_or(0))),
    }
}

/// Variables of the template: those of `chat_template_kwargs`, and the effort of reasoning.
fn variables(fields: &mut Fields) -> Result<Map<String, Value>, ApiError> {
    let mut variables = match fields.take("chat_template_kwargs") {
        None => Map::new(),
        Some(Value::Object(variables)) => variables,
        Some(_) => return Err(fields.invalid("chat_template_kwargs", "must be an object")),
    };
    ChatInput::check_variables(&variables).map_err(|why| fields.invalid("chat_template_kwargs", why))?;
    if let Some(effort) = fields.text("reasoning_effort")? {
        variables.insert("reasoning_effort".to_owned(), effort.into());
    }
    Ok(variables)
}

/// `reasoning_format`, as of llama-server: whether thoughts are told apart from the answer.
fn splits_reasoning(fields: &mut Fields) -> Result<bool, ApiError> {
    match fields.text("reasoning_format")?.as_deref() {
        None | Some("auto" | "deepseek") => Ok(true),
        Some("none") => Ok(false),
        Some(other) => {
            Err(fields.invalid("reasoning_format", format!("{other:?} is none: auto, deepseek and none are")))
        }
    }
}

/// OpenAI's chat, as it is said.
struct Chat {
    id: String,
    created: u64,
    n: usize,
    stream: Stream,
    sum: Sum,
    /// Calls of each answer.
    calls: Vec<usize>,
}

impl Chat {
    fn new(n: usize, stream: Stream) -> Self {
        let id = format!("chatcmpl-{:016x}", random());
        Self { id, created: now(), n, stream, sum: Sum::default(), calls: vec![0; n] }
    }

    fn object(&self, kind: &str, choices: Value, served: &Served) -> Value {
        json!({
            "id": self.id, "object": kind, "created": self.created, "model": served.identity.name, "choices": choices,
        })
    }

    fn chunk(&self, choice: usize, delta: Value, served: &Served) -> Value {
        let choices = json!([{ "index": choice, "delta": delta, "logprobs": null, "finish_reason": null }]);
        let mut chunk = self.object("chat.completion.chunk", choices, served);
        if self.stream.include_usage {
            chunk["usage"] = Value::Null;
        }
        chunk
    }
}

impl Protocol for Chat {
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value {
        let first = answers.first().map(|answer| timings(answer.usage, answer.timings));
        let choices: Vec<Value> = answers
            .into_iter()
            .enumerate()
            .map(|(index, answer)| {
                self.sum.add(answer.usage, answer.reasoning_tokens, index == 0);
                let text = if answer.text.is_empty() && !answer.calls.is_empty() { None } else { Some(answer.text) };
                let mut message = json!({ "role": "assistant", "content": text, "refusal": null });
                if !answer.reasoning.is_empty() {
                    message["reasoning_content"] = answer.reasoning.into();
                }
                if !answer.calls.is_empty() {
                    let call = |call: &super::Call| {
                        json!({ "id": call.id, "type": "function",
                                "function": { "name": call.name, "arguments": call.arguments } })
                    };
                    message["tool_calls"] = answer.calls.iter().map(call).collect();
                }
                let logprobs = match answer.logprobs.is_empty() {
                    true => Value::Null,
                    false => chat_logprobs(&answer.logprobs, served),
                };
                let reason = answer.reason.unwrap_or(Reason::End);
                let mut choice = json!({
                    "index": index, "message": message, "logprobs": logprobs, "finish_reason": reason.openai(),
                });
                reason.note(&mut choice);
                choice
            })
            .collect();
        let mut body = self.object("chat.completion", choices.into(), served);
        body["usage"] = self.sum.usage();
        body["timings"] = first.unwrap_or_default();
        body
    }

    fn begin(&mut self, served: &Served) -> Vec<Frame> {
        let role = || json!({ "role": "assistant", "content": "", "refusal": null });
        (0..self.n).map(|choice| Frame::data(&self.chunk(choice, role(), served))).collect()
    }

    fn update(&mut self, update: Update, served: &Served) -> Vec<Frame> {
        match update {
            // Nobody asks for those of a chat.
            Update::Prompt { .. } => vec![],
            Update::Part { choice, part, logprobs } => {
                let last = |calls: usize| calls.saturating_sub(1);
                let delta = match part {
                    Part::Reasoning(text) => json!({ "reasoning_content": text }),
                    Part::Text(text) => json!({ "content": text }),
                    Part::Call { name } => {
                        self.calls[choice] += 1;
                        json!({ "tool_calls": [{ "index": last(self.calls[choice]), "id": call_id(), "type": "function",
                                                 "function": { "name": name, "arguments": "" } }] })
                    }
                    Part::Arguments(text) => {
                        json!({ "tool_calls": [{ "index": last(self.calls[choice]), "function": { "arguments": text } }] })
                    }
                };
                let mut chunk = self.chunk(choice, delta, served);
                if !logprobs.is_empty() {
                    chunk["choices"][0]["logprobs"] = chat_logprobs(&logprobs, served);
                }
                vec![Frame::data(&chunk)]
            }
            Update::End { choice, reason, usage, reasoning_tokens, timings: took } => {
                self.sum.add(usage, reasoning_tokens, choice == 0);
                let mut chunk = self.chunk(choice, json!({}), served);
                chunk["choices"][0]["finish_reason"] = reason.openai().into();
                reason.note(&mut chunk["choices"][0]);
                chunk["timings"] = timings(usage, took);
                vec![Frame::data(&chunk)]
            }
            Update::Failed(error) => self.failed(&error),
        }
    }

    fn end(&mut self, served: &Served) -> Vec<Frame> {
        let mut frames = Vec::new();
        if self.stream.include_usage {
            let mut chunk = self.object("chat.completion.chunk", json!([]), served);
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
