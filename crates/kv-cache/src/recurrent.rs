//! What a recurrent mixer keeps of one sequence: a state of fixed size.

use std::{collections::VecDeque, ops::Range};

use burn::tensor::Tensor;
use glass_config::StateShape;

/// The state of one recurrent layer: what its convolution still sees, in the type of the activations, and its matrix, in
/// float32.
///
/// It can go back to the beginning, and to where it was before any of the last [`rollback`](Self::reserve_rollback) tokens:
/// what a state was cannot be told from what it is, so that these are kept.
#[derive(Clone, Debug, Default)]
pub struct RecurrentState {
    /// The last inputs of the convolution, `[1, channels, conv_kernel - 1]`.
    pub conv: History<3>,
    /// `[1, heads, rows, columns]`
    pub matrix: History<4>,
    bytes: u64,
}

/// A tensor that each token changes, and what it was before the last ones.
#[derive(Clone, Debug)]
pub struct History<const D: usize> {
    /// By the number of tokens that were read, in order; the last one is the present.
    states: VecDeque<(usize, Tensor<D>)>,
    rollback: usize,
    /// The most tokens that were ever read.
    furthest: usize,
}

impl<const D: usize> Default for History<D> {
    fn default() -> Self {
        Self { states: VecDeque::new(), rollback: 0, furthest: 0 }
    }
}

impl<const D: usize> History<D> {
    /// The present. `None`: nothing was read, and all numbers are 0.
    pub fn now(&self) -> Option<&Tensor<D>> {
        self.states.back().map(|(_, state)| state)
    }

    /// Runs of these positions that may be read together: one by one where the state behind each is to be kept.
    pub fn runs(&self, positions: Range<usize>) -> impl Iterator<Item = Range<usize>> + use<D> {
        let alone = positions.end.saturating_sub(self.rollback).max(positions.start);
        let together = Some(positions.start..alone).filter(|run| !run.is_empty());
        together.into_iter().chain((alone..positions.end).map(|position| position..position + 1))
    }

    /// The state behind `len` tokens.
    pub fn push(&mut self, state: Tensor<D>, len: usize) {
        self.furthest = self.furthest.max(len);
        self.states.push_back((len, state));
        let oldest = self.furthest.saturating_sub(self.rollback);
        while self.states.len() > 1 && self.states[0].0 < oldest {
            self.states.pop_front();
        }
    }

    fn can_truncate(&self, len: usize) -> bool {
        len == 0 || self.states.iter().any(|(at, _)| *at == len)
    }

    fn truncate(&mut self, len: usize) {
        self.states.retain(|(at, _)| *at <= len);
        if len == 0 {
            self.furthest = 0; // a text of its own begins
        }
    }

    fn bytes(&self) -> u64 {
        self.states.iter().map(|(_, state)| (state.shape().num_elements() * state.dtype().size()) as u64).sum()
    }
}

impl RecurrentState {
    /// Of a mixer whose state has this shape.
    pub fn new(shape: StateShape) -> Self {
        Self { bytes: shape.bytes(), ..Self::default() }
    }

    /// Keeps what the state was before each of the last `tokens` tokens. Before the first token.
    pub fn reserve_rollback(&mut self, tokens: usize) {
        (self.conv.rollback, self.matrix.rollback) = (tokens, tokens);
    }

    pub fn can_truncate(&self, len: usize) -> bool {
        self.matrix.can_truncate(len)
    }

    pub fn truncate(&mut self, len: usize) {
        self.conv.truncate(len);
        self.matrix.truncate(len);
    }

    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.conv.bytes() + self.matrix.bytes()
    }

    /// Bytes held behind any text.
    pub fn bytes_of_a_text(&self) -> u64 {
        self.bytes * (1 + self.matrix.rollback as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads up to these lengths one after the other, and tells which runs were read.
    fn read(state: &mut RecurrentState, from: usize, to: usize) -> Vec<Range<usize>> {
        let runs: Vec<Range<usize>> = state.matrix.runs(from..to).collect();
        for run in &runs {
            state.conv.push(Tensor::zeros([1, 2, 3], &Default::default()), run.end);
            state.matrix.push(Tensor::zeros([1, 2, 1, 4], &Default::default()), run.end);
        }
        runs
    }

    #[test]
    fn a_state_goes_back_as_far_as_it_was_asked_to() {
        let shape = StateShape { conv: Some([2, 3]), matrix: [2, 1, 4] };
        let mut state = RecurrentState::new(shape);
        assert!(read(&mut state, 0, 9).into_iter().eq(std::iter::once(0..9)));
        assert_eq!(state.bytes(), 4 * shape.len() as u64);
        assert!(state.can_truncate(9) && state.can_truncate(0) && !state.can_truncate(8));

        let mut state = RecurrentState::new(shape);
        state.reserve_rollback(2);
        assert_eq!(read(&mut state, 0, 9), [0..7, 7..8, 8..9]);
        assert_eq!(state.bytes(), state.bytes_of_a_text());
        assert!((7..=9).all(|len| state.can_truncate(len)) && !state.can_truncate(6));
        state.truncate(7);
        // From the furthest token that was ever read, wherever it went in between.
        assert!(read(&mut state, 7, 8).into_iter().eq(std::iter::once(7..8)));
        assert!(state.can_truncate(7) && state.can_truncate(8) && !state.can_truncate(9));
        state.truncate(0);
        assert!(state.matrix.now().is_none() && state.conv.now().is_none());
        assert_eq!(read(&mut state, 0, 4), [0..2, 2..3, 3..4]);
        assert!((2..=4).all(|len| state.can_truncate(len)));
    }
}
