//! Looking into a forward pass without a second forward pass.

use burn::tensor::Tensor;

use crate::Pass;

/// A place in the residual stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HiddenState {
    /// After the embedding.
    Embed,
    /// After the block of this number.
    Layer(usize),
    /// After the final norm.
    Norm,
}

/// Somebody who is shown the steps of a forward pass as they are made.
pub trait Observer {
    /// A pass begins; it knows its slots and its rotary table.
    fn pass(&mut self, _pass: &Pass) {}

    /// `x` `[batch, seq, hidden_size]`
    fn hidden(&mut self, _state: HiddenState, _x: &Tensor<3>) {}

    /// Whether [`Observer::attention`] is to be called; then the probabilities are made whole, in `seq * keys` memory.
    fn wants_attention(&self) -> bool {
        false
    }

    /// `probabilities` `[batch, heads, seq, keys]`, over the keys of the whole sequence so far
    fn attention(&mut self, _layer: usize, _probabilities: Tensor<4>) {}
}

/// Nobody looks.
pub struct Unobserved;

impl Observer for Unobserved {}
