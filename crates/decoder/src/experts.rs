//! Many MLPs, of which each token passes a few.

use burn::{
    module::Module,
    tensor::{Int, Tensor, TensorData, activation::sigmoid},
};
use glass_backend::{Linear, WeightError, WeightRole, Weights};
use glass_config::ExpertsConfig;

use crate::{LlamaMlp, router::Routes};

/// A sparse mixture of experts: the router chooses `k` MLPs for each token, whose outputs are summed by its weights (Shazeer
/// et al. 2017, arXiv:1701.06538; Mixtral, arXiv:2401.04088). Some families add a shared expert, which every token passes.
///
/// Only the weights of chosen experts are read. The tokens of a prompt are grouped by expert.
#[derive(Module, Debug)]
pub struct LlamaExperts {
    /// The router: a score for each expert.
    gate: Linear,
    experts: Vec<LlamaMlp>,
    shared_expert: Option<LlamaMlp>,
    /// How much of the shared expert a token takes.
    shared_expert_gate: Option<Linear>,
    #[module(skip)]
    config: ExpertsConfig,
}

impl LlamaExperts {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &ExpertsConfig, hidden_size: usize) -> Result<Self, WeightError> {
        let ExpertsConfig { num_experts, expert, router, shared, .. } = config;
        if cfg!(target_family = "wasm") && weights.device().max_binding().is_some() {
            return Err(WeightError::Other {
                origin: weights.device().name().to_owned(),
                name: weights.full_name("gate.weight"),
                reason: "which experts compute is read back within a pass, and a browser's GPU cannot be waited for: use flex"
                    .to_owned(),
            });
        }
        let role = WeightRole::Router;
        let gated = shared.is_some_and(|shared| shared.gate);
        Ok(Self {
            gate: Linear::load(weights.at("gate"), [*num_experts, hidden_size], router.bias, role)?,
            experts: (0..*num_experts)
                .map(|i| LlamaMlp::load(weights.at(format_args!("experts.{i}")), expert, hidden_size))
                .collect::<Result<_, _>>()?,
            shared_expert: shared
                .map(|shared| LlamaMlp::load(weights.at("shared_expert"), &shared.mlp, hidden_size))
                .transpose()?,
            shared_expert_gate: gated
                .then(|| Linear::load(weights.at("shared_expert_gate"), [1, hidden_size], false, role))
                .transpose()?,
            config: *config,
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let [batch, seq, hidden] = x.dims();
        let (tokens, k) = (batch * seq, self.config.num_experts_per_tok);
        let x = x.reshape([tokens, hidden]); // [tokens, hidden_size]
        let logits = self.gate.forward(x.clone()); // [tokens, num_experts]
        let routes = Routes::new(logits, k, self.config.router.weights);

        let outputs = self.chosen(x.clone(), &routes).reshape([tokens, k, hidden]);
        let weights = routes.weights.cast(x.dtype()).unsqueeze_dim::<3>(2); // [tokens, k, 1]
        let mut out = (outputs * weights).sum_dim(1).reshape([tokens, hidden]); // [tokens, hidden_size]
        if let Some(expert) = &self.shared_expert {
            let shared = expert.forward(x.clone()); // [tokens, hidden_size]
            out = out
                + match &self.shared_expert_gate {
                    Some(gate) => shared * sigmoid(gate.forward(x)), // [tokens, hidden_size] * [tokens, 1]
                    None => shared,
                };
        }
        out.reshape([batch, seq, hidden])
    }

    /// What each token's experts make of it, one behind the other.
    ///
    /// `x` `[tokens, hidden_size]` -> `[tokens * k, hidden_size]`
    fn chosen(&self, x: Tensor<2>, routes: &Routes) -> Tensor<2> {
        if x.dims()[0] == 1 {
            let experts: Vec<&LlamaMlp> = routes.experts.iter().map(|&expert| &self.experts[expert]).collect();
            return Tensor::cat(LlamaMlp::forward_all(&experts, x), 0); // [k, hidden_size]
        }
        let ids = |ids: Vec<i32>| {
            let shape = [ids.len()];
            Tensor::<1, Int>::from_data(TensorData::new(ids, shape), &x.device())
        };
        let (groups, places) = routes.groups();
        let k = self.config.num_experts_per_tok;
        let sent = x.clone().select(0, ids(places.iter().map(|place| (place / k) as i32).collect())); // [tokens * k, hidden_size]
        let mut start = 0;
        let outputs = groups.into_iter().map(|(expert, len)| {
            let own = sent.clone().narrow(0, start, len); // [tokens of this expert, hidden_size]
            start += len;
            self.experts[expert].forward(own)
        });
        let outputs = Tensor::cat(outputs.collect(), 0); // [tokens * k, hidden_size], by expert
        let mut back = vec![0; places.len()];
        for (group_place, place) in places.into_iter().enumerate() {
            back[place] = group_place as i32;
        }
        outputs.select(0, ids(back)) // [tokens * k, hidden_size], by token
    }
}
