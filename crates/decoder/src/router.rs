//! Which experts each token is sent to, and what their outputs weigh.

use burn::tensor::{DType, Int, Tensor, TensorData, activation::softmax};
use glass_config::RouterWeights;

/// The way of every token of a pass to its experts.
pub struct Routes {
    /// The experts of each token, in ascending order: `tokens * k` of them.
    pub experts: Vec<usize>,
    /// `[tokens, k]`, float32
    pub weights: Tensor<2>,
}

impl Routes {
    /// Sends each token to the `k` experts with the largest logits; of equal ones to the first.
    ///
    /// The choice is read back: what is computed next depends on it. On a CPU the logits are in memory already; a graphics
    /// adapter is waited for, once in each layer of experts.
    ///
    /// `logits` `[tokens, num_experts]`
    pub fn new(logits: Tensor<2>, k: usize, weights: RouterWeights) -> Self {
        let [tokens, num_experts] = logits.dims();
        let logits = logits.cast(DType::F32);
        let scores = logits.clone().without_autodiff().into_data();
        let scores: Vec<f32> = scores.iter::<f32>().collect();
        let experts: Vec<usize> = scores.chunks(num_experts).flat_map(|scores| largest(scores, k)).collect();

        let chosen: Vec<i32> = experts.iter().map(|&expert| expert as i32).collect();
        let chosen = Tensor::<2, Int>::from_data(TensorData::new(chosen, [tokens, k]), &logits.device());
        let weights = match weights {
            RouterWeights::SoftmaxAll => softmax(logits, 1).gather(1, chosen), // [tokens, k]
            RouterWeights::SoftmaxAllRenormalised => {
                let weights = softmax(logits, 1).gather(1, chosen); // [tokens, k]
                weights.clone() / weights.sum_dim(1)
            }
            RouterWeights::SoftmaxChosen => softmax(logits.gather(1, chosen), 1), // [tokens, k]
        };
        Self { experts, weights }
    }

    /// The places in [`experts`](Self::experts) grouped by expert, in ascending order: each expert that some token is sent
    /// to, and how many; and all places in the order of these groups.
    pub fn groups(&self) -> (Vec<(usize, usize)>, Vec<usize>) {
        let mut places: Vec<usize> = (0..self.experts.len()).collect();
        places.sort_by_key(|&place| self.experts[place]); // stable: tokens stay in their order
        let groups = places.chunk_by(|&a, &b| self.experts[a] == self.experts[b]);
        let groups = groups.map(|group| (self.experts[group[0]], group.len())).collect();
        (groups, places)
    }
}

/// The places of the `k` largest scores, in ascending order.
fn largest(scores: &[f32], k: usize) -> Vec<usize> {
    let mut places: Vec<usize> = (0..scores.len()).collect();
    if k < places.len() {
        places.select_nth_unstable_by(k, |&a, &b| scores[b].total_cmp(&scores[a]).then(a.cmp(&b)));
        places.truncate(k);
        places.sort_unstable();
    }
    places
}
