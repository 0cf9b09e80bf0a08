//! Generation: one token after the other, each step a forward pass over one new position.

use std::{
    num::NonZeroUsize,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use glass_attention::Cache;
use glass_config::RopeType;

use glass_text::StreamingDetokenizer;

use crate::{
    Constraint, Error, FinishReason, Llama, Memory, Sampler, SamplingConfig, Speculation, StopRule,
    TokenLogprobs, log_softmax_at,
    on_device::{self, Next},
    prompt_lookup::PromptLookup,
};

/// How to generate.
#[derive(Clone, Debug, PartialEq)]
pub struct GenerateOptions {
    pub sampling: SamplingConfig,
    /// Most tokens to generate. Nothing stops them at the end of the context (see [`Llama::room`]) but their quality.
    pub max_new_tokens: usize,
    /// Ids that end the text.
    pub eos_ids: Vec<u32>,
    /// Texts that end the text.
    pub stop_strings: Vec<String>,
    pub memory: Memory,
    /// Tell the log-probability of every chosen token, and of so many of the most probable ones.
    pub logprobs: Option<usize>,
    /// Guess up to so many tokens from the text so far and check them in one pass; see [`prompt_lookup`].
    pub prompt_lookup: Option<NonZeroUsize>,
}

/// What happens, as it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress<'a> {
    /// So many tokens of the prompt have been read.
    Prompt { done: usize, total: usize },
    /// A token was chosen, and so much text is final now: never half a character, never part of a stop string,
    /// perhaps nothing. At the very end there may be text without a new token.
    Text { id: Option<u32>, text: &'a str },
}

/// One finished text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The new ids, an end-of-sequence id included.
    pub ids: Vec<u32>,
    /// Their text; `None` if there is no tokenizer.
    pub text: Option<String>,
    /// Sum of the natural log-probabilities of `ids` under the model's own distribution.
    pub score: f64,
    /// Of each of `ids`, if [`GenerateOptions::logprobs`] asked for them.
    pub logprobs: Option<Vec<TokenLogprobs>>,
    pub finish_reason: FinishReason,
    pub prompt_tokens: usize,
    /// Those of them that the cache had read before.
    pub reused_tokens: usize,
    /// From the first unread token of the prompt to its logits.
    pub prefill: Duration,
    /// From there to the end; the first token is chosen in it, and every further one costs a pass.
    pub decode: Duration,
    /// Bytes of keys and values at the end.
    pub cache_bytes: u64,
    /// If [`GenerateOptions::prompt_lookup`] asked for drafts.
    pub speculation: Option<Speculation>,
}

impl Generated {
    /// Speed of reading the prompt; `None` if that was broken off.
    pub fn prefill_tokens_per_second(&self) -> Option<f64> {
        let seconds = self.prefill.as_secs_f64();
        let read = self.prompt_tokens - self.reused_tokens;
        (seconds > 0.0).then(|| read as f64 / seconds)
    }

    /// Speed of the passes over generated tokens, the last of which is never passed over; `None` if there was none.
    pub fn decode_tokens_per_second(&self) -> Option<f64> {
        let passes = self.ids.len().saturating_sub(1);
        (passes > 0).then(|| passes as f64 / self.decode.as_secs_f64().max(1e-9))
    }
}

/// New tokens that the cache makes room for at once; most texts end before.
pub(crate) const RESERVED: usize = 1024;

impl Llama {
    /// How many new tokens the model's context has room for after a prompt of `prompt` tokens, one at least.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`] if it does not even hold the prompt.
    pub fn room(&self, prompt: usize) -> Result<usize, Error> {
        let context = self.config.context();
        match context.checked_sub(prompt) {
            // The last new token is never read by the model, so that it needs no position.
            Some(free) => Ok(free + 1),
            None => Err(Error::PromptTooLong {
                tokens: prompt,
                context,
                over: prompt - context,
                advice: match self.config.rope_parameters.rope_type {
                    RopeType::Default | RopeType::Linear { .. } => {
                        ", or raise the limit with --set max_position_embeddings=N"
                    }
                    // The other types compute angles from it: raising it would make another model.
                    _ => "",
                },
            }),
        }
    }

    /// Continues `prompt` and tells `progress` as it goes; `progress` may break it off.
    ///
    /// # Errors
    /// A prompt that is empty, too long or not of this vocabulary; options that make no sense; logits that are not
    /// numbers; a device that fails.
    pub fn generate(
        &self,
        prompt: &[u32],
        options: &GenerateOptions,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, Error> {
        let mut cache = self.cache_for(options)?;
        self.generate_with(&mut cache, prompt, options, progress)
    }

    /// An empty cache for one text.
    pub(crate) fn cache_for(&self, options: &GenerateOptions) -> Result<Cache, Error> {
        let cache = self.planned_cache(options.memory.plan, 1)?;
        Ok(match options.prompt_lookup {
            Some(draft) => cache.with_rollback(draft.get())?,
            None => cache,
        })
    }

    /// The same with a cache that may have read the beginning of `prompt` before: its first [`Cache::seen`] tokens, which
    /// are not computed again. One token at least is unread. Afterwards the cache has read the prompt and all new tokens
    /// but the last; less, if it was broken off.
    ///
    /// # Errors
    /// As [`Llama::generate`]. The cache is then of no use.
    pub fn generate_with(
        &self,
        cache: &mut Cache,
        prompt: &[u32],
        options: &GenerateOptions,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, Error> {
        self.run(cache, prompt, options, None, progress)
    }

    /// The loop.
    pub(crate) fn run(
        &self,
        cache: &mut Cache,
        prompt: &[u32],
        options: &GenerateOptions,
        mut constraint: Option<Constraint>,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Generated, Error> {
        options.sampling.check_vocabulary(self.config.vocab_size)?;
        let mut sampler = Sampler::new(options.sampling.clone())?.after_prompt(prompt.len());
        self.room(prompt.len())?;
        if prompt.len() <= cache.seen() {
            return Err(Error::EmptyPrompt);
        }
        let limit = options.max_new_tokens;
        let mut stop = StopRule::new(options.eos_ids.clone(), options.stop_strings.clone(), limit)?;
        let mut text = match &self.tokenizer {
            Some(tokenizer) => Some(StreamingDetokenizer::new(tokenizer, prompt, true)?),
            None => None,
        };
        let mut out = Generated {
            ids: Vec::new(),
            text: text.as_ref().map(|_| String::new()),
            score: 0.0,
            logprobs: options.logprobs.map(|_| Vec::new()),
            finish_reason: FinishReason::Length,
            prompt_tokens: prompt.len(),
            reused_tokens: cache.seen(),
            prefill: Duration::ZERO,
            decode: Duration::ZERO,
            cache_bytes: 0,
            speculation: None,
        };

        let mut lookup = PromptLookup::new(options.prompt_lookup);
        let on_device = on_device::applies(&options.sampling)
            && constraint.is_none()
            && options.logprobs.is_none()
            && options.prompt_lookup.is_none();
        cache.check(prompt.len().saturating_add(limit))?;
        cache.reserve(prompt.len() + limit.min(RESERVED));
        let start = Instant::now();
        let read = self.prefill(prompt, options.memory, cache, on_device, progress)?;
        let Some(mut next) = read else {
            out.finish_reason = FinishReason::Interrupted;
            return Ok(out);
        };
        out.prefill = start.elapsed();

        let start = Instant::now();
        let mut previous = prompt.to_vec();
        while !stop.limit_reached() {
            let id = match next {
                Next::Chosen(chosen) => {
                    out.score += chosen.score;
                    chosen.id
                }
                Next::Logits(logits) => {
                    let mut row = logits.clone();
                    if let Some(constraint) = &mut constraint {
                        constraint.mask(&mut row)?;
                    }
                    let id = sampler.sample(&mut row, &previous)?;
                    out.score += log_softmax_at(&logits, id);
                    if let (Some(logprobs), Some(top)) = (&mut out.logprobs, options.logprobs) {
                        logprobs.push(TokenLogprobs::new(&logits, id, top));
                    }
                    id
                }
            };
            out.ids.push(id);
            previous.push(id);
            let whole = match &mut constraint {
                Some(constraint) => constraint.push(id)?,
                None => false,
            };

            let piece = match &mut text {
                Some(text) => text.push(id)?,
                None => String::new(),
            };
            let step = stop.push(id, &piece);
            if let Some(all) = &mut out.text {
                all.push_str(&step.text);
            }
            let flow = progress(Progress::Text {
                id: Some(id),
                text: &step.text,
            });
            if let Some(reason) = Constraint::finish(step.finish, whole) {
                out.finish_reason = reason;
                break;
            }
            if flow.is_break() {
                out.finish_reason = FinishReason::Interrupted;
                break;
            }
            let wanted = limit - out.ids.len();
            next = match on_device {
                true => self.next(&[id], cache, on_device)?,
                false => Next::Logits(lookup.logits_after(&previous, wanted, self, cache)?),
            };
        }
        out.speculation = options.prompt_lookup.map(|_| lookup.speculation);
        let rest = match text {
            Some(text) => text.finish()?,
            None => String::new(),
        };
        let rest = stop.finish(&rest);
        if let Some(all) = &mut out.text {
            all.push_str(&rest);
        }
        // Nothing is left to break off.
        let _ = progress(Progress::Text {
            id: None,
            text: &rest,
        });
        out.decode = start.elapsed();
        out.cache_bytes = cache.bytes();
        Ok(out)
    }
}
