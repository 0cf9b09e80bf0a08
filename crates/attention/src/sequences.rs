//! What one forward pass reads.

use glass_kv_cache::{KvCache, LayerState};

use crate::{Dropout, Dropouts, Padding};

/// What one forward pass reads.
pub enum Sequences<'a> {
    /// Whole sequences of one length, a row each; nothing is kept: training, scoring, `glass logits`.
    Whole { padding: Option<Padding>, dropouts: Dropouts },
    /// The next tokens of these sequences, one behind the other in one row: each has a cache, a position and angles of its
    /// own.
    Next(&'a mut [NextTokens<'a>]),
}

/// Some more tokens of one sequence.
pub struct NextTokens<'a> {
    pub cache: &'a mut KvCache,
    /// How many, at least one.
    pub tokens: usize,
}

impl Sequences<'_> {
    /// Whole sequences without padding, for use and not for training.
    pub const WHOLE: Self = Self::Whole {
        padding: None,
        dropouts: Dropouts { attention: Dropout { p: 0.0 }, residual: Dropout { p: 0.0 } },
    };

    /// Hands `layer` its states, one for each sequence; `of_pass` is one for whole sequences.
    pub fn with_layer<T>(
        &mut self,
        i: usize,
        of_pass: impl FnOnce() -> LayerState,
        layer: impl FnOnce(&mut [&mut LayerState]) -> T,
    ) -> T {
        match self {
            Self::Whole { .. } => layer(&mut [&mut of_pass()]),
            Self::Next([one]) => layer(&mut [one.cache.layer(i)]),
            Self::Next(next) => {
                let mut states: Vec<_> = next.iter_mut().map(|next| next.cache.layer(i)).collect();
                layer(&mut states)
            }
        }
    }
}
