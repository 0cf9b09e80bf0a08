//! Reading texts of one length, and the logits behind their tokens.

use std::ops::{ControlFlow, Range};

use glass_generate::{Lane, Llama, PrefillOptions, StepOutput, read_whole, step};

use super::EvalError;

/// Whether to go on.
pub(super) type Flow = Result<ControlFlow<()>, EvalError>;

/// What one pass over several texts brought.
pub(super) struct Rows<'a> {
    /// The tokens that it read and whose logits are wanted, the same of every text.
    pub positions: Range<usize>,
    output: StepOutput<'a>,
}

impl Rows<'_> {
    /// Hands `each` the logits `[rows, vocab_size]` behind the tokens, text by text, 64 MiB at a time.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(mut self, each: &mut dyn FnMut(&[f32])) -> Result<(), EvalError> {
        while let Some(block) = self.output.next_block()? {
            each(block.values());
        }
        Ok(())
    }
}

/// Reads `texts`, all of one length, chunk by chunk, and hands `each` the rows behind the tokens from position `from` on;
/// a chunk of which none is wanted has none.
pub(super) fn read_texts(
    llama: &Llama,
    texts: &[&[u32]],
    from: usize,
    options: PrefillOptions,
    each: &mut dyn FnMut(Rows<'_>) -> Flow,
) -> Flow {
    let seq = texts.first().map_or(0, |text| text.len());
    if options.is_one_exact_pass(seq, llama) {
        let (positions, output) = (from..seq, read_whole(llama, texts, from)?);
        return each(Rows { positions, output });
    }
    let mut lanes = Vec::new();
    for text in texts {
        let mut lane = Lane::new(llama, options)?;
        lane.reserve(seq, seq)?;
        lane.push(text, seq - from);
        lanes.push(lane);
    }
    let mut read = 0;
    while read < seq {
        let output = step(llama, &mut lanes)?;
        let end = lanes.first().map_or(seq, Lane::len);
        let positions = read.max(from).min(end)..end;
        read = end;
        if each(Rows { positions, output })?.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
