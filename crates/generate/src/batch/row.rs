//! One text of a batch, between two passes.

use std::time::Duration;

use glass_text::StreamingDetokenizer;

use crate::{
    BatchRow, Error, FinishReason, GenerateOptions, Generated, Llama, Sampler, StopRule,
    TokenLogprobs, log_softmax_at,
};

pub struct Row<'a> {
    index: usize,
    given: BatchRow<'a>,
    sampler: Sampler,
    stop: StopRule,
    text: Option<StreamingDetokenizer<'a>>,
    /// Prompt and new ids.
    ids: Vec<u32>,
    out: Generated,
    /// Why it ended, or what went wrong.
    finished: Option<Result<FinishReason, Error>>,
}

impl<'a> Row<'a> {
    /// `index` is its number in the batch.
    ///
    /// # Errors
    /// A prompt that is empty, too long or not of this vocabulary; options that make no sense.
    pub fn start(llama: &'a Llama, index: usize, given: BatchRow<'a>) -> Result<Self, Error> {
        let BatchRow { prompt, options } = given;
        let sampler = Sampler::new(options.sampling.clone())?.after_prompt(prompt.len());
        options.sampling.check_vocabulary(llama.config.vocab_size)?;
        llama.room(prompt.len())?;
        if prompt.is_empty() {
            return Err(Error::EmptyPrompt);
        }
        llama.check_ids(prompt, |index| {
            format!("number {} of the prompt", index + 1)
        })?;
        let limit = options.max_new_tokens;
        let stop = StopRule::new(options.eos_ids.clone(), options.stop_strings.clone(), limit)?;
        let text = match &llama.tokenizer {
            Some(tokenizer) => Some(StreamingDetokenizer::new(tokenizer, prompt, true)?),
            None => None,
        };
        Ok(Self {
            index,
            given,
            sampler,
            finished: stop.limit_reached().then_some(Ok(FinishReason::Length)),
            stop,
            ids: prompt.to_vec(),
            out: Generated {
                ids: Vec::new(),
                text: text.as_ref().map(|_| String::new()),
                score: 0.0,
                logprobs: options.logprobs.map(|_| Vec::new()),
                finish_reason: FinishReason::Length,
                prompt_tokens: prompt.len(),
                reused_tokens: 0,
                prefill: Duration::ZERO,
                decode: Duration::ZERO,
                cache_bytes: 0,
                speculation: None,
            },
            text,
        })
    }

    pub fn index(&self) -> usize {
        self.index
    }

    pub fn prompt(&self) -> &'a [u32] {
        self.given.prompt
    }

    pub fn options(&self) -> &'a GenerateOptions {
        self.given.options
    }

    /// The most positions that it can come to.
    pub fn positions(&self) -> usize {
        self.prompt()
            .len()
            .saturating_add(self.options().max_new_tokens)
    }

    /// The newest token alone.
    pub fn newest(&self) -> &[u32] {
        &self.ids[self.ids.len() - 1..]
    }

    pub fn is_finished(&self) -> bool {
        self.finished.is_some()
    }

    pub fn finish(&mut self, reason: FinishReason) {
        self.finished = Some(Ok(reason));
    }

    /// Chooses the next token from its row of logits.
    pub fn take(&mut self, logits: &[f32]) {
        match self.choose(logits) {
            Ok(None) => {}
            Ok(Some(reason)) => self.finish(reason),
            Err(error) => self.finished = Some(Err(error)),
        }
    }

    fn choose(&mut self, raw: &[f32]) -> Result<Option<FinishReason>, Error> {
        let id = self.sampler.sample(&mut raw.to_vec(), &self.ids)?;
        self.out.score += log_softmax_at(raw, id);
        if let (Some(logprobs), Some(top)) = (&mut self.out.logprobs, self.given.options.logprobs) {
            logprobs.push(TokenLogprobs::new(raw, id, top));
        }
        self.out.ids.push(id);
        self.ids.push(id);
        let piece = match &mut self.text {
            Some(text) => text.push(id)?,
            None => String::new(),
        };
        let step = self.stop.push(id, &piece);
        self.write(&step.text);
        Ok(step.finish)
    }

    fn write(&mut self, text: &str) {
        if let Some(all) = &mut self.out.text {
            all.push_str(text);
        }
    }

    /// What it cost, together with the rows that it was with.
    pub fn took(&mut self, prefill: Duration, decode: Duration, cache_bytes: u64) {
        self.out.prefill = prefill;
        self.out.decode = decode;
        self.out.cache_bytes = cache_bytes;
    }

    /// What it wrote.
    ///
    /// # Errors
    /// What went wrong with it.
    pub fn end(mut self) -> Result<Generated, Error> {
        if let Some(reason) = self.finished.take() {
            self.out.finish_reason = reason?;
        }
        let rest = match self.text.take() {
            Some(text) => text.finish()?,
            None => String::new(),
        };
        let rest = self.stop.clone().finish(&rest);
        self.write(&rest);
        Ok(self.out)
    }
}
