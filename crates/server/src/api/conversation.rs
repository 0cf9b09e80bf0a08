//! A conversation that is to go on: messages, functions and rules, in the words that all protocols share; and the request that
//! the engine gets for it.

use glass_generate::{GenerateOptions, JsonSchema, MarkedSchema};
use glass_text::ChatInput;
use serde_json::{Map, Value, json};

use super::{
    ApiError, Fields, Served,
    prefill::{cut_last, open_last},
};
use crate::{
    engine::Request,
    reasoning::Thoughts,
    tools::{Forced, Reader, Tool, ToolChoice, marked},
};

/// Most bytes of a JSON schema: a grammar is made of it before anything is computed.
const LARGEST_SCHEMA: usize = 64 << 10;

/// What is asked for.
pub struct Conversation {
    /// Objects with `role` and `content`, as chat templates read them.
    pub messages: Vec<Value>,
    pub tools: Vec<Tool>,
    pub choice: ToolChoice,
    /// More variables for the template, as `enable_thinking`.
    pub variables: Map<String, Value>,
    /// Whether thoughts are told apart from the answer.
    pub splits_reasoning: bool,
    /// How the answer is written; its limit is that of the request, or 0 for none.
    pub options: GenerateOptions,
    pub n: usize,
    /// The parameters that hold the messages and the limit.
    pub names: (&'static str, &'static str),
    /// Whether a last message of the assistant is gone on with.
    pub continues: bool,
    /// A parameter by which JSON would not end where it is whole.
    pub cuts: Option<&'static str>,
}

/// A conversation that is ready for the engine.
pub struct Prepared {
    pub request: Request,
    /// What takes thoughts apart from the answer, if the model has any.
    pub thoughts: Option<Thoughts>,
    /// What takes the answer apart, if functions may be called.
    pub reader: Option<Reader>,
}

/// A conversation as the model reads it.
pub struct Prompt {
    pub ids: Vec<u32>,
    /// The call that is forced.
    forced: Option<Forced>,
    thoughts: Option<Thoughts>,
}

impl Conversation {
    /// Renders and encodes it.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn prompt(&self, served: &Served) -> Result<Prompt, ApiError> {
        let Some(template) = &served.identity.template else {
            let why = "this model has no chat template, as it was not trained to chat: use /v1/completions";
            return Err(ApiError::unprocessable(why));
        };
        for name in template.unread(&self.variables) {
            served.note_unread(name);
        }
        let calls = !self.tools.is_empty() && self.choice != ToolChoice::None;
        let forced = match (&served.syntax, calls) {
            (_, false) => None,
            (Some(syntax), true) => Forced::new(&self.choice, &self.tools, syntax),
            (None, true) => {
                let why =
                    "the chat template of this model has no place for functions, as it was not trained to call them";
                return Err(ApiError::unsupported("tools", why));
            }
        };
        let (messages, _) = self.names;
        if served.syntax.is_none() && self.messages.iter().any(|message| message.get("tool_calls").is_some()) {
            let why = "has calls, and the chat template of this model has no place for them: leave them out";
            return Err(ApiError::unsupported(messages, why));
        }
        let tools = self.tools.iter().map(Tool::for_template).collect();
        let mut input = ChatInput {
            messages: self.messages.clone(),
            tools: Some(tools).filter(|_| calls),
            documents: None,
            add_generation_prompt: true,
            variables: self.variables.clone(),
        };
        // JSON of a schema begins anew, and so does its turn.
        let continues = self.continues && self.options.json_schema.is_none() && open_last(&mut input.messages);
        input.add_generation_prompt = !continues;
        let mut text = template.render(&input).map_err(|error| served.template_error(&error, messages))?;
        if continues {
            cut_last(&mut text, messages)?;
        }
        let holds = forced.is_some() || self.options.json_schema.is_some();
        let call = forced.as_ref().map_or("", |forced| &forced.prefix);
        if let Some(marks) = served.marks.filter(|_| holds) {
            marks.hold(&mut text, call);
        }
        let aloud = !(self.splits_reasoning && served.identity.splits_reasoning);
        let thoughts =
            served.marks.filter(|_| !holds).map(|marks| Thoughts::new(marks, &text, aloud).with_calls(calls));
        text.push_str(call);
        let ids = served.tokenizer()?.encode(&text, false).map_err(|error| served.error(&error.into()))?;
        Ok(Prompt { ids, forced, thoughts })
    }

    /// What holds the calls of strict functions that the model may make. Where its syntax cannot be held, that is told once.
    fn strict(&self, served: &Served) -> Result<Vec<MarkedSchema>, ApiError> {
        let marked = served.syntax.as_ref().and_then(|syntax| marked(&self.tools, syntax));
        let Some(marked) = marked else {
            let why = "a request has strict functions, and this model writes calls in a way that is not held to a schema unless \
                       tool_choice forces them";
            served.note(why.to_owned());
            return Ok(Vec::new());
        };
        let each = marked.into_iter().map(|(mark, found)| Ok(MarkedSchema { mark, schema: schema("tools", &found)? }));
        each.collect()
    }

    /// How many tokens the prompt has.
    ///
    /// # Errors
    /// As [`prepare`](Self::prepare).
    pub fn count(&self, served: &Served) -> Result<usize, ApiError> {
        Ok(self.prompt(served)?.ids.len())
    }

    /// The request for the engine.
    ///
    /// # Errors
    /// A template that refuses the messages; functions that the model cannot call; a schema that is not honoured; a prompt
    /// that does not fit.
    pub fn prepare(mut self, served: &Served) -> Result<Prepared, ApiError> {
        let Prompt { ids, forced, thoughts } = self.prompt(served)?;
        let (prompt, _) = self.names;
        self.options.max_new_tokens = limit(self.options.max_new_tokens, ids.len(), prompt, served)?;
        let calls = !self.tools.is_empty() && self.choice != ToolChoice::None;
        if calls && self.options.json_schema.is_some() {
            let why = "cannot be held together with functions: a call is no such JSON";
            return Err(ApiError::unsupported("response_format", why));
        }
        if let Some(forced) = &forced {
            end_with_json(self.cuts, "a forced call")?;
            self.options.json_schema = Some(schema("tools", &forced.schema)?);
        }
        if self.options.json_schema.is_some() {
            // Those of the model's files; a request's own are an error before.
            self.options.stop_strings.clear();
        }
        if calls && forced.is_none() && self.tools.iter().any(|tool| tool.strict) {
            self.options.marked_schemas = self.strict(served)?;
        }
        let reader = match (&served.syntax, &forced) {
            (Some(syntax), Some(forced)) => Some(forced.reader(syntax)),
            _ if thoughts.as_ref().is_some_and(Thoughts::has_calls) => None,
            (Some(syntax), None) if calls => Some(Reader::new(syntax.clone(), self.tools.clone())),
            _ => None,
        };
        let request = Request { ids, options: self.options, prompt_logprobs: None, n: self.n };
        Ok(Prepared { request, thoughts, reader })
    }
}

/// The new tokens that a request may get: what it asks for, or the model's makers, or the context.
///
/// # Errors
/// The context has no room for one.
pub fn limit(asked: usize, prompt: usize, name: &str, served: &Served) -> Result<usize, ApiError> {
    let context = served.service.context();
    if prompt >= context {
        return Err(ApiError::too_long(name, prompt, context, true));
    }
    let most = if asked > 0 { Some(asked) } else { served.defaults.max_new_tokens };
    Ok(most.unwrap_or(usize::MAX).min(context - prompt))
}

/// A schema of a request.
///
/// # Errors
/// It is too large, or says something that is not honoured.
pub fn schema(param: &str, schema: &Value) -> Result<JsonSchema, ApiError> {
    let text = schema.to_string();
    if text.len() > LARGEST_SCHEMA {
        let why = format!("the schema has {} bytes, and {LARGEST_SCHEMA} are the most", text.len());
        return Err(ApiError::invalid(param, why));
    }
    JsonSchema::parse(&text).map_err(|error| ApiError { status: 422, ..ApiError::invalid(param, error.to_string()) })
}

/// Takes `response_format`, or `text.format` of the Responses API, whose schema stands one level higher.
///
/// # Errors
/// A format that nobody knows; a schema that is not honoured; a parameter beside it that `cuts` JSON.
pub fn read_format(
    format: Option<Fields>,
    options: &mut GenerateOptions,
    cuts: Option<&str>,
    served: &Served,
) -> Result<(), ApiError> {
    let Some(mut format) = format else {
        return Ok(());
    };
    // Words for the model, which the schema itself brings or the template has no place for.
    const WORDS: [&str; 3] = ["name", "description", "strict"];
    let kind = format.text("type")?;
    let kind = format.need("type", kind)?;
    let param = format.name("type");
    let found = match kind.as_str() {
        "text" => return Ok(()),
        // With a schema it is the form of llama-server.
        "json_object" => format.take("schema").unwrap_or_else(|| json!({ "type": "object" })),
        "json_schema" => {
            if let Some(mut holder) = format.object("json_schema")? {
                let found = holder.take("schema");
                let found = holder.need("schema", found)?;
                holder.pass_over(&WORDS);
                served.note_unknown(holder.unknown());
                found
            } else {
                let found = format.take("schema");
                format.need("schema", found)?
            }
        }
        other => {
            let why = format!("{other:?} is no format: text, json_object and json_schema are");
            return Err(ApiError::invalid(param, why));
        }
    };
    format.pass_over(&WORDS);
    served.note_unknown(format.unknown());
    end_with_json(cuts, "response_format")?;
    options.json_schema = Some(schema("response_format", &found)?);
    Ok(())
}

/// JSON ends where it is whole, and nowhere else.
fn end_with_json(cuts: Option<&str>, json: &str) -> Result<(), ApiError> {
    match cuts {
        None => Ok(()),
        Some(param) => {
            let why = format!("cannot be kept beside {json}, whose JSON ends where it is whole: leave it out");
            Err(ApiError::unsupported(param, why))
        }
    }
}

/// Which of these parameters, if any, would have a text end elsewhere than JSON does.
pub fn cuts(fields: &Fields, names: &[&'static str]) -> Option<&'static str> {
    let asks = |name: &&&'static str| match fields.peek(name) {
        None | Some(Value::Bool(false)) => false,
        Some(Value::Array(items)) => !items.is_empty(),
        Some(_) => true,
    };
    names.iter().find(asks).copied()
}

/// Texts of a content: a text, or parts of text. `kinds` are the types of parts that are text.
///
/// # Errors
/// Something else: this model reads text alone.
pub fn read_content(content: Value, place: &str, kinds: &[&str]) -> Result<String, ApiError> {
    let parts = match content {
        Value::String(text) => return Ok(text),
        Value::Array(parts) => parts,
        _ => return Err(ApiError::invalid(place, "must be a text or a list of parts")),
    };
    let mut texts = Vec::new();
    for (index, part) in parts.into_iter().enumerate() {
        let mut part = Fields::of_value(part, &format!("{place}[{index}]"))?;
        let kind = part.text("type")?;
        let kind = part.need("type", kind)?;
        if !kinds.contains(&kind.as_str()) {
            let why = format!("{kind:?} is not read: this model reads text alone");
            return Err(ApiError::unsupported(part.name("type"), why));
        }
        let field = if kind == "refusal" { "refusal" } else { "text" };
        let text = part.text(field)?;
        texts.push(part.need(field, text)?);
    }
    Ok(texts.join("\n"))
}

/// Takes the arguments of an earlier call as templates want them: an object, where they are one. The model may have written
/// integers that no value holds: they keep their digits, as texts.
pub fn read_arguments(call: &mut Fields) -> Value {
    match call.take("arguments") {
        None => json!({}),
        Some(Value::String(text)) => match serde_json::from_str(&glass_json::quote_integers(&text)) {
            Ok(Value::Object(object)) => object.into(),
            _ => Value::String(text),
        },
        Some(other) => other,
    }
}
