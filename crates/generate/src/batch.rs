//! Many texts at once: a pass over several rows reads the weights once for all of them.
//!
//! Reading order: [`Llama::generate_batch`] (who goes with whom) · `run_group` (the passes) · `row` (one text).

mod row;

use std::{ops::ControlFlow, time::Instant};

use glass_attention::Rope;
use row::Row;

use crate::{Advance, Error, FinishReason, GenerateOptions, Generated, Llama, generate::RESERVED};

/// One text of a batch.
#[derive(Clone, Copy, Debug)]
pub struct BatchRow<'a> {
    pub prompt: &'a [u32],
    pub options: &'a GenerateOptions,
}

/// A row's number in the batch, and what became of it.
type Finished = (usize, Result<Generated, Error>);

impl Llama {
    /// Continues every prompt as [`Llama::generate`] would alone, with the same seed too: prompts are left-padded to one
    /// length, each row has a sampler of its own and stops by its own rule, and one that is finished leaves the batch. What
    /// differs is rounding: a product of several rows may be summed in another order.
    ///
    /// Rows go together if they remember alike. Where the angles of a rope type depend on the length (`dynamic` and
    /// `longrope`, beyond the trained context), the longest row of a pass would turn the others: then only rows whose
    /// prompts are equally long go together.
    ///
    /// # Errors
    /// The device fails, or cannot hold the batch. What is wrong with one row is that row's own error, and stops no other.
    pub fn generate_batch(
        &self,
        rows: &[BatchRow<'_>],
        progress: &mut dyn FnMut(Advance) -> ControlFlow<()>,
    ) -> Result<Vec<Result<Generated, Error>>, Error> {
        let mut results: Vec<Option<Result<Generated, Error>>> = Vec::new();
        let mut waiting = Vec::new();
        for (index, row) in rows.iter().enumerate() {
            results.push(match Row::start(self, index, *row) {
                Ok(row) if row.is_finished() => Some(row.end()),
                Ok(row) => {
                    waiting.push(row);
                    None
                }
                Err(error) => Some(Err(error)),
            });
        }
        while !waiting.is_empty() {
            let (group, rest) = self.next_group(waiting);
            waiting = rest;
            for (index, result) in self.run_group(group, progress)? {
                results[index] = Some(result);
            }
        }
        Ok(results.into_iter().flatten().collect())
    }

    /// Those that can go with the first, and the others.
    fn next_group<'a>(&self, rows: Vec<Row<'a>>) -> (Vec<Row<'a>>, Vec<Row<'a>>) {
        let longest = rows.iter().map(Row::positions).max().unwrap_or(0);
        let by_length = Rope::new(&self.config).depends_on_length(longest);
        let like = |row: &Row<'_>| {
            let length = if by_length { row.prompt().len() } else { 0 };
            (row.options().memory, length)
        };
        let first = rows.first().map(like);
        rows.into_iter().partition(|row| Some(like(row)) == first)
    }

    fn run_group<'a>(
        &self,
        mut rows: Vec<Row<'a>>,
        progress: &mut dyn FnMut(Advance) -> ControlFlow<()>,
    ) -> Result<Vec<Finished>, Error> {
        let Some(memory) = rows.first().map(|row| row.options().memory) else {
            return Ok(vec![]);
        };
        let prompts: Vec<&[u32]> = rows.iter().map(Row::prompt).collect();
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap_or(0);
        let limits = rows.iter().map(|row| row.options().max_new_tokens);
        let limit = limits.max().unwrap_or(0);
        let mask: Vec<Vec<bool>> = prompts
            .iter()
            .map(|prompt| {
                (0..longest)
                    .map(|slot| slot + prompt.len() >= longest)
                    .collect()
            })
            .collect();
        let mut cache = self
            .planned_cache(memory.plan, rows.len())?
            .with_attention_mask(&mask);
        cache.check(longest.saturating_add(limit))?;
        cache.reserve(longest + limit.min(RESERVED));

        let start = Instant::now();
        let mut next = self.prefill_rows(&prompts, memory, &mut cache, progress)?;
        let prefill = start.elapsed();
        let start = Instant::now();
        let (mut done, mut written) = (Vec::new(), 0);
        let mut end = |mut row: Row<'a>, cache_bytes| {
            row.took(prefill, start.elapsed(), cache_bytes);
            done.push((row.index(), row.end()));
        };
        while let Some(logits) = next.take() {
            let (mut kept, mut running) = (Vec::new(), Vec::new());
            let of_each = logits.chunks(self.config.vocab_size);
            for (place, (mut row, logits)) in rows.drain(..).zip(of_each).enumerate() {
                row.take(logits);
                written += 1;
                match row.is_finished() {
                    true => end(row, cache.bytes()),
                    false => {
                        kept.push(place);
                        running.push(row);
                    }
                }
            }
            rows = running;
            if progress(Advance::Tokens(written)).is_continue() && !rows.is_empty() {
                // Those that are finished leave; nothing is copied if none is.
                cache.select(&kept)?;
                let newest: Vec<&[u32]> = rows.iter().map(Row::newest).collect();
                next = Some(self.logits_of_rows(&newest, &mut cache)?);
            }
        }
        for mut row in rows {
            row.finish(FinishReason::Interrupted);
            end(row, cache.bytes());
        }
        Ok(done)
    }
}
