//! Conversations: what was read of one is not read again.

use std::{fmt, ops::ControlFlow};

use glass_kv_cache::CacheError;
use glass_text::{ChatTemplate, Message, Role};

use crate::{Error, FinishReason, GenerateOptions, Generated, Lane, Llama, Progress, generate_from};

/// A model and what was said with it.
///
/// Each turn renders all messages anew. What the prompt's ids have in common with those that the cache has read is not
/// computed again; mostly that is everything up to the new message. Answers are the same as without it.
pub struct Conversation<'m> {
    llama: &'m Llama,
    template: &'m ChatTemplate,
    options: GenerateOptions,
    messages: Vec<Message>,
    /// Messages behind the system message that the model is no longer given, because its context is full.
    forgotten: usize,
    /// How often the last message was answered anew.
    retries: u64,
    read: Option<Read>,
}

/// What the model has read: the ids whose keys and values the lane has.
struct Read {
    ids: Vec<u32>,
    lane: Lane,
}

/// What the model answered.
#[derive(Clone, Debug, PartialEq)]
pub struct Reply {
    pub generated: Generated,
    /// Why nothing of what was read before could be used.
    pub restart: Option<Restart>,
}

impl Reply {
    /// The answer.
    pub fn text(&self) -> &str {
        self.generated.text.as_deref().unwrap_or_default()
    }

    /// Whether it belongs to the conversation: not if it was broken off, or could not go on, before it began.
    pub fn counts(&self) -> bool {
        let is_broken = matches!(self.generated.finish_reason, FinishReason::Interrupted | FinishReason::NoToken);
        !is_broken || !self.text().is_empty()
    }
}

/// Why a prompt is read from its first token on, though a part of it was read before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restart {
    /// The new prompt parts from what was read before the states that the cache still has.
    Overwritten,
    /// The rope type turns keys by the length of the text.
    RotatedByLength,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Overwritten => {
                "the cache keeps no more than a window, and the prompt parts from what was read before it (--cache full \
                 keeps all)"
            }
            Self::RotatedByLength => "the rope type turns what was read by the length of the text",
        })
    }
}

/// A prompt that fits into the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fitted {
    pub ids: Vec<u32>,
    /// Messages behind the system message that are left out.
    pub forgotten: usize,
}

/// States that a cache keeps beyond its window, so that it can go back behind the end of an answer: templates cut
/// whitespace there, and text may be tokenized otherwise than it was generated.
const ROLLBACK: usize = 32;

impl<'m> Conversation<'m> {
    /// A conversation in which nothing was said yet. `options` hold for every answer; `max_new_tokens` is cut to what the
    /// context has room for, and the seed moves on from turn to turn.
    pub fn new(llama: &'m Llama, template: &'m ChatTemplate, options: GenerateOptions) -> Self {
        Self { llama, template, options, messages: Vec::new(), forgotten: 0, retries: 0, read: None }
    }

    /// Goes on from messages that were said before, in place of those here: as
    /// [`read_messages`](glass_text::read_messages) gives them.
    pub fn set_messages(&mut self, messages: Vec<Message>) {
        self.messages = messages;
        self.forgotten = 0;
    }

    pub fn options(&self) -> &GenerateOptions {
        &self.options
    }

    /// What holds from the next answer on; a cache that is there stays as it is.
    pub fn options_mut(&mut self) -> &mut GenerateOptions {
        &mut self.options
    }

    /// Everything that was said, forgotten or not.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Messages that the model is no longer given.
    pub fn forgotten(&self) -> usize {
        self.forgotten
    }

    pub fn system(&self) -> Option<&str> {
        let first = self.messages.first()?;
        (first.role == Role::System).then_some(&*first.content)
    }

    /// Replaces the system message, or removes it. The rest of the conversation stays.
    pub fn set_system(&mut self, text: Option<String>) {
        let there = usize::from(self.system().is_some());
        let new = text.map(|text| Message::new(Role::System, text));
        self.messages.splice(..there, new);
    }

    /// Forgets what was said, but not the system message.
    pub fn reset(&mut self) {
        self.messages.truncate(usize::from(self.system().is_some()));
        self.forgotten = 0;
    }

    /// Tokens whose keys and values are there.
    pub fn tokens_read(&self) -> usize {
        self.read.as_ref().map_or(0, |read| read.ids.len())
    }

    /// Takes the last message and its answer back, and returns the message.
    pub fn undo(&mut self) -> Option<Message> {
        let (message, _) = self.take_turn()?;
        // Of the older turns perhaps more fit again.
        self.forgotten = 0;
        Some(message)
    }

    /// Says `text` and lets the model answer. An answer that is broken off counts as far as it came; if it has no text
    /// yet, or on an error, nothing was said.
    ///
    /// # Errors
    /// A template that refuses the messages; a message that alone does not fit into the context; as
    /// [`generate`](crate::generate).
    pub fn say(
        &mut self,
        text: &str,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Reply, Error> {
        self.retries = 0;
        self.turn(Message::new(Role::User, text), progress)
    }

    /// Lets the model answer the last message anew, with another seed; `None` if there is none. Where [`say`](Self::say)
    /// would leave nothing said, the answer that was there stays.
    ///
    /// # Errors
    /// As [`Conversation::say`].
    pub fn retry(&mut self, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<Option<Reply>, Error> {
        let Some((message, answer)) = self.take_turn() else {
            return Ok(None);
        };
        self.retries += 1;
        let reply = self.turn(message.clone(), progress);
        if !reply.as_ref().is_ok_and(Reply::counts) {
            self.messages.extend([message, answer]);
        }
        reply.map(Some)
    }

    fn take_turn(&mut self) -> Option<(Message, Message)> {
        let answer = self.messages.pop_if(|last| last.role == Role::Assistant)?;
        Some((self.messages.pop()?, answer))
    }

    fn turn(
        &mut self,
        message: Message,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Reply, Error> {
        let forgotten = self.forgotten;
        self.messages.push(message);
        let reply = self.answer(progress);
        match &reply {
            Ok(reply) if reply.counts() => self.messages.push(Message::new(Role::Assistant, reply.text())),
            _ => {
                self.messages.pop();
                self.forgotten = forgotten;
            }
        }
        reply
    }

    /// The prompt of the messages as they are, after which the model would answer: without the oldest turns, if with them
    /// it would not fit.
    ///
    /// # Errors
    /// As [`Conversation::say`].
    pub fn fit(&self) -> Result<Fitted, Error> {
        let tokenizer = self.llama.tokenizer()?;
        let context = self.llama.config.context();
        // An answer must have room too, but for the sake of a long one not everything is forgotten.
        let room = self.options.max_new_tokens.clamp(1, (context / 4).max(1));
        let (system, turns) = self.messages.split_at(usize::from(self.system().is_some()));
        let mut forgotten = self.forgotten;
        loop {
            let given = [system, &turns[forgotten.min(turns.len())..]].concat();
            let ids = tokenizer.encode(&self.template.prompt(&given)?, false)?;
            // A turn is a message and its answer.
            if ids.len() + room <= context || turns.len() < forgotten + 3 {
                self.llama.room(ids.len())?;
                return Ok(Fitted { ids, forgotten });
            }
            forgotten += 2;
        }
    }

    fn answer(&mut self, progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>) -> Result<Reply, Error> {
        let Fitted { ids, forgotten } = self.fit()?;
        let mut options = self.options.clone();
        options.max_new_tokens = options.max_new_tokens.min(self.llama.room(ids.len())?);
        // Retries must not draw what later turns will.
        let draws = self.turns().wrapping_add(self.retries << 32);
        options.sampling.seed = options.sampling.seed.wrapping_add(draws);
        if forgotten > self.forgotten {
            let turns = &self.messages[usize::from(self.system().is_some())..];
            // Breaking off is for the first step.
            let _ = progress(Progress::Forgotten(&turns[self.forgotten..forgotten]));
            self.forgotten = forgotten;
        }
        let (lane, restart) = self.lane_for(&ids)?;
        let (generated, lane) = generate_from(self.llama, lane, &ids, &options, progress)?;
        let mut ids = ids;
        ids.extend(&generated.ids);
        // The last new token never goes in; of a prompt that was broken off, the rest did not.
        ids.truncate(lane.len());
        self.read = Some(Read { ids, lane });
        Ok(Reply { generated, restart })
    }

    /// Turns before this one.
    fn turns(&self) -> u64 {
        (self.messages.len() / 2) as u64
    }

    /// A lane that has read as much of the beginning of `ids` as can be had, and at least one token less than all: the last
    /// one's logits are what the answer begins with.
    fn lane_for(&mut self, ids: &[u32]) -> Result<(Lane, Option<Restart>), Error> {
        let mut restart = None;
        if let Some(Read { ids: read, mut lane }) = self.read.take() {
            let same = read.iter().zip(ids).take_while(|(a, b)| a == b).count();
            let same = same.min(ids.len().saturating_sub(1));
            if self.llama.depends_on_length(ids.len()) {
                restart = Some(Restart::RotatedByLength);
            } else if same > 0 {
                match lane.truncate(same) {
                    Ok(()) => return Ok((lane, None)),
                    Err(CacheError::RotatedByLength { .. }) => {
                        restart = Some(Restart::RotatedByLength);
                    }
                    Err(_) => restart = Some(Restart::Overwritten),
                }
            }
        }
        let mut lane = Lane::new(self.llama, self.options.prefill)?;
        // A policy that cannot go back at all is used as far as prompts only grow.
        let rollback = self.options.prompt_lookup.map_or(0, |draft| draft.get());
        match lane.reserve_rollback(ROLLBACK.max(rollback)) {
            Ok(()) | Err(CacheError::OneWay { .. }) => Ok((lane, restart)),
            Err(error) => Err(error.into()),
        }
    }
}
