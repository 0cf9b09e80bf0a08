//! The gradient against differences of the definition, in float64.

use super::*;
use crate::{
    testing::{assert_same_on_any_threads, random},
    view::View,
};

/// `[batch, tokens, channels, groups, states, decays]`
type Shape = [usize; 6];

/// x, dt, a, b, c, d, state, and the gradients by y and by the last state.
type Numbers<T> = [Vec<T>; 9];

fn case([batch, tokens, channels, groups, states, decays]: Shape) -> Numbers<f32> {
    let of_tokens = |width: usize, seed| random(batch * tokens * width, seed);
    [
        of_tokens(channels, 1),
        of_tokens(channels, 2).into_iter().map(|x| (2.0 * x).exp()).collect(),
        random(channels * decays, 3).into_iter().map(|x| -x.exp()).collect(),
        of_tokens(groups * states, 4),
        of_tokens(groups * states, 5),
        random(channels, 6),
        random(batch * states * channels, 7),
        of_tokens(channels, 8),
        random(batch * states * channels, 9),
    ]
}

fn run(isa: Isa, [batch, tokens, channels, groups, states, _]: Shape, case: &Numbers<f32>) -> Vec<Vec<f32>> {
    let [x, dt, a, b, c, d, state, dy, dstate] = case.each_ref().map(Vec::as_slice);
    let of_group = |numbers| {
        View::new(numbers, [batch, tokens, groups, states], [tokens * groups * states, groups * states, states])
    };
    let scan = SelectiveScan {
        x: View::new(x, [batch, tokens, channels, 1], [tokens * channels, channels, 1]),
        dt,
        a,
        b: of_group(b),
        c: of_group(c),
        d: Some(d),
        state: Some(state),
    };
    let gradient = selective_scan_gradient(isa, &scan, dy, Some(dstate));
    let ScanGradient { x, dt, a, b, c, d, state } = gradient;
    vec![x, dt, a, b, c, d, state]
}

/// What the gradients are of, in float64.
fn loss([batch, tokens, channels, groups, states, decays]: Shape, case: &Numbers<f64>) -> f64 {
    let [x, dt, a, b, c, d, state, dy, dstate] = case;
    let mut sum = 0.0;
    for (row, channel) in (0..batch * channels).map(|i| (i / channels, i % channels)) {
        let group = channel / (channels / groups);
        let place = |n: usize| (row * states + n) * channels + channel;
        let mut kept: Vec<f64> = (0..states).map(|n| state[place(n)]).collect();
        for token in row * tokens..(row + 1) * tokens {
            let at = token * channels + channel;
            let mut y = d[channel] * x[at];
            for (n, kept) in kept.iter_mut().enumerate() {
                let of_group = (token * groups + group) * states + n;
                *kept = (dt[at] * a[channel * decays + n.min(decays - 1)]).exp() * *kept + dt[at] * x[at] * b[of_group];
                y += c[of_group] * *kept;
            }
            sum += y * dy[at];
        }
        sum += kept.iter().enumerate().map(|(n, kept)| kept * dstate[place(n)]).sum::<f64>();
    }
    sum
}

#[test]
fn the_gradient_is_that_of_the_definition() {
    for shape in [[1, 1, 1, 1, 1, 1], [2, 3, 4, 2, 3, 3], [1, 35, 5, 1, 2, 1], [1, 16, 3, 1, 2, 2], [2, 4, 70, 2, 3, 3]]
    {
        let [batch, _, channels, .., decays] = shape;
        let case = case(shape);
        let exact = case.each_ref().map(|numbers| numbers.iter().map(|x| f64::from(*x)).collect::<Vec<_>>());
        for isa in Isa::all() {
            let mut found = run(isa, shape, &case);
            assert_same_on_any_threads("the gradient of a scan", || run(isa, shape, &case));
            // Decays and skips: sums over the batch, the first in another order.
            let sum =
                |numbers: &[f32], at: usize| numbers.chunks(numbers.len() / batch).map(|row| row[at]).sum::<f32>();
            found[2] = (0..channels * decays).map(|i| sum(&found[2], i % decays * channels + i / decays)).collect();
            found[5] = (0..channels).map(|i| sum(&found[5], i)).collect();
            for (which, found) in found.iter().enumerate() {
                assert_eq!(found.len(), exact[which].len());
                for (i, found) in found.iter().enumerate() {
                    let moved = |by: f64| {
                        let mut moved = exact.clone();
                        moved[which][i] += by;
                        loss(shape, &moved)
                    };
                    let slope = (moved(1e-5) - moved(-1e-5)) / 2e-5;
                    let off = (f64::from(*found) - slope).abs();
                    assert!(
                        off <= 2e-5 * slope.abs().max(5.0),
                        "{isa:?} {shape:?}, {which}, {i}: {found} is not {slope}"
                    );
                }
            }
        }
    }
}

#[test]
fn nothing_gives_nothing() {
    for shape in [[0, 3, 2, 1, 4, 4], [2, 0, 2, 1, 4, 4], [1, 3, 2, 1, 0, 0]] {
        let case = case(shape);
        for gradient in run(Isa::best(), shape, &case) {
            assert!(gradient.iter().all(|x| x.is_finite()));
        }
    }
}
