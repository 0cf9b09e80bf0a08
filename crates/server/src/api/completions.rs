//! `/v1/completions`: texts that go on, without a chat.

use glass_generate::TokenLogprobs;
use serde_json::{Map, Value, json};

use super::{
    Answer, Answers, ApiError, Asked, Fields, Frame, Protocol, Reason, Served, Update,
    chat::{Stream, answers, read_stream},
    cuts, limit, now,
    protocol::{Sum, finite, timings},
    random, read_format, read_options,
    token_text::{place, token_text},
};
use crate::{
    engine::{Request, Usage},
    tools::Part,
};

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
    let cuts = cuts(&fields, &["stop", "ignore_eos"]);
    if cuts == Some("stop") && served.llama().tokenizer.is_none() {
        let why = "watches the text, and this model has no tokenizer that would make ids text: leave it out";
        return Err(ApiError::unsupported("stop", why));
    }
    let echo = fields.flag("echo")? == Some(true);
    let mut options = read_options(&mut fields, &served.defaults, served.llama().config.vocab_size)?;
    let asked = match fields.either(&["max_tokens", "max_completion_tokens", "n_predict"], Fields::limit)? {
        Some((name, 0)) if !echo => {
            return Err(fields.invalid(name, "must be at least 1, or 0 to repeat the prompt alone (echo)"));
        }
        asked => asked.map_or(TOKENS, |(_, most)| most),
    };
    options.logprobs = match fields.count("logprobs")? {
        Some(top) if top > MOST_LOGPROBS => {
            return Err(fields.invalid("logprobs", format!("must be from 0 to {MOST_LOGPROBS}")));
        }
        top => top,
    };
    let prompt_logprobs = options.logprobs.filter(|_| echo);
    read_format(fields.object("response_format")?, &mut options, cuts, served)?;
    if options.json_schema.is_some() {
        options.stop_strings.clear();
    }
    let n = answers(&mut fields)?;
    fields.refuse("top_logprobs", &[json!(0)], "is of chats: here logprobs is their number")?;
    fields.refuse("add_special_tokens", &[json!(true)], "is not supported: give ids for a prompt without them")?;
    fields.refuse("best_of", &[json!(1), json!(n)], "is not supported: n answers come as they are")?;
    served.note_unknown(fields.unknown());

    let stops = options.stop_strings.clone();
    let (mut tickets, mut echoes) = (Vec::new(), Vec::new());
    for Prompt { ids, text } in prompts {
        let mut options = options.clone();
        options.max_new_tokens = match asked {
            // The pass that tells of the prompt brings a new token, which nobody hears of.
            0 => usize::from(prompt_logprobs.is_some()),
            asked => limit(asked, ids.len(), "prompt", served)?,
        };
        if echo {
            let text = match (text, &served.llama().tokenizer) {
                (Some(text), _) => text,
                (None, Some(known)) => known.decode(&ids, true).map_err(|error| served.error(&error.into()))?,
                (None, None) => String::from_utf8_lossy(&bytes(&ids, served)).into_owned(),
            };
            let blanks = match prompt_logprobs {
                Some(_) => leading_blanks(&bytes(&ids, served)).saturating_sub(leading_blanks(text.as_bytes())),
                None => 0,
            };
            echoes.push(Echo { text, first: prompt_logprobs.map(|_| ids[0]), blanks });
        }
        let submitted = served.service.submit(Request { ids, options, prompt_logprobs, n });
        tickets.push(submitted.map_err(|refused| served.refused(&refused, "prompt", "max_tokens"))?);
    }
    let protocol = Completions::new(n, stream, echoes, asked == 0);
    Ok(Asked { answers: Answers::new(tickets, n, None, stops), stream: stream.on, protocol: Box::new(protocol) })
}

/// What tokens add to a text; special tokens are no part of it.
fn bytes(ids: &[u32], served: &Served) -> Vec<u8> {
    ids.iter().filter(|id| !is_special(**id, served)).flat_map(|&id| served.token_bytes(id)).collect()
}

fn is_special(id: u32, served: &Served) -> bool {
    served.llama().tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.special_text(id).is_some())
}

fn leading_blanks(text: &[u8]) -> usize {
    text.iter().take_while(|byte| **byte == b' ').count()
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
    echoes: Vec<Echo>,
    /// Only they are.
    echoes_alone: bool,
    sum: Sum,
    /// Characters of each text so far, for the places of its tokens.
    offsets: Vec<Option<usize>>,
}

/// A prompt that is repeated.
struct Echo {
    text: String,
    /// Its first token, if log-probabilities of the others are told.
    first: Option<u32>,
    /// Blanks that the tokenizer put in front: they are no part of the text.
    blanks: usize,
}

impl Completions {
    fn new(n: usize, stream: Stream, echoes: Vec<Echo>, echoes_alone: bool) -> Self {
        let id = format!("cmpl-{:016x}", random());
        Self { id, created: now(), n, stream, echoes, echoes_alone, sum: Sum::default(), offsets: Vec::new() }
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

    /// The older form of log-probabilities: one list each. What is told of a prompt begins with its first token, of which there
    /// is nothing to tell.
    fn logprobs(&mut self, choice: usize, logprobs: &[TokenLogprobs], served: &Served) -> Value {
        if self.offsets.len() <= choice {
            self.offsets.resize(choice + 1, None);
        }
        let echo = self.echoes.get(choice / self.n).filter(|_| self.offsets[choice].is_none());
        let first = echo.and_then(|echo| echo.first);
        let mut blanks = echo.map_or(0, |echo| echo.blanks);
        if logprobs.is_empty() && first.is_none() {
            return Value::Null;
        }
        let text = |id| token_text(served.token_bytes(id));
        let ids = first.into_iter().chain(logprobs.iter().map(|told| told.id));
        let mut offset = self.offsets[choice].unwrap_or(0);
        let mut offsets = Vec::new();
        for id in ids.clone() {
            let bytes = bytes(&[id], served);
            let dropped = blanks.min(leading_blanks(&bytes));
            blanks -= dropped;
            let (at, behind) = place(offset, &bytes[dropped..]);
            offsets.push(at);
            offset = behind;
        }
        self.offsets[choice] = Some(offset);
        let top = |told: &TokenLogprobs| -> Value {
            let mut top = Map::new();
            for &(id, logprob) in &told.top {
                // Of two tokens with one text the more probable, which comes first.
                top.entry(text(id)).or_insert_with(|| finite(logprob).into());
            }
            top.into()
        };
        let nothing = || first.map(|_| Value::Null).into_iter();
        json!({
            "tokens": ids.map(text).collect::<Vec<_>>(),
            "token_logprobs": nothing().chain(logprobs.iter().map(|told| finite(told.logprob).into())).collect::<Vec<_>>(),
            "top_logprobs": nothing().chain(logprobs.iter().map(top)).collect::<Vec<_>>(),
            "text_offset": offsets,
        })
    }

    /// What there is of an end where the prompts alone are repeated.
    fn ended(&self, reason: Reason, usage: Usage) -> (Reason, Usage) {
        match self.echoes_alone {
            true => (Reason::Length, Usage { completion_tokens: 0, ..usage }),
            false => (reason, usage),
        }
    }
}

impl Protocol for Completions {
    fn whole(&mut self, answers: Vec<Answer>, served: &Served) -> Value {
        let first = answers.first().map(|answer| timings(answer.usage, answer.timings));
        let (mut choices, mut prompt) = (Vec::new(), Vec::new());
        for (index, mut answer) in answers.into_iter().enumerate() {
            if index % self.n == 0 {
                prompt = answer.prompt_logprobs;
            }
            if self.echoes_alone {
                (answer.text, answer.logprobs) = Default::default();
            }
            let (reason, usage) = self.ended(answer.reason.unwrap_or(Reason::End), answer.usage);
            self.sum.add(usage, 0, index % self.n == 0);
            let echo = self.echoes.get(index / self.n).map(|echo| echo.text.clone()).unwrap_or_default();
            let logprobs = self.logprobs(index, &[&prompt[..], &answer.logprobs].concat(), served);
            let mut choice = json!({
                "index": index, "text": echo + &answer.text, "logprobs": logprobs, "finish_reason": reason.openai(),
            });
            reason.note(&mut choice);
            choices.push(choice);
        }
        let mut body = self.object(choices.into(), served);
        body["usage"] = self.sum.usage();
        body["timings"] = first.unwrap_or_default();
        body
    }

    fn begin(&mut self, served: &Served) -> Vec<Frame> {
        let echo = |(index, echo): (usize, &Echo)| {
            let choices = index * self.n..(index + 1) * self.n;
            choices.map(|choice| Frame::data(&self.chunk(choice, &echo.text, served))).collect::<Vec<_>>()
        };
        self.echoes.iter().enumerate().flat_map(echo).collect()
    }

    fn update(&mut self, update: Update, served: &Served) -> Vec<Frame> {
        match update {
            Update::Prompt { choice, logprobs } => {
                let choices = choice..choice + self.n;
                let told = |choice| {
                    let mut chunk = self.chunk(choice, "", served);
                    chunk["choices"][0]["logprobs"] = self.logprobs(choice, &logprobs, served);
                    Frame::data(&chunk)
                };
                choices.map(told).collect()
            }
            Update::Part { .. } if self.echoes_alone => vec![],
            Update::Part { choice, part: Part::Text(text), logprobs } => {
                let mut chunk = self.chunk(choice, &text, served);
                chunk["choices"][0]["logprobs"] = self.logprobs(choice, &logprobs, served);
                vec![Frame::data(&chunk)]
            }
            // Nothing reads calls or thoughts out of texts.
            Update::Part { .. } => vec![],
            Update::End { choice, reason, usage, timings: took, .. } => {
                let (reason, usage) = self.ended(reason, usage);
                self.sum.add(usage, 0, choice % self.n == 0);
                let mut chunk = self.chunk(choice, "", served);
                if self.echoes_alone {
                    // A prompt of one token has nothing more to tell.
                    chunk["choices"][0]["logprobs"] = self.logprobs(choice, &[], served);
                }
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
