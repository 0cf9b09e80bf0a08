//! Gradients against finite differences: how much the loss changes when a parameter moves.

use burn::{
    module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId},
    optim::GradientsParams,
    tensor::{Tensor, TensorData},
};
use glass_checkpoint::parameter_name;
use glass_testing::Random;

/// The length of a move.
const STEP: f64 = 0.01;

/// Roundings to float32 that one output may accumulate in one direction. Most cancel out, so this is wide for tens of
/// operations.
const ROUNDINGS: f64 = 4.0;

/// Directions per parameter tensor.
const DIRECTIONS: u64 = 2;

/// Checks the gradient of every parameter of `module`, for the sum of all values of `forward` `[n]`, each weighted with a
/// fixed random number.
///
/// The slope along a direction of length 1 comes from four losses around the point, summed in float64; its error is of
/// order `STEP^4`, below float32's. The rest is rounding: each loss is off by at most `ROUNDINGS * 2^-24` of its terms'
/// magnitudes, and the slope by `(8 + 8 + 1 + 1) / 12 / STEP` times that. This tolerance must be below one hundredth of the
/// steepest slope, or the test would be too weak.
pub fn check<M: Module>(case: &str, module: &M, forward: impl Fn(&M) -> Tensor<1>) {
    let output = forward(module); // [n]
    let weights = Loss::weights(output.dims()[0]);
    let tensor = Tensor::<1>::from_data(TensorData::from(weights.as_slice()), &output.device()); // [n]
    let gradients = (output * tensor).sum().backward();
    let gradients = GradientsParams::from_grads(gradients, module);
    let mut parameters = Parameters {
        gradients: &gradients,
        path: vec![],
        found: vec![],
    };
    module.visit(&mut parameters);

    for Parameter { name, id, gradient } in parameters.found {
        let steepness = length(&gradient);
        assert!(
            steepness > 0.0,
            "{case}: {name} has no influence, so this tests nothing"
        );
        for seed in 0..DIRECTIONS {
            // Half along the gradient, which shows a wrong factor; half random, which shows a missing term.
            let random = random(gradient.len(), seed);
            let both = gradient
                .iter()
                .map(|g| g / steepness)
                .zip(scaled(&random, 1.0));
            let direction = scaled(&both.map(|(g, r)| g + r).collect::<Vec<_>>(), 1.0);
            let expected: f64 = gradient.iter().zip(&direction).map(|(g, v)| g * v).sum();

            let at = |steps: f64| {
                let by = direction
                    .iter()
                    .map(|v| (v * steps * STEP) as f32)
                    .collect();
                let moved = module.clone().map(&mut Move { id, by });
                Loss::new(forward(&moved), &weights)
            };
            let [far_below, below, above, far_above] = [-2.0, -1.0, 1.0, 2.0].map(at);
            let slope = (8.0 * (above.value - below.value) - (far_above.value - far_below.value))
                / (12.0 * STEP);
            let tolerance = 1.5 / STEP * ROUNDINGS * 2f64.powi(-24) * above.magnitude;
            assert!(
                tolerance < 0.01 * steepness,
                "{case}: {name}: {tolerance:e} would pass for {steepness:e}"
            );
            assert!(
                (slope - expected).abs() < tolerance,
                "{case}: {name}: gradient says {expected:e}, differences say {slope:e}, tolerance {tolerance:e}"
            );
        }
    }
}

/// The weighted sum of a module's outputs, in float64.
struct Loss {
    value: f64,
    /// Sum of the terms' absolute values.
    magnitude: f64,
}

impl Loss {
    /// Weights for `n` outputs: 1 for a single one, which is a loss already.
    fn weights(n: usize) -> Vec<f32> {
        match n {
            1 => vec![1.0],
            n => random(n, 1000).iter().map(|&x| x as f32).collect(),
        }
    }

    fn new(output: Tensor<1>, weights: &[f32]) -> Self {
        let output: Vec<f32> = output.into_data().try_to_vec().expect("float32");
        let terms = output
            .iter()
            .zip(weights)
            .map(|(&x, &w)| f64::from(x) * f64::from(w));
        Self {
            value: terms.clone().sum(),
            magnitude: terms.map(f64::abs).sum(),
        }
    }
}

/// Uniform in -1..1.
pub fn random(n: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    (0..n).map(|_| random.uniform()).collect()
}

fn length(x: &[f64]) -> f64 {
    x.iter().map(|x| x * x).sum::<f64>().sqrt()
}

fn scaled(x: &[f64], to: f64) -> Vec<f64> {
    let factor = to / length(x);
    x.iter().map(|x| x * factor).collect()
}

struct Parameter {
    name: String,
    id: ParamId,
    gradient: Vec<f64>,
}

struct Parameters<'a> {
    gradients: &'a GradientsParams,
    path: Vec<String>,
    found: Vec<Parameter>,
}

impl ModuleVisitor for Parameters<'_> {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_owned());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let name = parameter_name(&self.path);
        let gradient = self.gradients.get::<D>(param.id);
        let gradient = gradient.unwrap_or_else(|| panic!("{name} has no gradient"));
        assert_eq!(gradient.dims(), param.dims(), "{name}");
        let gradient: Vec<f32> = gradient.into_data().try_to_vec().expect("float32");
        self.found.push(Parameter {
            name,
            id: param.id,
            gradient: gradient.into_iter().map(f64::from).collect(),
        });
    }
}

/// Moves one parameter.
struct Move {
    id: ParamId,
    by: Vec<f32>,
}

impl ModuleMapper for Move {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, mut value, mapper) = param.consume();
        if id == self.id {
            let by = TensorData::new(self.by.clone(), value.dims());
            value = value.clone() + Tensor::from_data(by, &value.device());
        }
        Param::from_mapped_value(id, value, mapper)
    }
}
