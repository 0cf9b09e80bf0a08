//! Tokens drawn on an adapter, against the rules in float64.

use super::*;
use crate::{Draw, Draws};

/// What sums in float32 may be off by, of all probability.
const OFF: f64 = 1.0 / 65536.0;

#[test]
fn draws_are_those_of_the_rules() {
    let vocab = prop_oneof![2usize..9, 200usize..3000, Just(50_257), Just(150_000)];
    // All equal, many equal, none equal; and so far apart that few count.
    let steps = select(vec![0.0f32, 3.0, 64.0, 1e5]);
    let logits = (vocab, steps, 0.1f32..30.0, 0u64..1000, 0usize..4);
    let temperature = prop_oneof![Just(1.0f32), 0.05f32..3.0];
    let top_k = prop_oneof![Just(0usize), 1usize..6, 1usize..2000];
    let top_p = prop_oneof![Just(1.0f32), 0.01f32..1.0, Just(0.5f32)];
    let min_p = prop_oneof![Just(0.0f32), 0.0f32..0.5];
    let draw = (temperature, top_k, top_p, min_p, 0.0f64..1.0);
    let strategy = (logits, prop::collection::vec(draw, 1..4));
    on_adapter(24, &strategy, |kernels, device, _, ((vocab, steps, size, seed, out), draws)| {
        if !kernels.draws() {
            return Ok(());
        }
        let draws: Vec<Draw> = draws
            .into_iter()
            .map(|(temperature, top_k, top_p, min_p, uniform)| Draw { temperature, top_k, top_p, min_p, uniform })
            .collect();
        let shape = [draws.len(), vocab];
        let mut logits = numbers(seed, shape, device, DType::F32).into_data().try_to_vec::<f32>().expect("floats");
        logits.iter_mut().for_each(|logit| {
            *logit = if steps == 0.0 { size } else { (*logit * steps).round() / steps * size };
        });
        // Some are not possible, but never all of a row.
        logits.iter_mut().enumerate().filter(|(id, _)| out > 0 && id % (out + 1) == 1).for_each(|(_, logit)| {
            *logit = f32::NEG_INFINITY;
        });
        check(kernels, device, &logits, shape, &draws)
    });
}

#[test]
fn negative_zero_is_zero() {
    on_adapter(1, &Just(()), |kernels, device, _, ()| {
        if !kernels.draws() {
            return Ok(());
        }
        let rows = [[-1.0, 0.0, -0.5, -0.0], [-0.0, -1.0, 0.0, -0.5]];
        for temperature in [1.0, 0.7] {
            for (top_k, top_p) in [(0, 0.01), (1, 1.0), (1, 0.01)] {
                let draw = Draw { temperature, top_k, top_p, min_p: 0.0, uniform: 0.0 };
                check(kernels, device, &rows.concat(), [2, 4], &[draw; 2])?;
            }
        }
        Ok(())
    });
}

#[test]
fn rows_without_a_token_say_so() {
    on_adapter(1, &Just(()), |kernels, device, _, ()| {
        let vocab = 700;
        let with = |id: usize, value: f32| {
            let mut row = vec![1.5; vocab];
            row[id] = value;
            row
        };
        let rows = [with(699, f32::NAN), with(3, f32::INFINITY), vec![f32::NEG_INFINITY; vocab], with(5, 300.0)];
        let draw = Draw { temperature: 0.7, top_k: 40, top_p: 0.9, min_p: 0.1, uniform: 0.5 };
        let data = TensorData::new(rows.concat(), [rows.len(), vocab]);
        let draws = Draws::new(&vec![draw; rows.len()], device);
        let Some(drawn) = kernels.draw(&Tensor::from_data(data, device), &draws) else {
            prop_assert!(!kernels.draws());
            return Ok(());
        };
        let drawn = drawn.into_data().try_to_vec::<f32>().expect("floats");
        prop_assert!(drawn[0] == 699.0 && drawn[1].is_nan(), "{drawn:?}");
        prop_assert!(drawn[3..5] == [3.0, f32::INFINITY], "{drawn:?}");
        prop_assert!(drawn[7] == f32::NEG_INFINITY, "{drawn:?}");
        prop_assert!(drawn[9..11] == [5.0, 300.0] && drawn[11].abs() < 1e-5, "{drawn:?}");
        Ok(())
    });
}

fn check(
    kernels: KernelSet,
    device: &BurnDevice,
    logits: &[f32],
    [n, vocab]: [usize; 2],
    draws: &[Draw],
) -> Result<(), TestCaseError> {
    let data = TensorData::new(logits.to_vec(), [n, vocab]);
    let drawn = kernels.draw(&Tensor::from_data(data, device), &Draws::new(draws, device)).expect("a kernel");
    prop_assert_eq!(drawn.dims(), [n, 3]);
    let drawn = drawn.into_data().try_to_vec::<f32>().expect("floats");
    for ((row, drawn), draw) in logits.chunks(vocab).zip(drawn.chunks(3)).zip(draws) {
        let id = drawn[0] as usize;
        let may_be = allowed(row, draw);
        prop_assert!(may_be.contains(&id), "{id} is none of {may_be:?}: {draw:?}, {vocab} tokens");
        prop_assert_eq!(drawn[1], row[id]);
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let all: f64 = row.iter().map(|logit| f64::from(logit - highest).exp()).sum();
        let expected = f64::from(row[id] - highest) - all.ln();
        prop_assert!((f64::from(drawn[2]) - expected).abs() < 1e-4, "{} is not {expected}", drawn[2]);
    }
    Ok(())
}

/// The tokens that the rules may choose, if every sum and every border is off by a little: one, nearly always.
fn allowed(row: &[f32], draw: &Draw) -> Vec<usize> {
    let Draw { temperature, top_k, top_p, min_p, uniform } = *draw;
    let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let scaled = |logit: f32| if temperature == 1.0 { logit } else { (logit - highest) / temperature };
    let weight = |logit: f32| f64::from((logit - highest) / temperature).exp();
    // The most probable first, and of equal ones those with the higher id; -0 is 0.
    let mut order: Vec<usize> = (0..row.len()).filter(|&id| row[id] > f32::NEG_INFINITY).collect();
    order.sort_by(|&a, &b| scaled(row[b]).partial_cmp(&scaled(row[a])).expect("numbers").then(b.cmp(&a)));
    if top_k > 0 && top_k < order.len() {
        let last = scaled(row[order[top_k - 1]]);
        order.retain(|&id| scaled(row[id]) >= last);
    }
    let total: f64 = order.iter().map(|&id| weight(row[id])).sum();
    let nucleus = |p: f64| {
        let mut reached = 0.0;
        order
            .iter()
            .take_while(|&&id| {
                let goes_on = reached < p * total;
                reached += weight(row[id]);
                goes_on
            })
            .count()
            .max(1)
    };
    let p = f64::from(top_p);
    let sizes = if top_p < 1.0 { [p - OFF, p, p + OFF].map(nucleus) } else { [order.len(); 3] };
    let mut may_be = Vec::new();
    for size in sizes {
        for least in [-OFF, 0.0, OFF] {
            let least = f64::from(min_p) * (1.0 + least);
            let mut left = order[..size].to_vec();
            left.retain(|&id| weight(row[id]) >= least);
            left.sort_unstable();
            let total: f64 = left.iter().map(|&id| weight(row[id])).sum();
            let mut sum = 0.0;
            for id in left {
                let from = sum;
                sum += weight(row[id]);
                if from <= (uniform + OFF) * total && sum > (uniform - OFF) * total {
                    may_be.push(id);
                }
            }
        }
    }
    may_be.sort_unstable();
    may_be.dedup();
    may_be
}
