//! The rules that reshape a row of logits by itself alone, one function each.

use std::cmp::Ordering;

/// How many tokens [`fewest`] sorts at first; most calls need no more.
const FIRST_SORTED: usize = 256;

/// Divides the logits by `temperature` > 0: below 1 the distribution is sharper, above 1 flatter.
///
/// The highest logit is taken off first. Softmax does not change by that, and a tiny temperature cannot overflow.
pub fn temperature(logits: &mut [f32], temperature: f32) {
    let highest = highest(logits);
    if temperature == 1.0 || highest == f32::NEG_INFINITY {
        return;
    }
    for logit in logits {
        *logit = (*logit - highest) / temperature;
    }
}

/// Removes every token with a logit below the k-th highest (Fan et al. 2018, "Hierarchical Neural Story Generation",
/// section 5.4). Tokens that tie with the k-th stay, as in transformers. `k` ≥ 1; `order` is scratch.
pub fn top_k(logits: &mut [f32], k: usize, order: &mut Vec<(f32, u32)>) {
    if k == 0 || k >= logits.len() {
        return;
    }
    possible(logits, order);
    if k >= order.len() {
        return;
    }
    let (_, &mut (threshold, _), _) = order.select_nth_unstable_by(k - 1, more_probable_first);
    for logit in logits {
        if *logit < threshold {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Keeps the fewest most probable tokens whose probabilities reach `p`, at least one: nucleus sampling (Holtzman et al.
/// 2020, "The Curious Case of Neural Text Degeneration", section 3.1). Of equal logits the higher id counts as more
/// probable: transformers sorts ascending and drops from the front. `order` is scratch.
pub fn top_p(logits: &mut [f32], p: f32, order: &mut Vec<(f32, u32)>) {
    possible(logits, order);
    let highest = highest(logits);
    let weight = |logit: f32| f64::from(logit - highest).exp();
    // Summed in ascending order of id, so the result does not depend on how far the list is sorted.
    let total: f64 = order.iter().map(|&(logit, _)| weight(logit)).sum();
    let wanted = f64::from(p) * total;

    let kept = fewest(order, wanted, weight, more_probable_first);
    for &(_, id) in &order[kept..] {
        logits[id as usize] = f32::NEG_INFINITY;
    }
}

/// Removes tokens less than `p` times as probable as the most probable one (Nguyen et al. 2024, "Turning Up the Heat:
/// Min-p Sampling for Creative and Coherent LLM Outputs", section 3). The most probable token always stays.
pub fn min_p(logits: &mut [f32], p: f32) {
    let highest = highest(logits);
    let p = f64::from(p);
    for logit in logits {
        // The ratio of two probabilities needs no softmax: it is e to the difference of their logits.
        if f64::from(*logit - highest).exp() < p {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// Keeps the fewest most typical tokens whose probabilities reach `p`, at least one: locally typical sampling (Meister et
/// al. 2023, "Locally Typical Sampling", arXiv:2202.00666, section 4). A token is the more typical, the nearer its
/// surprise -ln p is to the row's mean surprise, its entropy: so the most probable token may go. Tokens as typical as
/// the last one kept stay, as in transformers. `order` is scratch.
pub fn typical_p(logits: &mut [f32], p: f32, order: &mut Vec<(f32, u32)>) {
    possible(logits, order);
    let log_sum = log_sum_exp(logits);
    let surprise = |logit: f32| log_sum - f64::from(logit);
    let probability = |logit: f32| (-surprise(logit)).exp();
    let entropy: f64 = order.iter().map(|&(logit, _)| probability(logit) * surprise(logit)).sum();
    let off = |logit: f32| (surprise(logit) - entropy).abs();
    let kept = fewest(order, f64::from(p), probability, |a, b| off(a.0).total_cmp(&off(b.0)).then(a.1.cmp(&b.1)));
    let Some(&(last, _)) = order[..kept].last() else {
        return;
    };
    for logit in logits {
        if off(*logit) > off(last) {
            *logit = f32::NEG_INFINITY;
        }
    }
}

/// How many tokens, first come first, it takes until their weights reach `wanted`; those are in front then, in order.
///
/// Sorting a whole vocabulary for a nucleus of a few tokens would be most of the work, so it is sorted in stretches, each
/// eight times as long as all before it.
fn fewest(
    order: &mut [(f32, u32)],
    wanted: f64,
    weight: impl Fn(f32) -> f64,
    first: impl Fn(&(f32, u32), &(f32, u32)) -> Ordering,
) -> usize {
    let (mut reached, mut kept, mut sorted) = (0.0, 0, 0);
    while reached < wanted && kept < order.len() {
        if kept == sorted {
            let end = (sorted * 8).max(FIRST_SORTED).min(order.len());
            let rest = &mut order[sorted..];
            if end - sorted < rest.len() {
                rest.select_nth_unstable_by(end - sorted, &first);
            }
            rest[..end - sorted].sort_unstable_by(&first);
            sorted = end;
        }
        reached += weight(order[kept].0);
        kept += 1;
    }
    kept
}

/// The natural logarithm of the probability that the row gives token `id`, computed in float64. −∞ for an id beyond
/// the row.
pub fn log_softmax_at(logits: &[f32], id: u32) -> f64 {
    let Some(&logit) = logits.get(id as usize) else {
        return f64::NEG_INFINITY;
    };
    f64::from(logit) - log_sum_exp(logits)
}

/// The natural logarithm of the sum of e to the power of each logit, computed in float64: taken off a logit, it leaves the
/// logarithm of the token's probability.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let highest = f64::from(highest(logits));
    let sum: f64 = logits.iter().map(|&logit| (f64::from(logit) - highest).exp()).sum();
    highest + sum.ln()
}

fn highest(logits: &[f32]) -> f32 {
    logits.iter().copied().fold(f32::NEG_INFINITY, f32::max)
}

/// Lists the tokens that no rule has removed yet, with their logits.
fn possible(logits: &[f32], order: &mut Vec<(f32, u32)>) {
    order.clear();
    order.extend((0..).zip(logits).filter(|&(_, &logit)| logit > f32::NEG_INFINITY).map(|(id, &logit)| (logit, id)));
}

/// The order of two logits from the higher to the lower: −0 is 0, as in torch, which `total_cmp` alone tells apart.
pub(crate) fn higher_first(a: f32, b: f32) -> Ordering {
    (b + 0.0).total_cmp(&(a + 0.0))
}

fn more_probable_first(a: &(f32, u32), b: &(f32, u32)) -> Ordering {
    higher_first(a.0, b.0).then(b.1.cmp(&a.1))
}
