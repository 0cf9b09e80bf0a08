//! The loss.

use burn::tensor::{Int, Tensor, activation::log_softmax};

/// The mean of `-ln p(target)` over all positions, in nats.
///
/// `logits` `[n, vocab_size]`, `targets` `[n]` -> `[1]`
pub fn cross_entropy(logits: Tensor<2>, targets: Tensor<1, Int>) -> Tensor<1> {
    let log_p = log_softmax(logits, 1); // [n, vocab_size]
    let log_p = log_p.gather(1, targets.unsqueeze_dim(1)); // [n, 1]
    log_p.mean().neg() // [1]
}
