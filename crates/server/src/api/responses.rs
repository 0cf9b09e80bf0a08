//! `/v1/responses`: OpenAI's newer protocol. Nothing is stored: every request brings the whole conversation.

mod input;
mod item;

use serde_json::{Map, Value, json};

use super::{
    Answer, Answers, ApiError, Asked, Call, Conversation, Fields, Frame, Prepared, Protocol, Reason, Served, Update,
    call_id,
    chat::{continues, most},
    cuts, now, random, read_format, read_options,
};
use crate::{
    engine::Usage,
    tools::{Dialect, Part, read_tools},
};

use input::read_input;
use item::{Item, What};

/// Fields that need a memory, or that would change an answer, with the values at which they do not.
fn not_honoured() -> [(&'static str, Vec<Value>); 7] {
    [
        ("previous_response_id", vec![]),
        ("conversation", vec![]),
        ("prompt", vec![]),
        ("background", vec![json!(false)]),
        ("truncation", vec![json!("disabled")]),
        ("max_tool_calls", vec![]),
        ("context_management", vec![]),
    ]
}

/// Reads a request and gives it to the engine.
///
/// # Errors
/// What cannot be honoured; a full queue.
pub fn ask(served: &Served, body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    for (name, neutral) in not_honoured() {
        fields.refuse(
            name,
            &neutral,
            "is not supported: this server stores and cuts nothing, so send all that was said",
        )?;
    }
    let mut said = fields.clone();
    let mut messages = Vec::new();
    if let Some(text) = fields.text("instructions")? {
        messages.push(json!({ "role": "system", "content": text }));
    }
    let input = fields.take("input");
    read_input(fields.need("input", input)?, &mut messages)?;
    let (tools, choice) = read_tools(&mut fields, Dialect::Responses)?;
    let single_call = fields.flag("parallel_tool_calls")? == Some(false);
    let stream = fields.flag("stream")? == Some(true);
    let cuts = cuts(&fields, &["stop", "ignore_eos"]);
    let continues = continues(&mut fields, &messages)?;
    let mut options = read_options(&mut fields, &served.defaults, served.llama().config.vocab_size)?;
    options.stop_strings.extend(served.identity.chat_stops.iter().cloned());
    let (limit, name) = most(&mut fields, &["max_output_tokens", "n_predict"])?;
    options.max_new_tokens = limit;
    let wants_logprobs = |include: Vec<Value>| include.contains(&json!("message.output_text.logprobs"));
    let top = fields.count("top_logprobs")?.filter(|top| *top > 0);
    if top.is_some_and(|top| top > 20) {
        return Err(fields.invalid("top_logprobs", "must be from 0 to 20"));
    }
    if fields.list("include")?.is_some_and(wants_logprobs) || top.is_some() {
        options.logprobs = Some(top.unwrap_or(0));
    }
    if let Some(mut text) = fields.object("text")? {
        read_format(text.object("format")?, &mut options, cuts, served)?;
        text.refuse("verbosity", &[json!("medium")], "is not supported by this server: leave it out")?;
        served.note_unknown(text.unknown());
    }
    let mut variables = Map::new();
    if let Some(effort) =
        fields.object("reasoning")?.map(|mut reasoning| reasoning.text("effort")).transpose()?.flatten()
    {
        variables.insert("reasoning_effort".to_owned(), effort.into());
    }
    fields.pass_over(&["stream_options", "client_metadata"]);
    served.note_unknown(fields.unknown());

    let names = ("input", name);
    let sampling = options.sampling.clone();
    let conversation = Conversation {
        messages,
        tools,
        choice,
        variables,
        splits_reasoning: true,
        options,
        n: 1,
        names,
        continues,
        cuts,
    };
    let Prepared { request, thoughts, reader } = conversation.prepare(served)?;
    let submitted = served.service.submit(request);
    let ticket = submitted.map_err(|refused| served.refused(&refused, names.0, names.1))?;
    let answers = Answers::new(vec![ticket], 1, reader, vec![]);
    let answers = answers.with_thoughts(thoughts).with_single_call(single_call);
    let mut repeated = |name: &str, default: Value| said.take(name).unwrap_or(default);
    let body = json!({
        "id": format!("resp_{:016x}", random()), "object": "response", "created_at": now(), "status": "in_progress",
        "error": null, "incomplete_details": null, "instructions": repeated("instructions", Value::Null),
        "max_output_tokens": repeated("max_output_tokens", Value::Null), "model": served.identity.name, "output": [],
        "parallel_tool_calls": !single_call, "previous_response_id": null,
        "reasoning": repeated("reasoning", json!({ "effort": null, "summary": null })), "store": false,
        "temperature": sampling.temperature, "text": repeated("text", json!({ "format": { "type": "text" } })),
        "tool_choice": repeated("tool_choice", json!("auto")), "tools": repeated("tools", json!([])),
        "top_p": sampling.top_p, "truncation": "disabled", "usage": null, "user": repeated("user", Value::Null),
        "metadata": repeated("metadata", json!({})),
    });
    Ok(Asked { answers, stream, protocol: Box::new(Responses { body, items: Vec::new(), events: 0 }) })
}

/// OpenAI's responses, as they are said.
struct Responses {
    /// The response object, which grows.
    body: Value,
    /// What was said: messages and calls.
    items: Vec<Item>,
    events: usize,
}

impl Responses {
    fn event(&mut self, name: &'static str, mut data: Value) -> Frame {
        data["sequence_number"] = self.events.into();
        self.events += 1;
        Frame::named(name, data)
    }

    /// An event of the newest item.
    fn item_event(&mut self, name: &'static str, mut data: Value) -> Frame {
        data["output_index"] = self.items.len().saturating_sub(1).into();
        if let Some(item) = self.items.last() {
            data["item_id"] = item.id.clone().into();
            if !matches!(item.what, What::Call(_)) {
                data["content_index"] = 0.into();
            }
        }
        self.event(name, data)
    }

    fn open(&mut self, item: Item, frames: &mut Vec<Frame>) {
        self.close(frames);
        let (value, part) = (item.value(), item.part());
        self.items.push(item);
        let added = json!({ "output_index": self.items.len() - 1, "item": value });
        frames.push(self.event("response.output_item.added", added));
        if !part.is_null() {
            frames.push(self.item_event("response.content_part.added", json!({ "part": part })));
        }
    }

    fn close(&mut self, frames: &mut Vec<Frame>) {
        let Some(item) = self.items.last_mut().filter(|item| item.is_open) else {
            return;
        };
        item.is_open = false;
        let (value, part) = (item.value(), item.part());
        let done = match &item.what {
            What::Text { text, logprobs } => json!({ "text": text, "logprobs": logprobs }),
            What::Reasoning(text) => json!({ "text": text }),
            What::Call(call) => json!({ "arguments": call.arguments, "name": call.name }),
        };
        let name = match &item.what {
            What::Text { .. } => "response.output_text.done",
            What::Reasoning(_) => "response.reasoning_text.done",
            What::Call(_) => "response.function_call_arguments.done",
        };
        frames.push(self.item_event(name, done));
        if !part.is_null() {
            frames.push(self.item_event("response.content_part.done", json!({ "part": part })));
        }
        let done = json!({ "output_index": self.items.len() - 1, "item": value });
        frames.push(self.event("response.output_item.done", done));
    }

    /// The response as it is in the end, and the name of its last event.
    fn finish(&mut self, reason: &Reason, usage: Usage, reasoning_tokens: usize) -> &'static str {
        let cut = reason.cuts();
        let Usage { prompt_tokens, cached_tokens, completion_tokens } = usage;
        self.body["status"] = if cut { "incomplete" } else { "completed" }.into();
        reason.note(&mut self.body);
        if *reason == Reason::Length {
            self.body["incomplete_details"] = json!({ "reason": "max_output_tokens" });
        }
        self.body["output"] = self.items.iter().map(Item::value).collect();
        self.body["usage"] = json!({
            "input_tokens": prompt_tokens, "input_tokens_details": { "cached_tokens": cached_tokens },
            "output_tokens": completion_tokens, "output_tokens_details": { "reasoning_tokens": reasoning_tokens },
            "total_tokens": prompt_tokens + completion_tokens,
        });
        if cut { "response.incomplete" } else { "response.completed" }
    }
}

/// Log-probabilities as this protocol has them.
fn logprobs(told: &[glass_generate::TokenLogprobs], served: &Served) -> Vec<Value> {
    let mut value = super::protocol::chat_logprobs(told, served);
    value["content"].as_array_mut().map(std::mem::take).unwrap_or_default()
}

impl Protocol for Responses {
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value {
        let answer = answers.into_iter().next().unwrap_or_default();
        if !answer.reasoning.is_empty() {
            self.items.push(Item { what: What::Reasoning(answer.reasoning), ..Item::reasoning() });
        }
        if !answer.text.is_empty() || answer.calls.is_empty() {
            let mut item = Item::text();
            item.what = What::Text { text: answer.text, logprobs: logprobs(&answer.logprobs, served) };
            self.items.push(item);
        }
        self.items.extend(answer.calls.into_iter().map(Item::call));
        self.items.iter_mut().for_each(|item| item.is_open = false);
        let reason = answer.reason.unwrap_or(Reason::End);
        if let Some(last) = self.items.last_mut() {
            last.is_cut = reason.cuts();
        }
        self.finish(&reason, answer.usage, answer.reasoning_tokens);
        self.body.take()
    }

    fn begin(&mut self, _served: &Served) -> Vec<Frame> {
        let response = json!({ "response": self.body });
        vec![self.event("response.created", response.clone()), self.event("response.in_progress", response)]
    }

    fn update(&mut self, update: Update, served: &Served) -> Vec<Frame> {
        let mut frames = Vec::new();
        match update {
            // Nobody asks for those here.
            Update::Prompt { .. } => {}
            Update::Part { part: Part::Reasoning(more), .. } => {
                let is_thought = |item: &Item| item.is_open && matches!(item.what, What::Reasoning(_));
                if !self.items.last().is_some_and(is_thought) {
                    self.open(Item::reasoning(), &mut frames);
                }
                if let Some(Item { what: What::Reasoning(text), .. }) = self.items.last_mut() {
                    text.push_str(&more);
                }
                frames.push(self.item_event("response.reasoning_text.delta", json!({ "delta": more })));
            }
            Update::Part { part: Part::Text(more), logprobs: told, .. } => {
                let is_text = |item: &Item| item.is_open && matches!(item.what, What::Text { .. });
                if !self.items.last().is_some_and(is_text) {
                    self.open(Item::text(), &mut frames);
                }
                let told = logprobs(&told, served);
                if let Some(Item { what: What::Text { text, logprobs }, .. }) = self.items.last_mut() {
                    text.push_str(&more);
                    logprobs.extend(told.iter().cloned());
                }
                frames.push(self.item_event("response.output_text.delta", json!({ "delta": more, "logprobs": told })));
            }
            Update::Part { part: Part::Call { name }, .. } => {
                self.open(Item::call(Call { id: call_id(), name, arguments: String::new() }), &mut frames);
            }
            Update::Part { part: Part::Arguments(more), .. } => {
                if let Some(Item { what: What::Call(call), .. }) = self.items.last_mut() {
                    call.arguments.push_str(&more);
                }
                frames.push(self.item_event("response.function_call_arguments.delta", json!({ "delta": more })));
            }
            Update::End { reason, usage, reasoning_tokens, .. } => {
                if self.items.is_empty() {
                    self.open(Item::text(), &mut frames);
                }
                if let Some(last) = self.items.last_mut() {
                    last.is_cut = reason.cuts();
                }
                self.close(&mut frames);
                let name = self.finish(&reason, usage, reasoning_tokens);
                let response = json!({ "response": self.body });
                frames.push(self.event(name, response));
            }
            Update::Failed(error) => frames.extend(self.failed(&error)),
        }
        frames
    }

    fn end(&mut self, _served: &Served) -> Vec<Frame> {
        vec![]
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        let data = json!({ "code": error.code.unwrap_or(error.kind), "message": error.message, "param": error.param });
        vec![self.event("error", data)]
    }
}
