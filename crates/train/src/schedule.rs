//! The learning rate over the course of a run.

use crate::Recipe;

/// The learning rate of step `step` (the first is 0): linear warm-up over `warmup_steps` (Vaswani et al. 2017,
/// arXiv:1706.03762), then cosine decay to `min_learning_rate` at the last step (Loshchilov and Hutter 2016,
/// arXiv:1608.03983, without restarts).
pub fn learning_rate(recipe: &Recipe, step: usize) -> f64 {
    let Recipe { learning_rate: high, min_learning_rate: low, warmup_steps, steps, .. } = *recipe;
    if step < warmup_steps {
        return high * (step + 1) as f64 / warmup_steps as f64;
    }
    let decay_steps = steps.saturating_sub(warmup_steps + 1).max(1);
    let progress = ((step - warmup_steps) as f64 / decay_steps as f64).min(1.0);
    low + (high - low) * 0.5 * (1.0 + (std::f64::consts::PI * progress).cos())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learning_rate_rises_then_falls_and_stays_in_range() {
        for (steps, warmup_steps) in [(100, 10), (100, 0), (5, 5), (5, 50), (1, 0), (2, 1)] {
            let recipe =
                Recipe { steps, warmup_steps, learning_rate: 1e-3, min_learning_rate: 1e-4, ..Recipe::default() };
            let rates: Vec<f64> = (0..steps).map(|step| learning_rate(&recipe, step)).collect();
            let peak = warmup_steps.min(steps);
            assert!(rates[..peak].is_sorted_by(|a, b| a < b), "{rates:?}");
            assert!(rates[peak..].is_sorted_by(|a, b| a > b), "{rates:?}");
            assert!(rates.iter().all(|&rate| 0.0 < rate && rate <= 1e-3));
            if steps > warmup_steps + 1 {
                assert_eq!(rates[warmup_steps], 1e-3);
                assert!((rates[steps - 1] - 1e-4).abs() < 1e-12, "{rates:?}");
            }
        }
    }
}
