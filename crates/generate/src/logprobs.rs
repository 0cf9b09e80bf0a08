//! How probable the model found what was chosen, and what it would rather have said.

use std::cmp::Ordering;

use crate::sampling::{higher_first, log_sum_exp};

/// Natural log-probabilities at one place of the text, under the model's own distribution: before bias, penalties,
/// temperature and cuts, so that they can be compared between runs.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenLogprobs {
    /// The token that was chosen.
    pub id: u32,
    pub logprob: f64,
    /// The most probable tokens, from the best on, as many as were asked for; of equal ones the lowest id first.
    pub top: Vec<(u32, f64)>,
}

impl TokenLogprobs {
    /// `logits`: the model's row `[vocab_size]`.
    pub fn new(logits: &[f32], id: u32, top: usize) -> Self {
        let log_sum = log_sum_exp(logits);
        let logprob = |logit: f32| f64::from(logit) - log_sum;
        Self {
            id,
            logprob: logits.get(id as usize).map_or(f64::NEG_INFINITY, |&logit| logprob(logit)),
            top: highest(logits, top).into_iter().map(|(id, logit)| (id, logprob(logit))).collect(),
        }
    }
}

/// The `count` highest logits with their ids, from the highest on.
fn highest(logits: &[f32], count: usize) -> Vec<(u32, f32)> {
    let order = |a: &(u32, f32), b: &(u32, f32)| -> Ordering { higher_first(a.1, b.1).then(a.0.cmp(&b.0)) };
    if count == 0 {
        return Vec::new();
    }
    let mut all: Vec<(u32, f32)> = (0..).zip(logits.iter().copied()).collect();
    if count < all.len() {
        all.select_nth_unstable_by(count, order);
        all.truncate(count);
    }
    all.sort_unstable_by(order);
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_are_logarithms_of_the_softmax() {
        let probabilities = [0.1f32, 0.4, 0.05, 0.4, 0.05];
        let logits = probabilities.map(|p| p.ln() + 3.0);
        let found = TokenLogprobs::new(&logits, 2, 3);
        assert!((found.logprob - 0.05f64.ln()).abs() < 1e-6);
        let ids: Vec<u32> = found.top.iter().map(|&(id, _)| id).collect();
        assert_eq!(ids, [1, 3, 0]);
        for (id, logprob) in found.top {
            let p = f64::from(probabilities[id as usize]);
            assert!((logprob - p.ln()).abs() < 1e-6, "{id}");
        }
    }

    #[test]
    fn any_number_of_them() {
        let logits: Vec<f32> = (0..50).map(|i| ((i * 37) % 50) as f32).collect();
        for count in [0, 1, 7, 49, 50, 51, usize::MAX] {
            let top = TokenLogprobs::new(&logits, 0, count).top;
            assert_eq!(top.len(), count.min(50));
            let ordered = top.iter().map(|&(id, _)| logits[id as usize] as usize);
            assert!(ordered.eq((50 - top.len()..50).rev()), "{count}");
        }
        assert_eq!(TokenLogprobs::new(&logits, 50, 0).logprob, f64::NEG_INFINITY);
        assert_eq!(TokenLogprobs::new(&[-0.0, 0.0], 0, 1).top[0].0, 0);
    }
}
