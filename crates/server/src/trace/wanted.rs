//! What is to be seen.

use std::collections::BTreeSet;

use axum::body::Bytes;
use glass_config::LlamaConfig;
use serde_json::Value;

use super::{look::look, report};
use crate::{
    api::{ApiError, Conversation, Fields, Served, read_options, read_prompt},
    tools::ToolChoice,
};

/// Most tokens of a text: everybody else waits while it is looked at.
const MOST_TOKENS: usize = 2048;

/// Most numbers of an answer: in JSON each takes some twenty bytes.
const MOST_NUMBERS: (usize, usize) = (4 << 20, 64 << 20);

/// Most alternatives to a token.
const MOST_TOP: usize = 100;

/// What of a pass is told.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The prompt, and behind it its continuation.
    pub ids: Vec<u32>,
    pub prompt_tokens: usize,
    pub layers: Vec<usize>,
    /// Heads whose attention is told.
    pub heads: Vec<usize>,
    /// Positions whose attention, gates and most probable tokens are told.
    pub positions: Vec<usize>,
    pub parts: BTreeSet<Part>,
    /// How many of the most probable tokens.
    pub top: usize,
    pub safetensors: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Attention probabilities.
    Attention,
    /// States, decays and gates of recurrent layers.
    Recurrence,
    /// Lengths of hidden states.
    Norms,
    /// The most probable tokens at each layer.
    Lens,
    /// Cosines and sines of positions.
    Rope,
    /// What each layer's cache holds in the end.
    Cache,
    /// How long each step took.
    Timings,
}

const PARTS: [(&str, Part); 7] = [
    ("attention", Part::Attention),
    ("recurrence", Part::Recurrence),
    ("norms", Part::Norms),
    ("lens", Part::Lens),
    ("rope", Part::Rope),
    ("cache", Part::Cache),
    ("timings", Part::Timings),
];

/// # Errors
/// What cannot be honoured; a text or an answer that is too large.
pub fn read(served: &Served, body: &[u8]) -> Result<Wanted, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    // Before the options of a chat, which have no format.
    let safetensors = match fields.text("format")?.as_deref() {
        None | Some("json") => false,
        Some("safetensors") => true,
        Some(_) => return Err(fields.invalid("format", "must be json or safetensors")),
    };
    let mut ids = read_text(&mut fields, served)?;
    let prompt_tokens = ids.len();
    if let Some(value) = fields.take("continuation") {
        match value {
            Value::String(text) => {
                let more = served.tokenizer()?.encode(&text, false).map_err(|error| served.error(&error.into()))?;
                ids.extend(more);
            }
            value => ids.extend(read_prompt(value, "continuation", served)?),
        }
    }
    let most = MOST_TOKENS.min(served.service.context());
    if ids.len() > most {
        let (tokens, over) = (ids.len(), ids.len() - most);
        let why = format!(
            "with its continuation it has {tokens} tokens, and {most} are looked at here: shorten it by {over}"
        );
        return Err(ApiError { code: Some("context_length_exceeded"), ..ApiError::invalid("prompt", why) });
    }
    let config = &served.llama().config;
    let heads =
        config.layers.iter().filter_map(|layer| layer.attention()).map(|attention| attention.num_attention_heads).max();
    let layers = indices(&mut fields, "layers", config.layers.len())?;
    let heads = indices(&mut fields, "heads", heads.unwrap_or(0))?;
    let positions = indices(&mut fields, "positions", ids.len())?;
    let top = fields.count("top")?.unwrap_or(5);
    if !(1..=MOST_TOP).contains(&top) {
        return Err(fields.invalid("top", format!("must be from 1 to {MOST_TOP}")));
    }
    let parts = match fields.list("include")? {
        None => {
            let large = [Part::Attention, Part::Recurrence];
            PARTS.iter().map(|(_, part)| *part).filter(|part| !large.contains(part)).collect()
        }
        Some(names) => {
            let part = |name: &Value| PARTS.iter().find(|(known, _)| name == known).map(|(_, part)| *part);
            let parts: Option<BTreeSet<Part>> = names.iter().map(part).collect();
            let known = PARTS.map(|(name, _)| name).join(", ");
            parts.ok_or_else(|| fields.invalid("include", format!("must be a list of {known}")))?
        }
    };
    served.note_unknown(fields.unknown());
    let wanted = Wanted { ids, prompt_tokens, layers, heads, positions, parts, top, safetensors };
    let (numbers, most) = (wanted.numbers(config), if safetensors { MOST_NUMBERS.1 } else { MOST_NUMBERS.0 });
    if numbers > most {
        let why = format!(
            "the answer would have {numbers} numbers, and {most} are the most: ask for fewer layers, heads or positions"
        );
        return Err(ApiError::too_large(why));
    }
    Ok(wanted)
}

/// The prompt: a text, ids, or messages.
fn read_text(fields: &mut Fields, served: &Served) -> Result<Vec<u32>, ApiError> {
    match fields.list("messages")? {
        None => {
            let prompt = fields.take("prompt");
            read_prompt(fields.need("prompt", prompt)?, "prompt", served)
        }
        Some(messages) => {
            let options = read_options(fields, &served.defaults, served.llama().config.vocab_size)?;
            let conversation = Conversation {
                messages: crate::api::chat::read_messages(messages)?,
                tools: vec![],
                choice: ToolChoice::None,
                variables: Default::default(),
                splits_reasoning: false,
                options,
                n: 1,
                names: ("messages", "max_tokens"),
                continues: true,
                cuts: None,
            };
            Ok(conversation.prompt(served)?.ids)
        }
    }
}

/// A list of numbers below `end`; all of them, where nothing is said.
fn indices(fields: &mut Fields, name: &str, end: usize) -> Result<Vec<usize>, ApiError> {
    let Some(values) = fields.list(name)? else {
        return Ok((0..end).collect());
    };
    let index =
        |value: &Value| value.as_u64().and_then(|index| usize::try_from(index).ok()).filter(|index| *index < end);
    let read: Option<BTreeSet<usize>> = values.iter().map(index).collect();
    let read = read.ok_or_else(|| fields.invalid(name, format!("must be a list of numbers below {end}")))?;
    Ok(read.into_iter().collect())
}

impl Wanted {
    pub fn has(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    /// Numbers of the answer, about.
    fn numbers(&self, config: &LlamaConfig) -> usize {
        let (layers, seq, positions) = (self.layers.len(), self.ids.len(), self.positions.len());
        let recurrent = self.layers.iter().filter_map(|&layer| config.layers[layer].mixer.state()).map(|state| {
            let [heads, rows, _] = state.matrix;
            // Of a token, three numbers for each head at most, and the gate of each channel.
            let of_token = heads.saturating_mul(3).saturating_add(heads.saturating_mul(rows));
            let state = if self.safetensors { state.len() } else { heads };
            positions.saturating_mul(of_token).saturating_add(state)
        });
        let each = |part: Part, numbers: usize| if self.has(part) { numbers } else { 0 };
        each(Part::Attention, layers.saturating_mul(self.heads.len()).saturating_mul(positions).saturating_mul(seq))
            .saturating_add(each(Part::Recurrence, recurrent.fold(0, usize::saturating_add)))
            .saturating_add(each(Part::Norms, (layers + 2) * seq))
            .saturating_add(each(Part::Lens, (layers + 2) * positions * self.top * 2))
            .saturating_add(each(Part::Rope, seq * 256))
    }

    /// Looks, between the steps of other texts: the type and the body of the answer.
    ///
    /// # Errors
    /// The device fails; the server is shutting down.
    pub async fn compute(self, served: &Served) -> Result<(&'static str, Bytes), ApiError> {
        let wanted = self.clone();
        let cache = served.defaults.prefill.cache;
        let seen = served.service.run(move |llama| look(llama, &wanted, cache)).await;
        let seen = seen.map_err(|_| ApiError::unavailable("the server is shutting down", 5))?;
        let seen = seen.map_err(|error| served.error(&error))?;
        if self.safetensors {
            return Ok(("application/octet-stream", report::safetensors(&self, seen, served)?.into()));
        }
        Ok((crate::http::JSON, report::json(&self, &seen, served).to_string().into()))
    }
}
