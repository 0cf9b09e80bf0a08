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

/// A step of a forward pass. In this order, the layer's part of it once for each layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The tokens' rows were looked up.
    Embedding,
    /// A norm, of which a layer has two and the model one; the second of a layer adds to the residual stream first.
    Norm,
    /// Queries, keys and values were projected.
    Qkv,
    /// Queries or keys were rotated.
    Rope,
    /// Keys and values were kept.
    Cache,
    /// The queries attended: scores, softmax, sum.
    Attention,
    /// Heads were projected back.
    Output,
    /// The gated MLP.
    Mlp,
    /// What the MLP made was added to the residual stream.
    Residual,
    /// Logits were made.
    Head,
}

/// Somebody who is shown the steps of a forward pass as they are made.
pub trait Observer {
    /// A pass begins; it knows its slots and its rotary table.
    fn pass(&mut self, _pass: &Pass) {}

    /// `x` `[batch, seq, hidden_size]`
    fn hidden(&mut self, _state: HiddenState, _x: &Tensor<3>) {}

    /// A step was made since the one before, or since the pass began; where a device works later than it is asked to, it was
    /// asked for.
    fn done(&mut self, _step: Step) {}

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
