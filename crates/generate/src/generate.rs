//! A text from a prompt, or many texts at once.

use std::{iter::Enumerate, num::NonZeroUsize, ops::ControlFlow, time::Duration};

use glass_text::Message;

use crate::{
    DraftModel, Error, FinishReason, JsonSchema, Lane, Llama, MarkedSchema, PrefillOptions, SamplingConfig,
    Speculation, TokenLogprobs, pace::MAX_DRAFT, run::Run,
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
    /// The text is one JSON value that satisfies the schema, whatever the model: tokens that no such value could go on with
    /// are never chosen. It ends with an end-of-sequence token where the value may end, or with [`FinishReason::Complete`]
    /// where it must; without such a token as soon as it may. [`FinishReason::Length`] says that the value was cut.
    pub json_schema: Option<JsonSchema>,
    /// JSON that must follow marks in a text that is free elsewhere, as often as they come.
    pub marked_schemas: Vec<MarkedSchema>,
    pub prefill: PrefillOptions,
    /// Tell the score of the text: a softmax over the vocabulary, in float64, for every token.
    pub score: bool,
    /// Tell the log-probability of every chosen token, and of so many of the most probable ones.
    pub logprobs: Option<usize>,
    /// Guess up to so many tokens from the text so far and check them in one pass; see [`crate::prompt_lookup`].
    pub prompt_lookup: Option<NonZeroUsize>,
    /// A [`DraftModel`] guesses tokens: see [`generate_with_draft`].
    pub draft_model: bool,
}

impl GenerateOptions {
    /// Greedy, to a length: nothing ends the text before, and nothing is told of it.
    pub fn new(max_new_tokens: usize) -> Self {
        Self {
            sampling: SamplingConfig::default(),
            max_new_tokens,
            eos_ids: Vec::new(),
            stop_strings: Vec::new(),
            json_schema: None,
            marked_schemas: Vec::new(),
            prefill: PrefillOptions::default(),
            score: false,
            logprobs: None,
            prompt_lookup: None,
            draft_model: false,
        }
    }
}

/// What happens, as it happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Progress<'a> {
    /// A [`Conversation`](crate::Conversation) no longer gives the model these messages, the oldest, because its context is
    /// full. Comes before anything is read.
    Forgotten(&'a [Message]),
    /// So many tokens of the prompt have been read; of all prompts, if there are several.
    Prompt { done: usize, total: usize },
    /// A pass over new tokens was computed, and nothing was chosen yet: what is broken off here gets no more tokens.
    Pass,
    /// A token was chosen, and so much text is final now: never half a character, never part of a stop string, perhaps
    /// nothing. Where a text is broken off there may be text without a new token.
    Text {
        /// The text's number in its batch, from 0 on.
        index: usize,
        id: Option<u32>,
        text: &'a str,
    },
    /// A search has chosen so many tokens, those of sequences that it has given up included.
    Searched(usize),
}

/// One finished text.
#[derive(Clone, Debug, PartialEq)]
pub struct Generated {
    /// The new ids, an end-of-sequence id included.
    pub ids: Vec<u32>,
    /// Their text; `None` if there is no tokenizer.
    pub text: Option<String>,
    /// Sum of the natural log-probabilities of `ids` under the model's own distribution, if [`GenerateOptions::score`] asked
    /// for it.
    pub score: Option<f64>,
    /// Of each of `ids`, if [`GenerateOptions::logprobs`] asked for them.
    pub logprobs: Option<Vec<TokenLogprobs>>,
    pub finish_reason: FinishReason,
    pub prompt_tokens: usize,
    /// Those of them that the cache had read before.
    pub reused_tokens: usize,
    /// From the first unread token of the prompt to its logits; zero if the text was broken off before.
    pub prefill: Duration,
    /// From there to the end; the first token is chosen in it, and every further one costs a pass.
    pub decode: Duration,
    /// Bytes of keys and values at the end.
    pub cache_bytes: u64,
    /// If drafts were asked for.
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

/// One text of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRow<'a> {
    pub prompt: &'a [u32],
    pub options: &'a GenerateOptions,
}

/// Continues `prompt` and tells `progress` as it goes; `progress` may break it off.
///
/// # Errors
/// A prompt that is empty, too long or not of this vocabulary; options that make no sense; logits that are not numbers; a
/// device that fails.
pub fn generate(
    llama: &Llama,
    prompt: &[u32],
    options: &GenerateOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Generated, Error> {
    let lane = lane(llama, options)?;
    let (generated, _) = generate_from(llama, lane, prompt, options, progress)?;
    Ok(generated)
}

/// [`generate`] with a smaller model that guesses tokens ahead: the same text by the same seed, in fewer passes.
///
/// # Errors
/// As [`generate`]; a draft model whose guesses cannot be translated.
pub fn generate_with_draft(
    llama: &Llama,
    draft: &Llama,
    prompt: &[u32],
    options: &GenerateOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<Generated, Error> {
    let options = &GenerateOptions { draft_model: true, prompt_lookup: None, ..options.clone() };
    let mut run = Run::new(llama).with_draft_model(DraftModel::new(draft, llama)?);
    run.add(0, BatchRow { prompt, options }, lane(llama, options)?)?;
    let (_, text) = run.next(progress)?.unwrap_or_else(|| unreachable!("one was added"));
    text.map(|(generated, _)| generated)
}

/// An empty lane for one text.
fn lane(llama: &Llama, options: &GenerateOptions) -> Result<Lane, Error> {
    let mut lane = Lane::new(llama, options.prefill)?;
    let draft = options.prompt_lookup.map_or(0, NonZeroUsize::get);
    let draft = if options.draft_model { draft.max(MAX_DRAFT) } else { draft };
    if draft > 0 {
        lane.reserve_rollback(draft)?;
    }
    Ok(lane)
}

/// [`generate`] with a lane that may have read the beginning of `prompt` before: its first [`Lane::len`] tokens, which are
/// not computed again. One token at least is unread. The lane that is given back has read the prompt and all new tokens but
/// the last; less, if the text was broken off.
///
/// # Errors
/// As [`generate`].
pub fn generate_from(
    llama: &Llama,
    lane: Lane,
    prompt: &[u32],
    options: &GenerateOptions,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> Result<(Generated, Lane), Error> {
    let mut run = Run::new(llama);
    run.add(0, BatchRow { prompt, options }, lane)?;
    let (_, text) = run.next(progress)?.unwrap_or_else(|| unreachable!("one was added"));
    text
}

/// Continues every prompt as [`generate`] would alone, with the same seed too, at most `together` at a time; a pass over
/// several texts reads the weights once for all of them. Each has a cache, a sampler and a stop rule of its own. The next
/// prompt takes the place of a text as soon as that is finished.
pub fn generate_batch<'m, R>(llama: &'m Llama, rows: R, together: NonZeroUsize) -> Batch<'m, R::IntoIter>
where
    R: IntoIterator<Item = BatchRow<'m>>,
{
    Batch { llama, run: Run::new(llama), rows: rows.into_iter().enumerate(), together }
}

/// The number of a row, and what came of it.
pub type BatchEnd = (usize, Result<Generated, Error>);

/// Texts of a batch, in the order in which they end: see [`generate_batch`].
pub struct Batch<'m, R> {
    llama: &'m Llama,
    run: Run<'m>,
    rows: Enumerate<R>,
    together: NonZeroUsize,
}

impl<'m, R: Iterator<Item = BatchRow<'m>>> Batch<'m, R> {
    /// The next text that ends, with its number among the rows; `None`: none is left. What is wrong with one text is that
    /// text's own error, and stops no other. After `progress` has broken it off, the texts that were begun end, and no other
    /// begins.
    ///
    /// # Errors
    /// The device fails.
    pub fn next(
        &mut self,
        progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
    ) -> Result<Option<BatchEnd>, Error> {
        while self.run.len() < self.together.get() && !self.run.is_broken_off() {
            let Some((index, row)) = self.rows.next() else {
                break;
            };
            let lane = lane(self.llama, row.options);
            if let Err(error) = lane.and_then(|lane| self.run.add(index, row, lane)) {
                return Ok(Some((index, Err(error))));
            }
        }
        let ended = self.run.next(progress)?;
        Ok(ended.map(|(index, text)| (index, text.map(|(generated, _)| generated))))
    }
}
