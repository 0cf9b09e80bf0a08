//! What computes on each token by itself: dense MLPs, and experts.

use super::{linear, sum};
use crate::values::Activation;

/// What computes on each token by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum MlpConfig {
    Dense(DenseMlpConfig),
    Experts(ExpertsConfig),
}

/// Two or three projections with an activation between them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DenseMlpConfig {
    /// Width between the projections.
    pub intermediate_size: usize,
    pub hidden_act: Activation,
    pub gate: Gate,
    /// Whether `gate_proj`, `up_proj` and `down_proj` add a bias.
    pub bias: bool,
}

/// What an MLP projects down: a function of u = up(x) `[.., intermediate_size]` and, if there is one, g = gate(x) of
/// the same shape.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Gate {
    /// act(u): an MLP without `gate_proj`.
    None,
    /// act(g) · u, as in Llama (arXiv:2002.05202).
    Product,
    /// g' · sigmoid(alpha · g') · (u' + 1), with g' = min(g, limit) and u' = u between -limit and limit (gpt-oss). The
    /// activation has no part in it.
    Clamped { alpha: f64, limit: f64 },
}

/// Many MLPs, of which a router chooses a few for each token: sum over the chosen of weight · expert(x), and what the
/// shared expert adds. Shazeer et al. 2017, arXiv:1701.06538.
///
/// Names: `gate.{weight, bias}` is the router, `experts.{i}.{gate, up, down}_proj` the experts, `shared_expert` and
/// `shared_expert_gate` the shared one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ExpertsConfig {
    pub num_experts: usize,
    /// Experts that a token is sent to, 1 to `num_experts`.
    pub num_experts_per_tok: usize,
    /// Each of them.
    pub expert: DenseMlpConfig,
    pub router: RouterConfig,
    pub shared: Option<SharedExpertConfig>,
}

/// How logits `[tokens, num_experts]` = x · weight^T (+ bias) choose experts and weigh them: the largest logits are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouterConfig {
    pub weights: RouterWeights,
    /// Whether logits have a bias `[num_experts]`.
    pub bias: bool,
}

/// The weights of the chosen experts, computed in float32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouterWeights {
    /// The chosen entries of a softmax over all logits: they sum to less than 1.
    SoftmaxAll,
    /// The same, divided by their sum.
    SoftmaxAllRenormalised,
    /// A softmax over the chosen logits. The same number as renormalised ones, up to rounding.
    SoftmaxChosen,
}

/// An expert that every token is sent to, beside the chosen ones.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SharedExpertConfig {
    pub mlp: DenseMlpConfig,
    /// Whether sigmoid(`shared_expert_gate`(x)), one number per token, multiplies it.
    pub gate: bool,
}

impl MlpConfig {
    /// Numbers in its weights.
    pub fn num_parameters(&self, hidden_size: usize) -> usize {
        match self {
            Self::Dense(mlp) => mlp.num_parameters(hidden_size),
            Self::Experts(experts) => experts.num_parameters(hidden_size, experts.num_experts),
        }
    }

    /// Of these, the numbers that one token is multiplied with: of the experts, only the chosen ones.
    pub fn active_parameters(&self, hidden_size: usize) -> usize {
        self.parameters_read(hidden_size, 1)
    }

    /// Of these, the numbers that a pass over `tokens` tokens reads: of the experts, as many as are chosen if each token
    /// chooses others.
    pub fn parameters_read(&self, hidden_size: usize, tokens: usize) -> usize {
        match self {
            Self::Dense(mlp) => mlp.num_parameters(hidden_size),
            Self::Experts(experts) => {
                let chosen = experts.num_experts_per_tok.saturating_mul(tokens).min(experts.num_experts);
                experts.num_parameters(hidden_size, chosen)
            }
        }
    }

    /// Values per token inside it, at most: in the widest MLP, or what all chosen experts give.
    pub fn width(&self, hidden_size: usize) -> usize {
        match self {
            Self::Dense(mlp) => mlp.intermediate_size,
            Self::Experts(experts) => {
                let shared = experts.shared.map_or(0, |shared| shared.mlp.intermediate_size);
                let chosen = hidden_size.saturating_mul(experts.num_experts_per_tok);
                chosen.max(experts.expert.intermediate_size).max(shared)
            }
        }
    }
}

impl DenseMlpConfig {
    /// Whether it has a `gate_proj`.
    pub fn is_gated(&self) -> bool {
        self.gate != Gate::None
    }

    fn num_parameters(&self, hidden_size: usize) -> usize {
        let inner = self.intermediate_size;
        let inward = if self.is_gated() { 2 } else { 1 };
        sum([
            linear(inner, hidden_size, self.bias).saturating_mul(inward),
            linear(hidden_size, inner, self.bias),
            if self.hidden_act == Activation::Xielu { 4 } else { 0 },
        ])
    }
}

impl ExpertsConfig {
    fn num_parameters(&self, hidden_size: usize, experts: usize) -> usize {
        let shared = self.shared.map_or(0, |shared| {
            let gate = if shared.gate { hidden_size } else { 0 };
            shared.mlp.num_parameters(hidden_size).saturating_add(gate)
        });
        let router = linear(self.num_experts, hidden_size, self.router.bias);
        sum([self.expert.num_parameters(hidden_size).saturating_mul(experts), router, shared])
    }
}
