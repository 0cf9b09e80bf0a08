//! `/v1/messages`: Anthropic's protocol.

mod blocks;

use serde_json::{Map, Value, json};

use super::{
    Answer, Answers, ApiError, Asked, Conversation, Fields, Frame, Prepared, Protocol, Reason, Served, Update, call_id,
    chat::{continues, most},
    cuts, random, read_content, read_format, read_options, stops,
};
use crate::{
    engine::Usage,
    tools::{Dialect, Part, read_tools},
};

use blocks::read_message;

const TEXT_PARTS: [&str; 1] = ["text"];

/// Fields of Anthropic's that would change an answer, with the values at which they do not.
fn not_honoured() -> [(&'static str, Vec<Value>); 4] {
    [("container", vec![]), ("mcp_servers", vec![json!([])]), ("context_management", vec![]), ("inference_geo", vec![])]
}

/// `thinking`: the variable by which templates let a model think, or not.
fn read_thinking(fields: &mut Fields, served: &Served) -> Result<Map<String, Value>, ApiError> {
    let Some(mut thinking) = fields.object("thinking")? else {
        return Ok(Map::new());
    };
    let kind = thinking.text("type")?;
    let thinks = match thinking.need("type", kind)?.as_str() {
        "disabled" => false,
        "enabled" | "adaptive" if served.marks.is_none() => {
            let why = "this model was not trained to think before it answers: leave it out";
            return Err(ApiError::unsupported("thinking", why));
        }
        "enabled" | "adaptive" => true,
        other => {
            let why = format!("{other:?} is none: enabled, adaptive and disabled are");
            return Err(thinking.invalid("type", why));
        }
    };
    if thinking.take("budget_tokens").is_some() {
        let why =
            "a request has thinking.budget_tokens: thoughts have no limit of their own here, max_tokens holds for all";
        served.note(why.to_owned());
    }
    Ok(Map::from_iter([("enable_thinking".to_owned(), thinks.into())]))
}

/// Reads what an answer and a count have in common: all but the limit.
fn read(fields: &mut Fields, served: &Served) -> Result<(Conversation, bool), ApiError> {
    served.check_name(fields.text("model")?.as_deref())?;
    for (name, neutral) in not_honoured() {
        fields.refuse(name, &neutral, "is not supported by this server: leave it out")?;
    }
    fields.pass_over(&["betas", "cache_control", "speed"]);
    let mut read = Vec::new();
    if let Some(system) = fields.take("system") {
        read.push(json!({ "role": "system", "content": read_content(system, "system", &TEXT_PARTS)? }));
    }
    let messages = fields.list("messages")?;
    let messages = fields.need("messages", messages)?;
    if messages.is_empty() {
        return Err(fields.invalid("messages", "must have one message at least"));
    }
    for (index, message) in messages.into_iter().enumerate() {
        read_message(message, &format!("messages[{index}]"), &mut read)?;
    }
    let single_call = match fields.clone().take("tool_choice") {
        Some(choice) => choice.get("disable_parallel_tool_use") == Some(&json!(true)),
        None => false,
    };
    let mut variables = read_thinking(fields, served)?;
    let (tools, choice) = read_tools(fields, Dialect::Messages)?;
    let cuts = cuts(fields, &["stop_sequences", "stop", "ignore_eos"]);
    let continues = continues(fields, &read)?;
    let strings = stops(fields, "stop_sequences")?;
    let mut options = read_options(fields, &served.defaults, served.llama().config.vocab_size)?;
    // The older name of the same.
    let mut format = fields.object("output_format")?;
    if let Some(mut config) = fields.object("output_config")? {
        let own = config.object("format")?;
        if own.is_some() && format.is_some() {
            return Err(fields.invalid("output_format", "stands beside output_config.format: give one of them"));
        }
        format = own.or(format);
        if let Some(effort) = config.text("effort")? {
            variables.insert("reasoning_effort".to_owned(), effort.into());
        }
        served.note_unknown(config.unknown());
    }
    read_format(format, &mut options, cuts, served)?;
    options.stop_strings.extend(served.identity.chat_stops.iter().cloned());
    options.stop_strings.extend(strings);
    let names = ("messages", "max_tokens");
    let conversation = Conversation {
        messages: read,
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
    Ok((conversation, single_call))
}

/// Reads a request and gives it to the engine.
///
/// # Errors
/// What cannot be honoured; a full queue.
pub fn ask(served: &Served, body: &[u8]) -> Result<Asked, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let stream = fields.flag("stream")? == Some(true);
    let (mut conversation, single_call) = read(&mut fields, served)?;
    let (limit, name) = most(&mut fields, &["max_tokens", "n_predict"])?;
    conversation.options.max_new_tokens = fields.need(name, Some(limit).filter(|limit| *limit > 0))?;
    served.note_unknown(fields.unknown());
    // Only the request's own strings are told; those of the model's files end a turn.
    let Prepared { request, thoughts, reader } = conversation.prepare(served)?;
    let prompt_tokens = request.ids.len();
    let strings = request.options.stop_strings.clone();
    let submitted = served.service.submit(request);
    let ticket = submitted.map_err(|refused| served.refused(&refused, "messages", name))?;
    let answers = Answers::new(vec![ticket], 1, reader, strings);
    let answers = answers.with_thoughts(thoughts).with_single_call(single_call);
    let protocol = Messages { id: format!("msg_{:016x}", random()), prompt_tokens, blocks: 0, open: None, end: None };
    Ok(Asked { answers, stream, protocol: Box::new(protocol) })
}

/// `/v1/messages/count_tokens`
///
/// # Errors
/// As [`ask`].
pub fn count(served: &Served, body: &[u8]) -> Result<Value, ApiError> {
    let mut fields = Fields::of_body(body)?;
    let (conversation, _) = read(&mut fields, served)?;
    fields.pass_over(&["max_tokens", "stream"]);
    served.note_unknown(fields.unknown());
    Ok(json!({ "input_tokens": conversation.count(served)? }))
}

/// Anthropic's messages, as they are said.
struct Messages {
    id: String,
    prompt_tokens: usize,
    blocks: usize,
    /// The block that is open.
    open: Option<Block>,
    /// What the message ends with.
    end: Option<(Value, Value)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Call,
}

fn usage(usage: Usage) -> Value {
    json!({
        "input_tokens": usage.prompt_tokens - usage.cached_tokens.min(usage.prompt_tokens),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    })
}

/// `stop_reason` and `stop_sequence`.
fn stopped(reason: &Reason) -> (&'static str, Option<&str>) {
    match reason {
        Reason::End | Reason::NoToken => ("end_turn", None),
        Reason::Stop(string) => ("stop_sequence", string.as_deref()),
        Reason::Length => ("max_tokens", None),
        Reason::Calls => ("tool_use", None),
    }
}

impl Messages {
    fn close(&mut self, frames: &mut Vec<Frame>) {
        if let Some(block) = self.open.take() {
            if block == Block::Thinking {
                // Clients wait for it; nobody here signs anything.
                frames.push(self.delta(json!({ "type": "signature_delta", "signature": "" })));
            }
            frames.push(Frame::named("content_block_stop", json!({ "index": self.blocks - 1 })));
        }
    }

    /// Goes on in a block of this kind, or opens one.
    fn open(&mut self, kind: Block, block: Value, frames: &mut Vec<Frame>) {
        if self.open == Some(kind) && kind != Block::Call {
            return;
        }
        self.close(frames);
        frames.push(Frame::named("content_block_start", json!({ "index": self.blocks, "content_block": block })));
        self.blocks += 1;
        self.open = Some(kind);
    }

    fn delta(&self, delta: Value) -> Frame {
        Frame::named("content_block_delta", json!({ "index": self.blocks.saturating_sub(1), "delta": delta }))
    }

    fn message(&self, content: Value, reason: Value, sequence: Value, usage: Value, served: &Served) -> Value {
        json!({
            "id": self.id, "type": "message", "role": "assistant", "model": served.identity.name, "content": content,
            "stop_reason": reason, "stop_sequence": sequence, "usage": usage,
        })
    }
}

impl Protocol for Messages {
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value {
        let answer = answers.into_iter().next().unwrap_or_default();
        let mut content = Vec::new();
        if !answer.reasoning.is_empty() {
            content.push(json!({ "type": "thinking", "thinking": answer.reasoning, "signature": "" }));
        }
        if !answer.text.is_empty() || answer.calls.is_empty() {
            content.push(json!({ "type": "text", "text": answer.text }));
        }
        for call in answer.calls {
            // A call that was cut is no object; the reason says so.
            let input: Value = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!({}));
            if let Err(error) = glass_json::check_integers(call.arguments.as_bytes()) {
                served.note(format!("a call of the model: {error}"));
            }
            content.push(json!({ "type": "tool_use", "id": call.id, "name": call.name, "input": input }));
        }
        let reason = answer.reason.unwrap_or(Reason::End);
        let (word, sequence) = stopped(&reason);
        let mut message = self.message(content.into(), word.into(), sequence.into(), usage(answer.usage), served);
        reason.note(&mut message);
        message
    }

    fn begin(&mut self, served: &Served) -> Vec<Frame> {
        let used = usage(Usage { prompt_tokens: self.prompt_tokens, ..Usage::default() });
        let message = self.message(json!([]), Value::Null, Value::Null, used, served);
        vec![Frame::named("message_start", json!({ "message": message })), Frame::named("ping", json!({}))]
    }

    fn update(&mut self, update: Update, _served: &Served) -> Vec<Frame> {
        let mut frames = Vec::new();
        match update {
            // Nobody asks for those here.
            Update::Prompt { .. } => {}
            Update::Part { part: Part::Reasoning(text), .. } => {
                let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
                self.open(Block::Thinking, block, &mut frames);
                frames.push(self.delta(json!({ "type": "thinking_delta", "thinking": text })));
            }
            Update::Part { part: Part::Text(text), .. } => {
                self.open(Block::Text, json!({ "type": "text", "text": "" }), &mut frames);
                frames.push(self.delta(json!({ "type": "text_delta", "text": text })));
            }
            Update::Part { part: Part::Call { name }, .. } => {
                let block = json!({ "type": "tool_use", "id": call_id(), "name": name, "input": {} });
                self.open(Block::Call, block, &mut frames);
            }
            Update::Part { part: Part::Arguments(text), .. } => {
                frames.push(self.delta(json!({ "type": "input_json_delta", "partial_json": text })));
            }
            Update::End { reason, usage: used, .. } => {
                if self.blocks == 0 {
                    self.open(Block::Text, json!({ "type": "text", "text": "" }), &mut frames);
                }
                self.close(&mut frames);
                let (word, sequence) = stopped(&reason);
                let mut delta = json!({ "stop_reason": word, "stop_sequence": sequence });
                reason.note(&mut delta);
                self.end = Some((delta, usage(used)));
            }
            Update::Failed(error) => frames.extend(self.failed(&error)),
        }
        frames
    }

    fn end(&mut self, _served: &Served) -> Vec<Frame> {
        let (delta, usage) = self.end.take().unwrap_or_default();
        vec![
            Frame::named("message_delta", json!({ "delta": delta, "usage": usage })),
            Frame::named("message_stop", json!({})),
        ]
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Frame> {
        vec![Frame::named("error", error.anthropic())]
    }
}
