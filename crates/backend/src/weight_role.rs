//! What a weight is to the model, whatever it is called.

/// What a weight is to the model. The module that asks for it says so: what quantizes, initializes or decays weights goes by
/// this, never by a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightRole {
    /// A row per token of the vocabulary.
    Embedding,
    /// The matrix of a projection.
    Projection,
    /// The same of keys ...
    Keys,
    /// ... and of values, which all query heads of a group share.
    Values,
    /// The matrix of a projection whose output is added to the residual stream.
    ResidualProjection,
    /// The same at the end of an MLP.
    MlpOutput,
    /// The matrix that makes logits, where it is not the embedding.
    Head,
    /// Multiplies a normalised vector.
    Norm,
    /// Multiplies a normalised vector as 1 + w.
    NormOffset,
    Bias,
    /// The matrix that scores experts, or the gate of a shared one.
    Router,
    /// A number that an activation has in its formula.
    Activation(ActivationWeight),
    /// Attention sinks: a learned logit per head.
    Sinks,
    /// A weight that only recurrent mixers have.
    Recurrent(RecurrentWeight),
}

/// The weights of recurrent mixers that are no projections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RecurrentWeight {
    /// The taps of a convolution, one row per channel.
    Conv,
    /// ln(-A): how fast a state decays, `[.., state_size]`.
    Decay,
    /// What goes past the state.
    Skip,
    /// The matrix that makes a time step for each channel ...
    TimeStep,
    /// ... and what is added to that before softplus.
    TimeStepBias,
    /// What a gate multiplies blocks of channels with, `[blocks, block_width, block_width]`.
    BlockGate,
    /// What softplus makes a rate of decay of, one for each channel.
    DecayParameter,
}

/// The numbers of xIELU (`Activation::Xielu` in `config`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivationWeight {
    AlphaP,
    AlphaN,
    Beta,
    Eps,
}

impl ActivationWeight {
    /// In a model that is not trained yet, as in `transformers`: softplus makes 0.8 of `alpha_p`, and 0.8 with `beta` of
    /// `alpha_n`.
    pub fn fresh(self) -> f32 {
        match self {
            Self::AlphaP => 0.8f32.exp_m1().ln(),
            Self::AlphaN => 0.3f32.exp_m1().ln(),
            Self::Beta => 0.5,
            Self::Eps => -1e-6,
        }
    }
}

impl WeightRole {
    /// Whether it is multiplied as a matrix; the others are vectors, each value by itself.
    pub fn is_matrix(self) -> bool {
        match self {
            Self::Embedding
            | Self::Projection
            | Self::Keys
            | Self::Values
            | Self::ResidualProjection
            | Self::MlpOutput
            | Self::Head
            | Self::Router
            | Self::Recurrent(RecurrentWeight::TimeStep) => true,
            Self::Norm | Self::NormOffset | Self::Bias | Self::Activation(_) | Self::Sinks | Self::Recurrent(_) => {
                false
            }
        }
    }
}
