//! Reading texts of one length, in pieces, as [`Memory`] says.

use std::ops::{ControlFlow, Range};

use burn::tensor::Tensor;
use glass_attention::{Cache, Rope, Unobserved};
use glass_generate::{Llama, Memory};

use super::EvalError;

/// Whether to go on.
pub(super) type Flow = Result<ControlFlow<()>, EvalError>;

/// Reads rows of ids, all of one length, and hands `each` the hidden states `[batch, positions, hidden_size]` after
/// the positions from `from` on, piece by piece. A piece of which none is wanted gives no positions, and `None`.
pub(super) fn read_in_pieces(
    llama: &Llama,
    rows: &[&[u32]],
    from: usize,
    memory: Memory,
    each: &mut dyn FnMut(Range<usize>, Option<Tensor<3>>) -> Flow,
) -> Flow {
    let seq = rows.first().map_or(0, |row| row.len());
    let piece = match Rope::new(&llama.config).depends_on_length(seq) {
        true => seq,
        false => seq.min(memory.prefill_chunk.get()),
    };
    // What goes through in one piece, and forgets nothing, need not be remembered.
    let mut cache = match piece == seq && memory.plan.is_exact(&llama.config) {
        true => Cache::none(&llama.config, rows.len(), &llama.device),
        false => llama.planned_cache(memory.plan, rows.len())?,
    };
    cache.check(seq)?;
    cache.reserve(seq);
    for start in (0..seq).step_by(piece) {
        let end = seq.min(start + piece);
        let ids: Vec<&[u32]> = rows.iter().map(|row| &row[start..end]).collect();
        let hidden = llama
            .model
            .hidden(llama.ids(&ids)?, &mut cache, &mut Unobserved)?; // [batch, end - start, hidden_size]
        let wanted = start.max(from).min(end)..end;
        let flow = if wanted.is_empty() {
            // Without this the device would queue the whole text before anybody saw it move.
            llama.device.sync()?;
            each(wanted, None)?
        } else {
            let hidden = hidden.narrow(1, wanted.start - start, wanted.len()); // [batch, wanted, hidden_size]
            each(wanted, Some(hidden))?
        };
        if flow.is_break() {
            return Ok(ControlFlow::Break(()));
        }
    }
    Ok(ControlFlow::Continue(()))
}
