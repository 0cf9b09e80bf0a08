//! The optimizer.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId, list_param_ids},
    optim::{AdamWConfig, AdamWState, AdaptiveMomentumState, GradientsParams, Optimizer},
    tensor::Tensor,
};

use crate::Recipe;

/// Adam with decoupled weight decay: Loshchilov and Hutter 2017, arXiv:1711.05101. Burn computes it for one tensor; the
/// moments are here, where a checkpoint can save them.
///
/// Matrices decay, the embedding included; norms and biases do not.
pub struct AdamW {
    matrices: burn::optim::AdamW,
    vectors: burn::optim::AdamW,
    steps: usize,
    /// Moving averages of the gradients, by parameter.
    exp_avg: GradientsParams,
    /// Moving averages of the squared gradients.
    exp_avg_sq: GradientsParams,
}

impl AdamW {
    pub fn new(recipe: &Recipe) -> Self {
        let config = AdamWConfig::new()
            .with_beta_1(recipe.beta1 as f32)
            .with_beta_2(recipe.beta2 as f32)
            .with_epsilon(1e-8);
        let decay = recipe.weight_decay as f32;
        Self {
            matrices: config.clone().with_weight_decay(decay).build(),
            vectors: config.with_weight_decay(0.0).build(),
            steps: 0,
            exp_avg: GradientsParams::new(),
            exp_avg_sq: GradientsParams::new(),
        }
    }

    /// Updates every parameter of `model` that has a gradient, which is multiplied by `factor` first.
    pub fn step<M: Module>(
        &mut self,
        model: M,
        gradients: GradientsParams,
        factor: f64,
        learning_rate: f64,
    ) -> M {
        let model = model.map(&mut Update {
            optimizer: self,
            gradients,
            factor,
            learning_rate,
        });
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
            let mut collect = Collect {
                ids: ids.iter(),
                moments: GradientsParams::new(),
            };
            moments.visit(&mut collect);
            collect.moments
        });
        self.steps = steps;
        self.exp_avg = exp_avg;
        self.exp_avg_sq = exp_avg_sq;
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
        let AdamW {
            matrices,
            vectors,
            steps,
            exp_avg,
            exp_avg_sq,
        } = &mut *self.optimizer;
        let (id, value, mapper) = param.consume();
        let Some(gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, value, mapper);
        };
        let gradient = if self.factor == 1.0 {
            gradient
        } else {
            gradient * self.factor
        };
        let optimizer = if D > 1 { matrices } else { vectors };
        let moments = exp_avg.remove::<D>(id).zip(exp_avg_sq.remove::<D>(id));
        let state = moments.map(|(first, second)| {
            AdamWState::new(AdaptiveMomentumState::new(*steps, first, second))
        });
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
