//! The optimizer against the paper's formulas: Loshchilov and Hutter 2017, arXiv:1711.05101, algorithm 2.

use std::collections::HashSet;

use burn::{
    module::{Module, ModuleVisitor, Param, ParamId},
    optim::GradientsParams,
    tensor::Tensor,
};
use glass_backend::{Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_config::LlamaConfig;
use glass_testing::RandomWeights;
use glass_train::{AdamW, Recipe, decaying};
use serde_json::json;

use crate::{devices, finite_differences::random, runs};

/// A matrix `[2, 3]` and a vector `[3]`.
type Two = (Param<Tensor<2>>, Param<Tensor<1>>);

fn two() -> Two {
    let device = devices::flex().training();
    let matrix = Tensor::from_data([[0.5f32, -1.0, 2.0], [0.25, 0.0, -3.0]], device.burn());
    let vector = Tensor::from_data([1.0f32, -0.5, 0.1], device.burn());
    (Param::from_tensor(matrix), Param::from_tensor(vector))
}

/// All nine numbers.
fn values(model: &Two) -> Vec<f64> {
    let flat = Tensor::cat(vec![model.0.val().flatten::<1>(0, 1), model.1.val()], 0);
    let flat: Vec<f32> = flat.into_data().try_to_vec().expect("float32");
    flat.into_iter().map(f64::from).collect()
}

/// These nine numbers as gradients.
fn gradients(model: &Two, values: &[f64]) -> GradientsParams {
    let device = devices::flex();
    let values: Vec<f32> = values.iter().map(|&x| x as f32).collect();
    let flat = Tensor::<1>::from_data(values.as_slice(), device.burn());
    let mut gradients = GradientsParams::new();
    gradients.register(model.0.id, flat.clone().narrow(0, 0, 6).reshape([2, 3]));
    gradients.register(model.1.id, flat.narrow(0, 6, 3));
    gradients
}

fn recipe() -> Recipe {
    Recipe { weight_decay: 0.5, beta1: 0.8, beta2: 0.95, ..Recipe::default() }
}

/// The matrix decays, the vector does not.
fn adamw(model: &Two) -> AdamW {
    AdamW::new(&recipe(), [model.0.id])
}

/// The paper's formulas in float64. Gradients are scaled by `factor` first; the matrix decays.
#[test]
fn steps_follow_the_paper() {
    let Recipe { beta1, beta2, weight_decay, .. } = recipe();
    let mut model = two();
    let mut optimizer = adamw(&model);
    let mut theta = values(&model);
    let (mut m, mut v) = (vec![0.0; 9], vec![0.0; 9]);
    for t in 1..=5 {
        let (rate, factor) = (0.1 / f64::from(t), [1.0, 0.25][t as usize % 2]);
        let g = random(9, t as u64);
        for i in 0..9 {
            let g = g[i] * factor;
            m[i] = beta1 * m[i] + (1.0 - beta1) * g;
            v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
            let m_hat = m[i] / (1.0 - beta1.powi(t));
            let v_hat: f64 = v[i] / (1.0 - beta2.powi(t));
            let decay = if i < 6 { weight_decay } else { 0.0 };
            theta[i] -= rate * (m_hat / (v_hat.sqrt() + 1e-8) + decay * theta[i]);
        }
        let gradients = gradients(&model, &g);
        model = optimizer.step(model, gradients, factor, rate);
        for (i, (ours, expected)) in values(&model).iter().zip(&theta).enumerate() {
            assert!((ours - expected).abs() < 2e-6, "step {t}, number {i}: {ours} {expected}");
        }
    }
}

/// With zero gradients only what decays changes: by learning rate times weight decay.
#[test]
fn weight_decay_shrinks_what_decays_alone() {
    let model = two();
    let before = values(&model);
    let gradients = gradients(&model, &[0.0; 9]);
    let after = values(&adamw(&model).step(model, gradients, 1.0, 0.1));
    for (before, after) in before[..6].iter().zip(&after) {
        assert!((after - before * 0.95).abs() < 1e-6, "{before} {after}");
    }
    assert_eq!(before[6..], after[6..]);
}

/// The moments and the number of steps are the whole state.
#[test]
fn restore_continues_exactly() {
    let mut model = two();
    let mut optimizer = adamw(&model);
    assert!(optimizer.moments(&model).is_none());
    for t in 0..3 {
        let gradients = gradients(&model, &random(9, t));
        model = optimizer.step(model, gradients, 1.0, 0.1);
    }
    let moments = optimizer.moments(&model).expect("there were steps");
    let mut restored = adamw(&model);
    restored.restore(&model, moments, 3);
    let fresh = adamw(&model);
    let [a, b, c] = [optimizer, restored, fresh].map(|mut optimizer| {
        let gradients = gradients(&model, &random(9, 3));
        values(&optimizer.step(model.clone(), gradients, 1.0, 0.1))
    });
    assert_eq!(a, b);
    assert_ne!(a, c);
}

/// A parameter that the loss does not depend on neither moves nor decays.
#[test]
fn parameters_without_a_gradient_stay() {
    let model = two();
    let before = values(&model);
    let model = adamw(&model).step(model, GradientsParams::new(), 1.0, 0.1);
    assert_eq!(before, values(&model));
    assert_eq!(model.num_params(), 9);
}

/// By role: every matrix decays, in however many tensors it is held; norms, biases and sinks do not.
#[test]
fn matrices_decay_and_vectors_do_not() {
    let fields = runs::config(json!({"attention_bias": true, "tie_word_embeddings": false}));
    let config = LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config");
    for device in [devices::flex(), devices::flex().with_max_binding(2000)] {
        let mut source = RandomWeights(3);
        let weights = Weights::new(&mut source, &device, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, &config).expect("weights");
        let roles = LlamaForCausalLM::weight_roles(&config, &device).expect("roles");
        let mut ranks = Ranks { decays: decaying(&model, &roles), seen: [0; 2] };
        model.visit(&mut ranks);
        assert!(ranks.seen.iter().all(|&n| n > 5), "{:?}", ranks.seen);
    }
}

struct Ranks {
    decays: HashSet<ParamId>,
    /// Vectors and matrices.
    seen: [usize; 2],
}

impl ModuleVisitor for Ranks {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        assert_eq!(self.decays.contains(&param.id), D == 2);
        self.seen[D - 1] += 1;
    }
}
