//! Each rule by itself, on rows small enough to work out by hand from transformers' definitions.

use glass_generate::sampling::{
    SequenceBias, log_softmax_at, min_p, no_repeat_ngram, presence_and_frequency_penalty, repetition_penalty,
    sequence_bias, temperature, top_k, top_p, typical_p,
};

use super::sampling::{GONE, row};

fn kept(logits: &[f32]) -> Vec<usize> {
    let ids = logits.iter().enumerate();
    ids.filter(|&(_, &logit)| logit > GONE).map(|(id, _)| id).collect()
}

#[test]
fn temperature_keeps_differences_in_proportion() {
    let mut logits = [1.0, 3.0, GONE];
    temperature(&mut logits, 0.5);
    assert_eq!(logits, [-4.0, 0.0, GONE]);
}

#[test]
fn top_k_keeps_ties_with_the_last() {
    // transformers removes what is below the k-th highest logit: two tokens share the second place.
    let mut logits = [1.0, 5.0, 2.0, 2.0, 0.0];
    top_k(&mut logits, 2, &mut Vec::new());
    assert_eq!(logits, [GONE, 5.0, 2.0, 2.0, GONE]);
    // Tokens that are removed already do not count.
    let mut logits = [GONE, GONE, 1.0, 2.0];
    top_k(&mut logits, 2, &mut Vec::new());
    assert_eq!(kept(&logits), [2, 3]);
}

#[test]
fn top_p_keeps_the_token_that_crosses_and_at_least_one() {
    let probabilities = [0.125, 0.5, 0.25, 0.125];
    for (p, expected) in
        [(1e-6, &[1][..]), (0.4, &[1]), (0.6, &[1, 2]), (0.74, &[1, 2]), (0.8, &[1, 2, 3]), (0.99, &[0, 1, 2, 3])]
    {
        let mut logits = row(&probabilities);
        top_p(&mut logits, p, &mut Vec::new());
        assert_eq!(kept(&logits), expected, "{p}");
    }
    // Ascending cumulative sums .25 .5 .75 1: transformers removes those of at most 1 - p = .5.
    let mut logits = [0.0; 4];
    top_p(&mut logits, 0.5, &mut Vec::new());
    assert_eq!(kept(&logits), [2, 3]);
    // -0 and 0 are equal: the higher id is first, whichever of them it has.
    for mut logits in [[-1.0, 0.0, -1.0, -0.0], [-1.0, -0.0, -1.0, 0.0]] {
        top_p(&mut logits, 0.3, &mut Vec::new());
        assert_eq!(kept(&logits), [3]);
    }
}

#[test]
fn top_p_of_a_large_vocabulary_is_that_of_a_full_sort() {
    // Nuclei below and above every stretch that is sorted at once.
    for (spread, p) in [(5.0, 0.5), (0.01, 0.02), (0.01, 0.5), (0.001, 0.999)] {
        let logits: Vec<f32> = (0..5000u32).map(|i| (i * 7919 % 5003) as f32 * spread).collect();
        let mut sorted: Vec<usize> = (0..logits.len()).collect();
        sorted.sort_by(|&a, &b| logits[b].total_cmp(&logits[a]));
        let (mut expected, mut before) = (Vec::new(), 0.0);
        for id in sorted {
            if before < f64::from(p) {
                expected.push(id);
            }
            before += log_softmax_at(&logits, id as u32).exp();
        }
        expected.sort_unstable();
        let mut row = logits.clone();
        top_p(&mut row, p, &mut Vec::new());
        assert_eq!(kept(&row), expected, "{spread} {p}");
    }
}

#[test]
fn min_p_compares_with_the_most_probable() {
    let mut logits = row(&[0.5, 0.26, 0.2, 0.04]);
    min_p(&mut logits, 0.5);
    assert_eq!(kept(&logits), [0, 1]);
    let mut logits = [2.0, 2.0, 1.0];
    min_p(&mut logits, 1.0);
    assert_eq!(kept(&logits), [0, 1]);
}

#[test]
fn repetition_penalty_moves_either_sign_down_once() {
    // transformers: score * penalty below zero, score / penalty otherwise, once for each token.
    let mut logits = [3.0, -3.0, 0.0, 1.0, GONE];
    repetition_penalty(&mut logits, &[0, 0, 1, 2, 4, 4, 100, u32::MAX], 1.5, &mut Vec::new());
    assert_eq!(logits, [2.0, -4.5, 0.0, 1.0, GONE]);
}

#[test]
fn log_probabilities_are_natural() {
    let logits = row(&[0.5, 0.25, 0.25]);
    assert!((log_softmax_at(&logits, 1) - 0.25f64.ln()).abs() < 1e-7);
    // Shifted by any amount, large ones included, and over the whole row they are a distribution.
    let logits = [1000.0, 1001.0, 999.0, GONE];
    let total: f64 = (0..4).map(|id| log_softmax_at(&logits, id).exp()).sum();
    assert!((total - 1.0).abs() < 1e-12);
    assert_eq!(log_softmax_at(&logits, 3), f64::NEG_INFINITY);
    assert_eq!(log_softmax_at(&logits, 4), f64::NEG_INFINITY);
}

#[test]
fn typical_p_keeps_what_is_about_as_surprising_as_the_mean() {
    // Surprises 0.69 1.39 2.08 2.77 2.77 with mean 1.30: token 1 is off by 0.09, 0 by 0.61, 2 by 0.78, 3 and 4 by 1.47.
    let probabilities = [0.5, 0.25, 0.125, 0.0625, 0.0625];
    for (p, expected) in [
        (1e-6, &[1][..]),
        (0.24, &[1]),
        (0.3, &[0, 1]),
        (0.74, &[0, 1]),
        (0.76, &[0, 1, 2]),
        (0.87, &[0, 1, 2]),
        // The two last are alike: one is enough, and both stay.
        (0.9, &[0, 1, 2, 3, 4]),
        (1.0, &[0, 1, 2, 3, 4]),
    ] {
        let mut logits = row(&probabilities);
        typical_p(&mut logits, p, &mut Vec::new());
        assert_eq!(kept(&logits), expected, "{p}");
    }
    // What is gone already does not count, and a single token stays.
    let mut logits = [GONE, 2.0, GONE];
    typical_p(&mut logits, 0.5, &mut Vec::new());
    assert_eq!(logits, [GONE, 2.0, GONE]);
    let mut logits = [GONE; 3];
    typical_p(&mut logits, 0.5, &mut Vec::new());
    assert_eq!(logits, [GONE; 3]);
}

#[test]
fn biases_are_added_where_their_sequence_ends() {
    let bias = |ids: &[u32], bias| SequenceBias { ids: ids.to_vec(), bias };
    let biases = [
        bias(&[0], 1.0),
        bias(&[0], 0.5),
        bias(&[2, 3, 1], -2.0),
        bias(&[3, 3, 2], 9.0),
        bias(&[1, 2, 3, 3], 9.0),
        bias(&[4], GONE),
        bias(&[9], 9.0),
    ];
    let mut logits = [0.0; 5];
    sequence_bias(&mut logits, &[2, 3], &biases);
    assert_eq!(logits, [1.5, -2.0, 0.0, 0.0, GONE]);
    let mut logits = [0.0; 5];
    sequence_bias(&mut logits, &[], &biases);
    assert_eq!(logits, [1.5, 0.0, 0.0, 0.0, GONE]);
}

#[test]
fn presence_counts_once_and_frequency_every_time() {
    let mut logits = [1.0, 1.0, -1.0, 1.0];
    let generated = [1, 2, 1, 1, 9];
    let scratch = &mut vec![7; 2];
    presence_and_frequency_penalty(&mut logits, &generated, 0.5, 0.25, scratch);
    assert_eq!(logits, [1.0, -0.25, -1.75, 1.0]);
    presence_and_frequency_penalty(&mut logits, &[0, 0], -1.0, 0.0, scratch);
    assert_eq!(logits, [2.0, -0.25, -1.75, 1.0]);
}

#[test]
fn no_sequence_is_completed_twice() {
    let text = [1, 2, 3, 1, 2, 4, 1, 2];
    for (n, expected) in [
        (0, &[0, 1, 2, 3, 4, 5][..]),
        (1, &[0, 5]),
        (2, &[0, 1, 2, 5]),
        (3, &[0, 1, 2, 5]),
        (4, &[0, 1, 2, 3, 4, 5]),
        (8, &[0, 1, 2, 3, 4, 5]),
        (9, &[0, 1, 2, 3, 4, 5]),
        (usize::MAX, &[0, 1, 2, 3, 4, 5]),
    ] {
        let mut logits = [0.0; 6];
        no_repeat_ngram(&mut logits, &text, n);
        assert_eq!(kept(&logits), expected, "{n}");
    }
    let mut logits = [0.0; 2];
    no_repeat_ngram(&mut logits, &[7, 7], 1);
    assert_eq!(logits, [0.0; 2]);
}
