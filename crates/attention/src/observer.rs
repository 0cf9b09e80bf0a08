//! A look into a forward pass without a second forward pass.

use burn::tensor::Tensor;

use crate::{ForwardContext, Recurrence};

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

/// A step of a forward pass, in this order: the embedding; for each layer norm, `Qkv`, `Rope`, `Cache` and `Attention` (once
/// for each sequence, and for each token of a sequence whose policy reads them one by one), `Output`, norm, `Mlp`,
/// `Residual`; then the norm and the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// The rows of the tokens were looked up.
    Embedding,
    /// A norm, of which a layer has two and the model one; the second of a layer adds to the residual stream first.
    Norm,
    /// Queries, keys and values were projected.
    Qkv,
    /// Queries and keys were rotated.
    Rope,
    /// Keys and values were appended to the cache.
    Cache,
    /// The queries attended: scores, softmax, sum.
    Attention,
    /// The heads were projected back.
    Output,
    /// What a recurrent mixer reads was projected.
    Input,
    /// Its convolution over the last tokens.
    Conv,
    /// Its state went over the tokens.
    Scan,
    /// The gated MLP.
    Mlp,
    /// The output of the MLP was added to the residual stream.
    Residual,
    /// Logits were computed.
    Head,
}

/// Is shown the steps of a forward pass as they are made.
pub trait Observer {
    /// A pass begins; it knows its positions and its rotary tables.
    fn pass(&mut self, _ctx: &ForwardContext<'_>) {}

    /// `x` `[batch, seq, hidden_size]`
    fn hidden(&mut self, _state: HiddenState, _x: &Tensor<3>) {}

    /// A step ended, which began with the one before. On asynchronous devices it may only be enqueued.
    fn done(&mut self, _step: Step) {}

    /// Whether [`Observer::attention`] is to be called; then the probabilities are made whole, in `seq * keys` memory.
    fn wants_attention(&self) -> bool {
        false
    }

    /// `probabilities` `[batch, heads, seq, keys]` of one sequence, or of all if a pass reads whole sequences; over the keys
    /// that its cache holds
    fn attention(&mut self, _layer: usize, _probabilities: Tensor<4>) {}

    /// Whether [`Observer::recurrence`] is to be called; what a kernel keeps to itself is then computed beside it.
    fn wants_recurrence(&self) -> bool {
        false
    }

    /// What the tokens of one sequence said to a recurrent layer, or of all if a pass reads whole sequences, and its `state` behind
    /// the last of them: `[batch, heads, head_dim, state_size]`, of retention `[batch, heads, head_dim, key_dim]`, float32. A
    /// channel of Mamba or RG-LRU is a head of one, and that of RG-LRU has one number.
    fn recurrence(&mut self, _layer: usize, _state: Tensor<4>, _tokens: Recurrence) {}
}

/// Observes nothing.
pub struct Unobserved;

impl Observer for Unobserved {}
