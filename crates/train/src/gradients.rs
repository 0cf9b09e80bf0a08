//! The norm of all gradients, and clipping by it.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

/// The Euclidean norm of all gradients of `model`, taken as one vector.
pub fn norm(model: &impl Module, gradients: &GradientsParams) -> f64 {
    let mut visitor = SumOfSquares { gradients, sum: None };
    model.visit(&mut visitor);
    visitor.sum.map_or(0.0, |sum| f64::from(sum.into_scalar::<f32>()).sqrt())
}

/// The factor that clips gradients of this norm to `max_norm` (0: no clipping). Pascanu et al. 2012, arXiv:1211.5063.
pub fn clip(norm: f64, max_norm: f64) -> f64 {
    if max_norm > 0.0 && norm > max_norm { max_norm / norm } else { 1.0 }
}

struct SumOfSquares<'a> {
    gradients: &'a GradientsParams,
    /// Stays on the device until it is complete: one read instead of one per tensor. `[1]`
    sum: Option<Tensor<1>>,
}

impl ModuleVisitor for SumOfSquares<'_> {
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
    fn clip_shortens_and_never_lengthens() {
        assert_eq!(clip(4.0, 1.0), 0.25);
        assert_eq!(clip(0.5, 1.0), 1.0);
        assert_eq!(clip(1e9, 0.0), 1.0);
        assert_eq!(clip(0.0, 1.0), 1.0);
    }
}
