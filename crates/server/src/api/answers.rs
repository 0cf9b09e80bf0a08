//! What the engine tells of a request, in the words that all protocols share: parts of answers, and their ends.

mod choice;

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use glass_generate::{FinishReason, TokenLogprobs};
use serde_json::Value;

use self::choice::Choice;
use super::{ApiError, Served, random};
use crate::{
    engine::{Event, Ticket, Timings, Usage},
    reasoning::Thoughts,
    tools::{Part, Reader},
};

/// Why an answer is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The model ended it, or the JSON is whole.
    End,
    /// A stop string; which one, if that is known.
    Stop(Option<String>),
    Length,
    /// Rules forbid every token.
    NoToken,
    Calls,
}

impl Reason {
    /// OpenAI's word.
    pub fn openai(&self) -> &'static str {
        match self {
            Self::End | Self::Stop(_) | Self::NoToken => "stop",
            Self::Length => "length",
            Self::Calls => "tool_calls",
        }
    }

    /// Whether something broke the answer off.
    pub fn cuts(&self) -> bool {
        matches!(self, Self::Length | Self::NoToken)
    }

    /// Says in an answer what no other server has a word for.
    pub fn note(&self, answer: &mut Value) {
        if *self == Self::NoToken {
            answer["glass_finish_reason"] = FinishReason::NoToken.to_string().into();
        }
    }
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// More log-probabilities of the prompt of this choice and those behind it.
    Prompt {
        choice: usize,
        logprobs: Vec<TokenLogprobs>,
    },
    Part {
        choice: usize,
        part: Part,
        logprobs: Vec<TokenLogprobs>,
    },
    End {
        choice: usize,
        reason: Reason,
        usage: Usage,
        reasoning_tokens: usize,
        timings: Timings,
    },
    Failed(ApiError),
}

/// The answers to a request, as they grow.
pub struct Answers {
    /// Of each prompt, with the number of its first choice; `None` behind its last event.
    tickets: Vec<(Option<Ticket>, usize)>,
    choices: Vec<Choice>,
    stops: Vec<String>,
    /// One call of each answer at most.
    single_call: bool,
    ready: VecDeque<Update>,
    /// Something was taken up; before, an error is the request's.
    started: bool,
    over: bool,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Of the prompt, at its first answer.
    pub prompt_logprobs: Vec<TokenLogprobs>,
    pub reasoning: String,
    pub text: String,
    pub calls: Vec<Call>,
    pub logprobs: Vec<TokenLogprobs>,
    pub reason: Option<Reason>,
    pub usage: Usage,
    pub reasoning_tokens: usize,
    pub timings: Timings,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Call {
    pub id: String,
    pub name: String,
    pub arguments: String,
}

/// A name for a call: nine letters and digits, which is what the templates of one family want of it.
pub fn call_id() -> String {
    const LETTERS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut number = random();
    let mut letter = || {
        let letter = LETTERS[(number % 36) as usize];
        number /= 36;
        char::from(letter)
    };
    (0..9).map(|_| letter()).collect()
}

impl Answers {
    /// `n` answers to each of some prompts. `stops` are the strings that end them.
    pub fn new(tickets: Vec<Ticket>, n: usize, reader: Option<Reader>, stops: Vec<String>) -> Self {
        let choice = || Choice { reader: reader.clone(), ..Choice::default() };
        let choices = (0..n * tickets.len()).map(|_| choice()).collect();
        let tickets = tickets.into_iter().enumerate().map(|(prompt, ticket)| (Some(ticket), prompt * n)).collect();
        Self { tickets, choices, stops, single_call: false, ready: VecDeque::new(), started: false, over: false }
    }

    /// Takes thoughts apart from each answer.
    pub fn with_thoughts(mut self, thoughts: Option<Thoughts>) -> Self {
        for choice in &mut self.choices {
            choice.thoughts.clone_from(&thoughts);
        }
        self
    }

    /// Drops what comes behind the first call of an answer.
    pub fn with_single_call(mut self, single_call: bool) -> Self {
        self.single_call = single_call;
        self
    }

    /// The next update; `None` behind the last.
    pub async fn next(&mut self, served: &Served) -> Option<Update> {
        loop {
            if let Some(update) = self.ready.pop_front() {
                return Some(update);
            }
            if self.over {
                return None;
            }
            match self.event().await {
                Some((first, event)) => self.read(first, event, served),
                None => {
                    self.over = true;
                    if self.choices.iter().any(|choice| !choice.over) {
                        return Some(Update::Failed(ApiError::unavailable(
                            "the server ended before the answer did",
                            5,
                        )));
                    }
                }
            }
        }
    }

    /// The next event of any prompt, with the number of the prompt's first choice.
    async fn event(&mut self) -> Option<(usize, Event)> {
        poll_fn(|context| {
            let mut open = false;
            for (ticket, first) in &mut self.tickets {
                let Some(waiting) = ticket else {
                    continue;
                };
                // Nothing is lost where this future is dropped: an event stays until it is taken.
                let polled = pin!(waiting.next()).poll(context);
                match polled {
                    Poll::Ready(Some(event)) => return Poll::Ready(Some((*first, event))),
                    Poll::Ready(None) => *ticket = None,
                    Poll::Pending => open = true,
                }
            }
            if open { Poll::Pending } else { Poll::Ready(None) }
        })
        .await
    }

    /// All of the answers.
    ///
    /// # Errors
    /// What broke them off.
    pub async fn collect(mut self, served: &Served) -> Result<Vec<Answer>, ApiError> {
        let mut answers = vec![Answer::default(); self.choices.len()];
        while let Some(update) = self.next(served).await {
            match update {
                Update::Prompt { choice, logprobs } => answers[choice].prompt_logprobs.extend(logprobs),
                Update::Part { choice, part, logprobs } => {
                    let answer = &mut answers[choice];
                    answer.logprobs.extend(logprobs);
                    match part {
                        Part::Reasoning(text) => answer.reasoning.push_str(&text),
                        Part::Text(text) => answer.text.push_str(&text),
                        Part::Call { name } => {
                            answer.calls.push(Call { id: call_id(), name, arguments: String::new() });
                        }
                        Part::Arguments(text) => {
                            if let Some(call) = answer.calls.last_mut() {
                                call.arguments.push_str(&text);
                            }
                        }
                    }
                }
                Update::End { choice, reason, usage, reasoning_tokens, timings } => {
                    let answer = &mut answers[choice];
                    (answer.reason, answer.usage, answer.timings) = (Some(reason), usage, timings);
                    answer.reasoning_tokens = reasoning_tokens;
                }
                Update::Failed(error) => return Err(error),
            }
        }
        Ok(answers)
    }

    fn read(&mut self, first: usize, event: Event, served: &Served) {
        match event {
            Event::Started { .. } => self.started = true,
            Event::Prompt(logprobs) => self.ready.push_back(Update::Prompt { choice: first, logprobs }),
            Event::Token { choice, id, text, logprobs } => {
                let number = first + choice;
                let Some(choice) = self.choices.get_mut(number) else {
                    return;
                };
                // Without a tokenizer the ids are the text.
                let text = match (&served.llama().tokenizer, id) {
                    (None, Some(id)) => String::from_utf8_lossy(&served.token_bytes(id)).into_owned(),
                    _ => text,
                };
                choice.logprobs.extend(logprobs);
                if self.stops.len() > 1 {
                    choice.ids.extend(id);
                }
                let mut parts = Vec::new();
                // The text has no special tokens, and some of them begin calls or thoughts.
                let tokenizer = served.llama().tokenizer.as_ref();
                let special = tokenizer.filter(|_| choice.takes_apart()).and_then(|known| known.special_text(id?));
                choice.think(text, special.as_deref(), &mut parts);
                self.put(number, parts);
            }
            Event::Finished { choice, reason, usage, timings } => {
                let number = first + choice;
                let Some(choice) = self.choices.get_mut(number) else {
                    return;
                };
                choice.over = true;
                let mut parts = Vec::new();
                let mut found = Vec::new();
                choice.end_thoughts(&mut found);
                choice.take_over(found, &mut parts);
                if let Some(reader) = choice.reader.take() {
                    reader.finish(&mut parts);
                }
                // The token that ends an answer is no part of it.
                if reason == FinishReason::Eos {
                    choice.logprobs.pop();
                }
                if parts.is_empty() && !choice.logprobs.is_empty() {
                    parts.push(Part::Text(String::new()));
                }
                self.put(number, parts);
                let choice = &self.choices[number];
                let reasoning_tokens = choice.reasoning_tokens;
                let reason = match reason {
                    // A call that was cut is none.
                    FinishReason::Length => Reason::Length,
                    FinishReason::NoToken => Reason::NoToken,
                    _ if choice.calls > 0 => Reason::Calls,
                    FinishReason::StopString => Reason::Stop(which(&self.stops, &choice.ids, served)),
                    FinishReason::Eos | FinishReason::Complete | FinishReason::Interrupted => Reason::End,
                };
                self.ready.push_back(Update::End { choice: number, reason, usage, reasoning_tokens, timings });
            }
            Event::Failed { reason, of_request } => {
                self.over = true;
                let line = served.without_path(&reason);
                let error = match served.service.is_running() && !served.is_leaving() {
                    true if self.started && !of_request => ApiError::internal(line),
                    true => ApiError::unprocessable(line),
                    false => ApiError::unavailable(line, 5),
                };
                self.ready.push_back(Update::Failed(error));
            }
        }
    }

    fn put(&mut self, number: usize, parts: Vec<Part>) {
        let choice = &mut self.choices[number];
        for part in parts {
            if matches!(part, Part::Call { .. }) {
                choice.calls += 1;
            }
            if self.single_call && (choice.calls > 1 || (choice.calls == 1 && matches!(part, Part::Text(_)))) {
                continue;
            }
            let logprobs = std::mem::take(&mut choice.logprobs);
            self.ready.push_back(Update::Part { choice: number, part, logprobs });
        }
    }
}

/// The stop string that ended a text.
fn which(stops: &[String], ids: &[u32], served: &Served) -> Option<String> {
    if let [stop] = stops {
        return Some(stop.clone());
    }
    let text = served.llama().tokenizer.as_ref()?.decode(ids, false).ok()?;
    // The one that is complete first; of two, the longer.
    let end = |stop: &&String| text.find(stop.as_str()).map(|at| (at + stop.len(), at));
    stops.iter().filter(|stop| end(stop).is_some()).min_by_key(end).cloned()
}
