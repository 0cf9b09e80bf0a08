//! The negative log-likelihood of each token of a text.

use std::ops::{ControlFlow, Range};

use glass_generate::{Llama, PrefillOptions, log_softmax_at};
use rayon::prelude::*;

use super::{
    EvalError, Segment, Windows,
    read::{Flow, read_texts},
};

/// How far the scoring has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub tokens: usize,
    /// How many there are to score.
    pub total: usize,
    /// Sum over those scored so far, in nats.
    pub nll: f64,
}

/// `-ln p(ids[i] | what its window reads before it)` for `i` = 1, 2, ...: the negative log-likelihood of each id but
/// the first, in nats. [`Windows`] says what is read.
///
/// `prefill` says what is kept of a window, and how it is read.
///
/// Logits are read in blocks ([`StepOutput::next_block`](glass_generate::StepOutput::next_block)), their softmax is computed
/// in float64 on the host. `progress` hears of every pass and may break it off: the list then ends there.
///
/// # Errors
/// Fewer than two ids, or one that is not of this vocabulary; a likelihood that is not a number; a device that cannot
/// hold a window, or fails.
pub fn token_nlls(
    llama: &Llama,
    ids: &[u32],
    windows: Windows,
    prefill: PrefillOptions,
    progress: &mut dyn FnMut(Scored) -> ControlFlow<()>,
) -> Result<Vec<f64>, EvalError> {
    if ids.len() < 2 {
        return Err(EvalError::TooShort { tokens: ids.len() });
    }
    llama.check_ids(ids, |index| format!("number {} of the text", index + 1))?;

    let segments: Vec<Segment> = windows.segments(ids.len()).collect();
    let batches = segments
        .chunk_by(|a, b| a.read.len() == b.read.len() && a.unscored() == b.unscored())
        // Short windows go through the model together.
        .flat_map(|alike| {
            let fitting = prefill.prefill_chunk.get() / alike[0].read.len();
            alike.chunks(fitting.max(1))
        });
    let mut nlls = Vec::with_capacity(ids.len() - 1);
    let mut sum = 0.0;
    for batch in batches {
        let flow = score(llama, ids, batch, prefill, &mut |new| {
            for &value in new {
                if !value.is_finite() {
                    let number = nlls.len() + 2;
                    return Err(EvalError::NotFinite { number, value });
                }
                nlls.push(value);
                sum += value;
            }
            Ok(progress(Scored { tokens: nlls.len(), total: ids.len() - 1, nll: sum }))
        })?;
        if flow.is_break() {
            break;
        }
    }
    Ok(nlls)
}

/// Reads windows of one shape, several if they are short, and hands the NLLs of their scored tokens to `each`: in
/// order, and pass by pass, so that there may be none.
fn score(
    llama: &Llama,
    ids: &[u32],
    batch: &[Segment],
    prefill: PrefillOptions,
    each: &mut dyn FnMut(&[f64]) -> Flow,
) -> Flow {
    // The ids at the same positions of every window.
    let rows = |positions: Range<usize>| -> Vec<&[u32]> {
        let window = |segment: &Segment| &ids[segment.read.start..][positions.clone()];
        batch.iter().map(window).collect()
    };
    let (seq, unscored) = (batch[0].read.len(), batch[0].unscored());
    read_texts(llama, &rows(0..seq), unscored, prefill, &mut |read| {
        let next = rows(read.positions.start + 1..read.positions.end + 1).concat();
        let mut nlls = Vec::with_capacity(next.len());
        read.read(&mut |logits| {
            let block = logits.par_chunks(llama.config.vocab_size);
            let block = block.zip(&next[nlls.len()..]);
            let block: Vec<f64> = block.map(|(row, &id)| -log_softmax_at(row, id)).collect();
            nlls.extend(block);
        })?;
        each(&nlls)
    })
}
