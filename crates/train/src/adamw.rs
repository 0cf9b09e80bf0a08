//! The optimizer.

use std::collections::HashSet;

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, list_param_ids},
    optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer},
    tensor::Tensor,
};
use glass_backend::{Device, WeightRole, WeightRoles};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::parameter_name;
use glass_config::LlamaConfig;

use crate::{Recipe, TrainError};

/// Adam with decoupled weight decay: Loshchilov and Hutter 2017, arXiv:1711.05101. Burn computes it for one tensor; the
/// moments are here, where a checkpoint can save them.
pub struct AdamW {
    decays: HashSet<ParamId>,
    with_decay: burn::optim::AdamW,
    without_decay: burn::optim::AdamW,
    steps: usize,
    /// Moving averages of the gradients, by parameter.
    exp_avg: GradientsParams,
    /// Moving averages of the squared gradients.
    exp_avg_sq: GradientsParams,
}

impl AdamW {
    /// `decays`: the parameters that decay; [`decaying`] has a model's.
    pub fn new(recipe: &Recipe, decays: impl IntoIterator<Item = ParamId>) -> Self {
        let config =
            AdamWConfig::new().with_beta_1(recipe.beta1 as f32).with_beta_2(recipe.beta2 as f32).with_epsilon(1e-8);
        let decay = recipe.weight_decay as f32;
        Self {
            decays: decays.into_iter().collect(),
            with_decay: config.clone().with_weight_decay(decay).build(),
            without_decay: config.with_weight_decay(0.0).build(),
            steps: 0,
            exp_avg: GradientsParams::new(),
            exp_avg_sq: GradientsParams::new(),
        }
    }

    /// For a model with this config: its matrices decay.
    ///
    /// # Errors
    /// This build has no CPU backend.
    pub fn for_model(recipe: &Recipe, model: &LlamaForCausalLM, config: &LlamaConfig) -> Result<Self, TrainError> {
        let roles = LlamaForCausalLM::weight_roles(config, &Device::open("flex")?)?;
        Ok(Self::new(recipe, decaying(model, &roles)))
    }

    /// Updates every parameter of `model` that has a gradient, which is multiplied by `factor` first.
    pub fn step<M: Module>(&mut self, model: M, gradients: GradientsParams, factor: f64, learning_rate: f64) -> M {
        let model = model.map(&mut Update { optimizer: self, gradients, factor, learning_rate });
        self.steps += 1;
        model
    }

    /// Both moments, each as a model with them in the place of its parameters; `None` before the first step.
    pub fn moments<M: Module>(&self, model: &M) -> Option<[M; 2]> {
        (self.steps > 0).then(|| {
            [&self.exp_avg, &self.exp_avg_sq].map(|moments| {
                let model = model.clone().valid();
                model.map(&mut Replace(moments))
            })
        })
    }

    /// Restores the state after `steps` steps: the inverse of [`moments`](Self::moments).
    pub fn restore<M: Module>(&mut self, model: &M, moments: [M; 2], steps: usize) {
        let ids = list_param_ids(model);
        let [exp_avg, exp_avg_sq] = moments.map(|moments| {
            let mut collect = Collect { ids: ids.iter(), moments: GradientsParams::new() };
            moments.visit(&mut collect);
            collect.moments
        });
        self.steps = steps;
        self.exp_avg = exp_avg;
        self.exp_avg_sq = exp_avg_sq;
    }
}

/// The parameters of `model` that decay: matrices, the embedding included; norms, biases and sinks do not.
pub fn decaying(model: &impl Module, roles: &WeightRoles) -> HashSet<ParamId> {
    let (path, ids) = (Vec::new(), HashSet::new());
    let mut matrices = Matrices { roles, path, ids };
    model.visit(&mut matrices);
    matrices.ids
}

struct Matrices<'a> {
    roles: &'a WeightRoles,
    path: Vec<String>,
    ids: HashSet<ParamId>,
}

impl ModuleVisitor for Matrices<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let role = self.roles.get(&parameter_name(&self.path));
        if role.is_some_and(WeightRole::is_matrix) {
            self.ids.insert(param.id);
        }
    }
}

struct Update<'a> {
    optimizer: &'a mut AdamW,
    gradients: GradientsParams,
    factor: f64,
    learning_rate: f64,
}

impl ModuleMapper for Update<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let AdamW { decays, with_decay, without_decay, steps, exp_avg, exp_avg_sq } = &mut *self.optimizer;
        let (id, value, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, value, mapper);
        };
        let gradient = if self.factor == 1.0 { gradient } else { gradient * self.factor };
        let optimizer = if decays.contains(&id) { with_decay } else { without_decay };
        let moments = exp_avg.remove::<D>(id).zip(exp_avg_sq.remove::<D>(id));
        let state = moments.map(|(first, second)| AdamWState::new(AdaptiveMomentumState::new(*steps, first, second)));
        let (value, state) = optimizer.step(self.learning_rate, value.inner(), gradient, state);
        if let Some(AdamWState { momentum }) = state {
            exp_avg.register(id, momentum.moment_1);
            exp_avg_sq.register(id, momentum.moment_2);
        }
        let value = Tensor::from_inner(value).require_grad();
        Param::from_mapped_value(id, value, mapper)
    }
}

/// Replaces parameters by the values of the same id.
struct Replace<'a>(&'a GradientsParams);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, value, mapper) = param.consume();
        let value = self.0.get::<D>(id).unwrap_or_else(|| value.zeros_like());
        Param::from_mapped_value(id, value, mapper)
    }
}

/// Collects values under the ids of another model of the same shape.
struct Collect<'a> {
    ids: std::slice::Iter<'a, ParamId>,
    moments: GradientsParams,
}

impl ModuleVisitor for Collect<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(&id) = self.ids.next() {
            self.moments.register(id, param.val().inner());
        }
    }
}
