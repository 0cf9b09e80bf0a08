//! The angles that a rotation gives, against what the papers say of them.

use glass_config::RopeParameters;
use serde_json::{Value, json};

use crate::common::{file, read};

const HEAD_DIM: usize = 64;
const TRAINED: usize = 2048;

/// Of a model that was trained on [`TRAINED`] positions, with θ 10,000.
fn rope(parameters: Value) -> RopeParameters {
    let model = json!({"head_dim": HEAD_DIM, "max_position_embeddings": TRAINED, "rope_parameters": parameters});
    read(&file("llama", model)).unwrap().ropes.remove(0)
}

/// θ^(-2i/d).
fn unscaled(theta: f64) -> Vec<f64> {
    let pairs = (0..HEAD_DIM / 2).map(|i| theta.powf(-2.0 * i as f64 / HEAD_DIM as f64));
    pairs.collect()
}

fn near(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(expected) {
        assert!((found / expected - 1.0).abs() < 1e-12, "{found} {expected}");
    }
}

#[test]
fn default_and_linear_are_the_same_at_every_length() {
    let default = rope(json!({"rope_type": "default", "rope_theta": 500.0}));
    let linear = rope(json!({"rope_type": "linear", "factor": 4.0}));
    let quarter: Vec<_> = unscaled(10_000.0).iter().map(|f| f / 4.0).collect();
    for length in [0, TRAINED, 10 * TRAINED] {
        near(&default.inv_freq(HEAD_DIM, length), &unscaled(500.0));
        near(&linear.inv_freq(HEAD_DIM, length), &quarter);
        assert!(!default.depends_on_length(length) && !linear.depends_on_length(length));
    }
    assert_eq!(default.attention_scaling(), 1.0);
    assert_eq!(linear.attention_scaling(), 1.0);
}

#[test]
fn dynamic_grows_theta_beyond_the_trained_length() {
    let rope = rope(json!({"rope_type": "dynamic", "factor": 2.0}));
    near(&rope.inv_freq(HEAD_DIM, TRAINED), &unscaled(10_000.0));
    assert!(!rope.depends_on_length(TRAINED));
    assert!(rope.depends_on_length(TRAINED + 1));
    // At twice the length: factor · 2 - (factor - 1) = 3.
    let d = HEAD_DIM as f64;
    let theta = 10_000.0 * 3f64.powf(d / (d - 2.0));
    near(&rope.inv_freq(HEAD_DIM, 2 * TRAINED), &unscaled(theta));
    assert_eq!(rope.attention_scaling(), 1.0);
}

#[test]
fn yarn_keeps_fast_pairs_and_interpolates_slow_ones() {
    let rope = |extra: Value| {
        let mut parameters = json!({"rope_type": "yarn", "factor": 8.0});
        let own = parameters.as_object_mut().unwrap();
        own.extend(extra.as_object().unwrap().clone());
        rope(parameters)
    };
    let yarn = rope(json!({}));
    let (found, kept) = (yarn.inv_freq(HEAD_DIM, 1), unscaled(10_000.0));
    for (i, (found, kept)) in found.iter().zip(kept).enumerate() {
        let turns = TRAINED as f64 * kept / std::f64::consts::TAU;
        let share = found / kept; // 1: kept; 1/8: interpolated.
        // The ramp's ends are rounded outwards to whole pairs, so that only what is a pair away is beyond them.
        if turns > 45.0 {
            assert!((share - 1.0).abs() < 1e-12, "pair {i}: {share}");
        } else if turns < 0.7 {
            assert!((share - 0.125).abs() < 1e-12, "pair {i}: {share}");
        } else {
            assert!((0.125..=1.0).contains(&share), "pair {i}: {share}");
        }
    }
    let shares = found.iter().zip(unscaled(10_000.0)).map(|(f, kept)| f / kept);
    assert!(shares.collect::<Vec<_>>().is_sorted_by(|a, b| a >= b));
    assert!(!yarn.depends_on_length(100 * TRAINED));
    // 0.1 ln s + 1, a quotient of two such with both mscales, or as the file says.
    let scaling = 0.1 * 8f64.ln();
    assert_eq!(yarn.attention_scaling(), scaling + 1.0);
    let both = rope(json!({"mscale": 0.5, "mscale_all_dim": 2.0}));
    let quotient = (0.5 * scaling + 1.0) / (2.0 * scaling + 1.0);
    near(&[both.attention_scaling()], &[quotient]);
    let one = rope(json!({"mscale": 0.5}));
    assert_eq!(one.attention_scaling(), scaling + 1.0);
    let given = rope(json!({"attention_factor": 1.25, "mscale": 0.5, "mscale_all_dim": 2.0}));
    assert_eq!(given.attention_scaling(), 1.25);
    let none = rope(json!({"factor": 1.0}));
    assert_eq!(none.attention_scaling(), 1.0);
}

#[test]
fn llama3_keeps_short_waves_and_stretches_long_ones() {
    let rope = rope(json!({"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}));
    for (found, kept) in rope.inv_freq(HEAD_DIM, 1).iter().zip(unscaled(10_000.0)) {
        let turns = TRAINED as f64 * kept / std::f64::consts::TAU;
        // Between the bounds, as much is kept as the number of turns is on its way from 1 to 4.
        let part = ((turns - 1.0) / 3.0).clamp(0.0, 1.0);
        near(&[*found], &[part * kept + (1.0 - part) * kept / 8.0]);
    }
    assert!(!rope.depends_on_length(100 * TRAINED));
    assert_eq!(rope.attention_scaling(), 1.0);
}

#[test]
fn longrope_has_a_list_for_short_and_one_for_long_texts() {
    let list = |first: f64| -> Vec<f64> { (0..HEAD_DIM / 2).map(|i| first + i as f64).collect() };
    let (short, long) = (list(1.0), list(2.0));
    let rope = rope(json!({"rope_type": "longrope", "short_factor": short, "long_factor": long,
               "original_max_position_embeddings": 256}));
    let by = |list: &[f64]| -> Vec<f64> { unscaled(10_000.0).iter().zip(list).map(|(f, by)| f / by).collect() };
    near(&rope.inv_freq(HEAD_DIM, 256), &by(&short));
    near(&rope.inv_freq(HEAD_DIM, 257), &by(&long));
    assert!(!rope.depends_on_length(256));
    assert!(rope.depends_on_length(257));
    // 2048 / 256 = 8 times longer: sqrt(1 + ln 8 / ln 256).
    let scaling = (1.0 + 8f64.ln() / 256f64.ln()).sqrt();
    assert_eq!(rope.attention_scaling(), scaling);
}
