//! All gradients together.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// The Euclidean norm of all gradients of `model`, as one long vector.
pub fn norm(model: &impl Module, gradients: &GradientsParams) -> f64 {
    let mut visitor = Squares {
        gradients,
        sum: None,
    };
    model.visit(&mut visitor);
    visitor
        .sum
        .map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()).sqrt())
}

/// What to multiply gradients of this norm with, so that it is at most `limit` (0: any). Pascanu et al. 2012,
/// arXiv:1211.5063.
pub fn clip(norm: f64, limit: f64) -> f64 {
    match limit > 0.0 && norm > limit {
        true => limit / norm,
        false => 1.0,
    }
}

struct Squares<'a> {
    gradients: &'a GradientsParams,
    /// On the device until the end: reading it back once costs less than once per tensor. `[1]`
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for Squares<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            let squares = gradient.square().sum(); // [1]
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + squares,
                None => squares,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clipping_shortens_and_never_lengthens() {
        assert_eq!(clip(4.0, 1.0), 0.25);
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert_eq!(clip(1e9, 0.0), 1.0);
        assert_eq!(clip(0.0, 1.0), 1.0);
    }
}
