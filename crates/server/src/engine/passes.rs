//! What a step reads, pass by pass.
//!
//! One pass for all would read the weights once. But a CPU's kernels for many vectors add up in another order than those for a
//! few, so that the bits of a text would depend on who else is in the pass. So where kernels are such, a piece of a prompt has a
//! pass of its own, which is the same in any company, and texts that are being written share passes of so few vectors that
//! each is multiplied as if it were alone. A piece is long enough to be bound by arithmetic, and reading the weights once more
//! costs it little; of those passes, each vector costs as much time as reading the weights for some.

use glass_backend::Device;
use glass_generate::{SequenceId, Working};

/// Vectors that every product multiplies as it multiplies one: below all thresholds of `glass_kernels::matmul`.
const THIN: usize = 15;

pub(super) struct Passes {
    /// Whether products of few vectors and of many differ in their bits.
    alone: bool,
    /// Tokens of prompts in a step.
    step_tokens: usize,
    /// Whose piece was the last.
    last: Option<SequenceId>,
}

impl Passes {
    pub fn new(device: &Device, step_tokens: usize) -> Self {
        Self { alone: device.name() == "flex", step_tokens, last: None }
    }

    /// The texts of each pass: first those that are being written, then pieces of prompts, of which each has its turn; one of
    /// them at least, however long.
    pub fn plan(&mut self, working: &[Working]) -> Vec<Vec<SequenceId>> {
        let (writing, mut reading): (Vec<Working>, Vec<Working>) =
            working.iter().copied().partition(|text| text.writes);
        let next = reading.partition_point(|text| Some(text.id) <= self.last);
        reading.rotate_left(next);
        let mut tokens = 0;
        reading.retain(|text| {
            let first = tokens == 0;
            tokens += text.tokens;
            first || tokens <= self.step_tokens
        });
        self.last = reading.last().map(|text| text.id);
        if !self.alone {
            return vec![writing.iter().chain(&reading).map(|text| text.id).collect()];
        }
        let mut passes = thin(&writing);
        passes.extend(reading.iter().map(|text| vec![text.id]));
        passes
    }
}

/// Passes of about as many vectors each, [`THIN`] at most; a longer draft has its own.
fn thin(writing: &[Working]) -> Vec<Vec<SequenceId>> {
    let all: usize = writing.iter().map(|text| text.tokens).sum();
    let even = all.div_ceil(all.div_ceil(THIN).max(1));
    let mut passes: Vec<Vec<SequenceId>> = Vec::new();
    let mut room = 0;
    for text in writing {
        if text.tokens > room {
            passes.push(Vec::new());
            room = even;
        }
        room = room.saturating_sub(text.tokens);
        if let Some(pass) = passes.last_mut() {
            pass.push(text.id);
        }
    }
    passes
}
