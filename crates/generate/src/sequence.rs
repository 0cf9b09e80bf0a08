//! One text: logits in, tokens and text out. No device, no clock, no file.

use std::{mem, time::Duration};

use glass_text::{StreamingDetokenizer, Tokenizer};

use crate::{
    Choice, Chosen, Constraint, ConstraintError, Error, FinishReason, GenerateOptions, Generated, Next, Sampler,
    SamplingError, Speculation, StopRule, TokenLogprobs, constraint::Marked, log_softmax_at, prompt_lookup,
};

/// A text that is being written: its ids so far, and all that decides how it goes on and when it ends.
pub struct Sequence<'t> {
    /// The prompt, and behind it what was generated.
    ids: Vec<u32>,
    prompt_tokens: usize,
    sampler: Sampler,
    constraint: Option<Constraint>,
    marked: Option<Marked>,
    stop: StopRule,
    tokenizer: Option<&'t Tokenizer>,
    /// `None` at the end, and without a tokenizer.
    detokenizer: Option<StreamingDetokenizer<'t>>,
    text: Option<String>,
    score: Option<f64>,
    /// How many of the most probable tokens are told, and what was.
    logprobs: Option<(usize, Vec<TokenLogprobs>)>,
    finish: Option<FinishReason>,
    max_draft: usize,
    /// A guess of what follows.
    draft: Vec<u32>,
    /// Draft tokens of the last pass; `None`: it read the prompt.
    last_draft: Option<usize>,
    speculation: Option<Speculation>,
    /// A copy of the logits, where the sampler must not change them.
    row: Vec<f32>,
}

/// What one token brought, or that there is none ([`FinishReason::NoToken`]).
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<u32>,
    /// Text that is final now: never half a character, never part of a stop string, perhaps nothing. At the end all the
    /// rest.
    pub text: String,
    /// Set on the last.
    pub finish: Option<FinishReason>,
}

impl<'t> Sequence<'t> {
    /// A text that follows `prompt`, by a model with this vocabulary; without a tokenizer there are ids alone.
    ///
    /// # Errors
    /// An empty prompt; options that make no sense.
    pub fn new(
        prompt: &[u32],
        options: &GenerateOptions,
        vocab_size: usize,
        tokenizer: Option<&'t Tokenizer>,
    ) -> Result<Self, Error> {
        let constraint = match &options.json_schema {
            None => None,
            Some(_) if !options.stop_strings.is_empty() => {
                return Err(ConstraintError::StopString.into());
            }
            Some(schema) => {
                let tokenizer = tokenizer.ok_or(ConstraintError::NoTokenizer)?;
                Some(Constraint::new(schema, tokenizer, vocab_size, &options.eos_ids)?)
            }
        };
        let marked = match &options.marked_schemas[..] {
            [] => None,
            schemas => {
                let tokenizer = tokenizer.ok_or(ConstraintError::NoTokenizer)?;
                Some(Marked::new(schemas, tokenizer, vocab_size, &options.eos_ids)?)
            }
        };
        options.sampling.check_vocabulary(vocab_size)?;
        let sampler = Sampler::new(options.sampling.clone())?.after_prompt(prompt.len());
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        let limit = options.max_new_tokens;
        let stop = StopRule::new(options.eos_ids.clone(), options.stop_strings.clone(), limit)?;
        let detokenizer = match tokenizer {
            Some(tokenizer) => Some(StreamingDetokenizer::new(tokenizer, prompt, true)?),
            None => None,
        };
        Ok(Self {
            ids: prompt.to_vec(),
            prompt_tokens: prompt.len(),
            sampler,
            constraint,
            marked,
            finish: stop.limit_reached().then_some(FinishReason::Length),
            stop,
            text: detokenizer.as_ref().map(|_| String::new()),
            tokenizer,
            detokenizer,
            score: options.score.then_some(0.0),
            logprobs: options.logprobs.map(|top| (top, Vec::new())),
            max_draft: options.prompt_lookup.map_or(0, |draft| draft.get()),
            draft: Vec::new(),
            last_draft: None,
            speculation: (options.prompt_lookup.is_some() || options.draft_model).then(Speculation::default),
            row: Vec::new(),
        })
    }

    /// The prompt, and behind it what was generated.
    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// The prompt's ids.
    pub fn prompt(&self) -> &[u32] {
        &self.ids[..self.prompt_tokens]
    }

    /// The ids that were generated.
    pub fn generated(&self) -> &[u32] {
        &self.ids[self.prompt_tokens..]
    }

    /// Why it ended, once it has.
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.finish
    }

    /// Sum of the natural log-probabilities of what was generated, under the model's own distribution, if it was asked for.
    pub fn score(&self) -> Option<f64> {
        self.score
    }

    /// Of each token that was generated, if they were asked for.
    pub fn logprobs(&self) -> Option<&[TokenLogprobs]> {
        let (_, logprobs) = self.logprobs.as_ref()?;
        Some(logprobs)
    }

    /// What the device may choose the next `tokens` by ([`Next::Chosen`]), if they need nothing but the logits, and nothing else
    /// is told of these.
    pub fn choice(&self, tokens: usize) -> Choice {
        match self.constraint.is_none() && self.marked.is_none() && self.logprobs.is_none() {
            true => self.sampler.choice(tokens),
            false => Choice::Host,
        }
    }

    /// Chooses the next token from the model's row of logits `[vocab_size]`, which is changed in place.
    ///
    /// # Errors
    /// Logits that are no numbers, or leave no first token.
    pub fn advance(&mut self, logits: &mut [f32]) -> Result<Event, Error> {
        if self.score.is_none() && self.logprobs.is_none() {
            let chosen = self.choose(logits)?;
            return self.push(chosen);
        }
        let mut row = mem::take(&mut self.row);
        row.clear();
        row.extend_from_slice(logits);
        let chosen = self.choose(&mut row)?;
        self.row = row;
        let Some(id) = chosen else { return self.push(None) };
        let log_prob = match &mut self.logprobs {
            Some((top, logprobs)) => {
                let told = TokenLogprobs::new(logits, id, *top);
                let log_prob = told.logprob;
                logprobs.push(told);
                log_prob
            }
            None => log_softmax_at(logits, id),
        };
        self.add_score(log_prob);
        self.push(chosen)
    }

    /// Takes the token that the device chose.
    ///
    /// # Errors
    /// As [`advance`](Self::advance).
    pub fn advance_chosen(&mut self, chosen: Chosen) -> Result<Event, Error> {
        self.add_score(chosen.log_prob);
        self.sampler.skip();
        self.push(Some(chosen.id))
    }

    fn add_score(&mut self, log_prob: f64) {
        if let Some(score) = &mut self.score {
            *score += log_prob;
        }
    }

    /// `None`: no token is left behind those that there are.
    fn choose(&mut self, row: &mut [f32]) -> Result<Option<u32>, Error> {
        if let Some(constraint) = &mut self.constraint {
            constraint.mask(row)?;
        }
        if let Some(marked) = &mut self.marked {
            marked.mask(row)?;
        }
        match self.sampler.sample(row, &self.ids) {
            Err(SamplingError::NothingLeft) if !self.generated().is_empty() => Ok(None),
            chosen => Ok(Some(chosen?)),
        }
    }

    fn push(&mut self, chosen: Option<u32>) -> Result<Event, Error> {
        let Some(id) = chosen else {
            let reason = FinishReason::NoToken;
            return Ok(Event { id: None, text: self.end(reason)?, finish: Some(reason) });
        };
        self.ids.push(id);
        let complete = match &mut self.constraint {
            Some(constraint) => constraint.push(id)?,
            None => false,
        };
        let piece = match &mut self.detokenizer {
            Some(detokenizer) => detokenizer.push(id)?,
            None => String::new(),
        };
        let tokenizer = self.tokenizer.filter(|_| self.stop.has_strings() || self.marked.is_some());
        let special = tokenizer.and_then(|tokenizer| tokenizer.special_text(id));
        if let Some(marked) = &mut self.marked {
            marked.push(id, &format!("{piece}{}", special.as_deref().unwrap_or_default()))?;
        }
        let step = self.stop.push(id, &piece, special.as_deref());
        let finish = match step.finish {
            Some(FinishReason::Eos) => step.finish,
            _ if complete => Some(FinishReason::Complete),
            other => other,
        };
        let mut text = step.text;
        if let Some(all) = &mut self.text {
            all.push_str(&text);
        }
        if let Some(reason) = finish {
            text.push_str(&self.end(reason)?);
        }
        Ok(Event { id: Some(id), text, finish })
    }

    /// Ends the text here, and returns what was held back of it.
    ///
    /// # Errors
    /// The tokenizer's decoder fails.
    pub fn end(&mut self, reason: FinishReason) -> Result<String, Error> {
        self.finish = Some(reason);
        let mut rest = match self.detokenizer.take() {
            Some(detokenizer) => detokenizer.finish()?,
            None => String::new(),
        };
        if reason == FinishReason::Interrupted {
            // Half a character is no part of a text that somebody broke off.
            rest.truncate(rest.trim_end_matches(char::REPLACEMENT_CHARACTER).len());
        }
        let rest = self.stop.finish(&rest);
        if let Some(all) = &mut self.text {
            all.push_str(&rest);
        }
        Ok(rest)
    }

    /// What the model has to read for the next tokens: the newest one, and a draft behind it, if `fits` says that a pass may
    /// read the text up to so many tokens.
    pub(crate) fn next_ids(&mut self, fits: impl FnOnce(usize) -> bool) -> Vec<u32> {
        let max = self.max_draft.min(self.room_for_draft());
        if max > 0 {
            let draft = prompt_lookup::draft(&self.ids, max);
            self.draft = Some(draft).filter(|draft| fits(self.ids.len() + draft.len())).unwrap_or_default();
        }
        let newest = self.ids.last().into_iter();
        newest.chain(&self.draft).copied().collect()
    }

    /// How many tokens of a draft could still be chosen.
    pub fn room_for_draft(&self) -> usize {
        self.stop.allowed().saturating_sub(1)
    }

    /// Takes a draft of somebody else's, which is read behind the newest token.
    pub(crate) fn set_draft(&mut self, draft: &[u32]) {
        self.draft = draft.to_vec();
    }

    /// What drafts brought so far, if there are any.
    pub fn speculation(&self) -> Option<&Speculation> {
        self.speculation.as_ref()
    }

    /// Goes on with what a pass brought: what follows the newest token, and each token of the draft. A row counts as long
    /// as the draft before it is what was chosen.
    pub(crate) fn advance_over(&mut self, rows: Vec<Next<'_>>) -> Vec<Result<Event, Error>> {
        let mut events = Vec::new();
        let draft = mem::take(&mut self.draft);
        let reads_prompt = self.generated().is_empty();
        self.last_draft = (!reads_prompt).then_some(draft.len());
        let mut accepted = 0;
        for (index, next) in rows.into_iter().enumerate() {
            accepted = index;
            let event = match next {
                Next::Logits(logits) => self.advance(logits),
                Next::Chosen(Ok(chosen)) => self.advance_chosen(chosen),
                Next::Chosen(Err(error)) => Err(error.into()),
            };
            let goes_on =
                event.as_ref().is_ok_and(|event| event.finish.is_none() && draft.get(index) == event.id.as_ref());
            events.push(event);
            if !goes_on {
                break;
            }
        }
        if let (Some(drafted), Some(speculation)) = (self.last_draft, &mut self.speculation) {
            speculation.passes += 1;
            speculation.drafted += drafted;
            speculation.accepted += accepted;
            speculation.plain_passes += usize::from(drafted == 0);
        }
        events
    }

    /// Notes what the last pass took, by the caller's clock, for [`Speculation::speed_up`].
    pub fn took(&mut self, pass: Duration) {
        if let (Some(drafted), Some(speculation)) = (self.last_draft, &mut self.speculation) {
            speculation.time += pass;
            if drafted == 0 {
                speculation.plain_time += pass;
            }
        }
    }

    /// What came of it.
    pub(crate) fn into_generated(mut self) -> Generated {
        Generated {
            ids: self.ids.split_off(self.prompt_tokens),
            text: self.text,
            score: self.score,
            logprobs: self.logprobs.map(|(_, logprobs)| logprobs),
            finish_reason: self.finish.unwrap_or(FinishReason::Interrupted),
            prompt_tokens: self.prompt_tokens,
            reused_tokens: 0,
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
            cache_bytes: 0,
            speculation: self.speculation,
        }
    }
}
