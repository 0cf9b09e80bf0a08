//! Rows chosen anew are, from then on, what they would be if they had been those rows from the beginning.

use burn::tensor::{Tensor, TensorData};
use glass_attention::{Cache, CacheError, CachePlan, CachePolicy, Call, Rope, Unobserved};
use glass_backend::{Device, Dtype};
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{
    HEAD_DIM, HEADS, KV_HEADS, SAME, config,
    definition::{self, Row},
    devices, numbers, policies,
};

/// One token of one row: queries, keys and values, head by head.
#[derive(Clone)]
struct Token([Vec<f32>; 3]);

fn token(seed: u64) -> Token {
    Token([
        numbers(seed, HEADS * HEAD_DIM),
        numbers(seed ^ 1, KV_HEADS * HEAD_DIM),
        numbers(seed ^ 2, KV_HEADS * HEAD_DIM),
    ])
}

/// A row as far as it has come: padding on its left, then tokens.
#[derive(Clone)]
struct History {
    pad: usize,
    tokens: Vec<Token>,
}

struct Run {
    cache: Cache,
    rows: Vec<History>,
    window: Option<usize>,
    policy: CachePolicy,
    device: Device,
}

impl Run {
    fn new(window: Option<usize>, policy: CachePolicy, pads: &[usize], device: &Device) -> Self {
        let plan = CachePlan {
            full: Some(policy),
            sliding: Some(policy),
        };
        let longest = pads.iter().max().copied().unwrap_or(0) + 1;
        let mask: Vec<Vec<bool>> = pads
            .iter()
            .map(|&pad| (0..longest).map(|slot| slot >= pad).collect())
            .collect();
        let cache = Cache::planned(&config(window), plan, pads.len(), device, Dtype::F32);
        let row = |&pad: &usize| History {
            pad,
            tokens: vec![],
        };
        Self {
            cache: cache.expect("the policy fits").with_attention_mask(&mask),
            rows: pads.iter().map(row).collect(),
            window,
            policy,
            device: device.clone(),
        }
    }

    /// Feeds so many tokens to every row, all of them different or all alike; returns how far the last of them is from its
    /// definition, and the least margin by which a state was dropped.
    fn feed(&mut self, count: usize, seed: u64, alike: bool) -> (f64, f64) {
        let rows = self.rows.len();
        for (number, row) in self.rows.iter_mut().enumerate() {
            let number = if alike { 0 } else { number as u64 };
            let new = |index: usize| token(seed ^ (number << 32) ^ ((index as u64) << 8));
            row.tokens.extend((0..count).map(new));
        }
        let part = |kind: usize, heads: usize| -> Tensor<4> {
            let mut values: Vec<f32> = vec![];
            for row in &self.rows {
                let tokens = &row.tokens[row.tokens.len() - count..];
                for head in 0..heads {
                    for token in tokens {
                        values.extend(&token.0[kind][head * HEAD_DIM..(head + 1) * HEAD_DIM]);
                    }
                }
            }
            let data = TensorData::new(values, [rows, heads, count, HEAD_DIM]);
            Tensor::from_data(data, self.device.burn())
        };
        let pass = self.cache.begin(rows, count).expect("a pass");
        let mut call = Call {
            pass: &pass,
            observer: &mut Unobserved,
            layer: 0,
        };
        let (q, k, v) = (part(0, HEADS), part(1, KV_HEADS), part(2, KV_HEADS));
        let k = pass.rotate(k);
        let mixed = self.cache.layer(0).attend(q, k, v, &mut call);
        let last = mixed.narrow(2, count - 1, 1).into_data();
        let last = last.try_to_vec::<f32>().expect("float32");
        let rope = Rope::new(&config(self.window));
        let (mut off, mut margin) = (0.0f64, f64::INFINITY);
        for (row, found) in self.rows.iter().zip(last.chunks(HEADS * HEAD_DIM)) {
            // What was fed into padding counts for nothing.
            let tokens = &row.tokens[row.pad..];
            let heads = |kind: usize, heads: usize| -> Vec<Vec<Vec<f64>>> {
                let values = |token: &Token, head: usize| {
                    let values = &token.0[kind][head * HEAD_DIM..(head + 1) * HEAD_DIM];
                    values.iter().map(|&x| f64::from(x)).collect()
                };
                (0..heads)
                    .map(|head| tokens.iter().map(|token| values(token, head)).collect())
                    .collect()
            };
            let row = Row {
                q: heads(0, HEADS),
                k: heads(1, KV_HEADS),
                v: heads(2, KV_HEADS),
            };
            let expected = definition::run(&row, self.policy, self.window, &rope);
            margin = margin.min(expected.margin);
            let Some(last) = expected.mixed.last() else {
                continue;
            };
            for (a, b) in found.iter().zip(last.iter().flatten()) {
                let apart = (f64::from(*a) - b).abs();
                off = off.max(if apart.is_nan() { f64::INFINITY } else { apart });
            }
        }
        (off, margin)
    }

    fn select(&mut self, alike: usize, rows: &[usize]) {
        self.cache.select_after(alike, rows).expect("rows");
        self.rows = rows.iter().map(|&row| self.rows[row].clone()).collect();
    }
}

/// Some tokens, rows chosen anew, some tokens more; several times.
#[test]
fn rows_chosen_anew_are_those_rows() {
    for device in devices() {
        let cases = if device.name().starts_with("wgpu") {
            10
        } else {
            150
        };
        let mut runner = TestRunner::new(ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let round = (
            1usize..7,
            prop::collection::vec(0usize..99, 1..5),
            1usize..3,
        );
        let strategy = (
            policies(12),
            prop::collection::vec(0..4usize, 1..4),
            prop::collection::vec(round, 1..4),
            any::<u64>(),
        );
        let outcome = runner.run(&strategy, |((window, policy), pads, rounds, seed)| {
            let mut run = Run::new(window, policy, &pads, &device);
            let longest = pads.iter().max().copied().unwrap_or(0);
            run.feed(longest + 1, seed, false);
            for (round, (before, rows, after)) in rounds.into_iter().enumerate() {
                let seed = seed ^ ((round as u64 + 1) << 16);
                run.feed(before, seed, false);
                let there = run.rows.len();
                let rows: Vec<usize> = rows.into_iter().map(|row| row % there).collect();
                run.select(0, &rows);
                let (off, margin) = run.feed(after, seed ^ 77, false);
                // Where two states are attended to alike up to rounding, float32 may drop the other.
                prop_assume!(margin > 1e-5);
                prop_assert!(off <= SAME, "window {window:?}, {policy}: off by {off}");
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("on {}: {error}", device.name()));
    }
}

/// As beams do: one prompt for all, and rows that take each other's places where they differ.
#[test]
fn what_rows_have_in_common_may_stay_where_it_is() {
    for device in devices() {
        let wgpu = device.name().starts_with("wgpu");
        for (number, name) in [
            "full",
            "ring:5",
            "ring:40",
            "sinks:2+4",
            "sinks:9+6",
            "tova:6",
        ]
        .into_iter()
        .enumerate()
        {
            if wgpu && number % 2 == 1 {
                continue;
            }
            for own in [None, Some(9)] {
                let policy: CachePolicy = name.parse().expect("a policy");
                for prompt in [3, 8] {
                    let mut run = Run::new(own, policy, &[0], &device);
                    run.feed(prompt, 5, false);
                    run.select(prompt, &[0, 0, 0]);
                    let mut alike = prompt;
                    let moves = [[0, 1, 2], [1, 0, 2], [2, 2, 0], [0, 0, 0], [0, 2, 1]];
                    for (step, rows) in moves.into_iter().enumerate() {
                        let (off, margin) = run.feed(1, 1000 + step as u64, false);
                        let who = format!("{name}, window {own:?} on {}", device.name());
                        assert!(margin > 1e-5, "{who}: the test's numbers are too near");
                        assert!(off <= SAME, "{who}, step {step}: off by {off}");
                        run.select(alike, &rows);
                        if rows == [0, 0, 0] {
                            alike = prompt + step + 1;
                        }
                    }
                    let (off, _) = run.feed(2, 99, true);
                    assert!(off <= SAME, "{name} on {}: off by {off}", device.name());
                }
            }
        }
    }
}

/// The order that is there, and rows that are alike, move nothing: what is held is the same memory.
#[test]
fn bytes_follow_the_rows() {
    let device = Device::open("flex").expect("it is built in");
    for name in ["full", "ring:6", "sinks:2+4", "tova:5"] {
        let policy: CachePolicy = name.parse().expect("a policy");
        let mut run = Run::new(None, policy, &[0, 2, 1], &device);
        run.feed(12, 3, false);
        let three = run.cache.bytes();
        run.select(0, &[0, 1, 2]);
        assert_eq!(run.cache.bytes(), three, "{name}");
        run.select(0, &[2]);
        assert_eq!(run.cache.bytes(), three / 3, "{name}");
        run.select(0, &[0; 6]);
        assert_eq!(run.cache.bytes(), 2 * three, "{name}");
    }
}

#[test]
fn rows_that_are_not_there_are_refused() {
    let device = Device::open("flex").expect("it is built in");
    let policy: CachePolicy = "full".parse().expect("a policy");
    let mut run = Run::new(None, policy, &[0, 1], &device);
    run.feed(4, 3, false);
    assert_eq!(run.cache.select(&[]), Err(CacheError::NoRows));
    let error = CacheError::NoSuchRow { row: 2, batch: 2 };
    assert_eq!(run.cache.select(&[0, 2]), Err(error));
    // It is what it was.
    let (off, _) = run.feed(1, 9, false);
    assert!(off <= SAME, "{off}");
}

#[test]
fn more_rows_than_the_device_binds_are_refused_and_nothing_has_changed() {
    // Keys of one position and row: 2 heads of 8 float32.
    let device = Device::open("flex").expect("it is built in");
    let small = device.with_max_binding((KV_HEADS * HEAD_DIM * 4 * 30) as u64);
    for name in ["full", "tova:20", "sinks:2+9", "ring:9"] {
        let policy: CachePolicy = name.parse().expect("a policy");
        let mut run = Run::new(None, policy, &[0, 0], &small);
        for seed in [2, 3, 4] {
            run.feed(3, seed, false);
        }
        let rows = [0; 4];
        let error = run.cache.select(&rows).expect_err("36 states do not fit");
        assert!(matches!(error, CacheError::TooLarge { .. }), "{error}");
        let (off, _) = run.feed(1, 4, false);
        assert!(off <= SAME, "{name}: {off}");
        run.select(0, &[1, 0, 1]);
        // Three rows of 10 are all there is room for.
        match name {
            "full" => assert!(run.cache.begin(3, 1).is_err()),
            "tova:20" => assert!(run.cache.begin(3, 1).is_err()),
            _ => assert!(run.feed(1, 5, false).0 <= SAME),
        }
    }
}
