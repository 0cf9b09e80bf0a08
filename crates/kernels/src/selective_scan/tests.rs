//! The recurrence in float64, and how far from it a kernel may be.

use std::ops::Range;

use super::*;
use crate::testing::{ROUNDOFF, assert_same_on_any_threads, random};

#[derive(Clone, Copy, Debug)]
struct Shape {
    batch: usize,
    tokens: usize,
    heads: usize,
    head_dim: usize,
    groups: usize,
    states: usize,
    /// Whether all states of a head decay alike.
    alike: bool,
}

/// Inputs as they lie behind each other in the projection of a token: `[x | b | c | more]`.
struct Case {
    shape: Shape,
    rows: Vec<f32>,
    dt: Vec<f32>,
    a: Vec<f32>,
    d: Option<Vec<f32>>,
    state: Option<Vec<f32>>,
}

impl Case {
    fn new(shape: Shape, has_d: bool, has_state: bool) -> Self {
        let Shape { batch, tokens, heads, head_dim, states, alike, .. } = shape;
        Self {
            shape,
            rows: random(batch * tokens * Self::stride(shape), 1),
            // From steps that keep nearly everything to some that keep nothing.
            dt: random(batch * tokens * heads, 2).into_iter().map(|x| (4.0 * x).exp()).collect(),
            a: random(if alike { 1 } else { states } * heads, 3).into_iter().map(|x| -(2.0 * x).exp()).collect(),
            d: has_d.then(|| random(heads, 4)),
            state: has_state.then(|| random(batch * heads * head_dim * states, 5)),
        }
    }

    fn stride(Shape { heads, head_dim, groups, states, .. }: Shape) -> usize {
        heads * head_dim + 2 * groups * states + 3
    }

    /// Of some tokens, with a state -> `y`, the new state.
    fn run(&self, isa: Isa, range: Range<usize>, state: Option<&[f32]>) -> (Vec<f32>, Vec<f32>) {
        let Shape { batch, tokens, heads, head_dim, groups, states, .. } = self.shape;
        let (stride, len) = (Self::stride(self.shape), range.len());
        let view = |from: usize, count: usize, size: usize| {
            let from = (range.start * stride + from).min(self.rows.len());
            View::new(&self.rows[from..], [batch, len, count, size], [tokens * stride, stride, size])
        };
        let inner = heads * head_dim;
        // Rows of a batch are cut only where there is one.
        assert!(batch <= 1 || len == tokens);
        let scan = SelectiveScan {
            x: view(0, heads, head_dim),
            dt: &self.dt[range.start * heads..][..batch * len * heads],
            a: &self.a,
            b: view(inner, groups, states),
            c: view(inner + groups * states, groups, states),
            d: self.d.as_deref(),
            state,
        };
        let mut y = vec![f32::NAN; batch * len * inner];
        let mut state = vec![f32::NAN; batch * inner * states];
        selective_scan(isa, &scan, &mut y, &mut state);
        (y, state)
    }

    fn whole(&self, isa: Isa) -> (Vec<f32>, Vec<f32>) {
        self.run(isa, 0..self.shape.tokens, self.state.as_deref())
    }

    /// Where a state lies.
    fn place(&self, row: usize, head: usize, p: usize, n: usize) -> usize {
        let Shape { heads, head_dim, states, .. } = self.shape;
        if head_dim == 1 {
            (row * states + n) * heads + head
        } else {
            ((row * heads + head) * states + n) * head_dim + p
        }
    }

    fn assert_defined(&self, isa: Isa, (y, state): &(Vec<f32>, Vec<f32>)) {
        let Shape { batch, tokens, heads, head_dim, groups, states, alike } = self.shape;
        let inner = heads * head_dim;
        for (row, head, p) in each([batch, heads, head_dim]) {
            let group = head / (heads / groups);
            let of = |n: usize| self.state.as_ref().map_or(0.0, |state| f64::from(state[self.place(row, head, p, n)]));
            let mut kept: Vec<(f64, f64)> = (0..states).map(|n| (of(n), 0.0)).collect();
            for token in 0..tokens {
                let at = row * tokens + token;
                let inputs = &self.rows[at * Self::stride(self.shape)..][..Self::stride(self.shape)];
                let x = f64::from(inputs[head * head_dim + p]);
                let dt = f64::from(self.dt[at * heads + head]);
                let skipped = self.d.as_ref().map_or(0.0, |d| f64::from(d[head]) * x);
                let (mut sum, mut size, mut bound) = (skipped, skipped.abs(), 0.0);
                for (n, (s, off)) in kept.iter_mut().enumerate() {
                    let exponent = dt * f64::from(self.a[if alike { head } else { head * states + n }]);
                    let b = f64::from(inputs[inner + group * states + n]);
                    let c = f64::from(inputs[inner + (groups + group) * states + n]);
                    let (before, added) = (exponent.exp() * *s, dt * x * b);
                    *off = exponent.exp() * *off
                        + 2.0 * ROUNDOFF * (exponent.abs() + 3.0) * before.abs()
                        + 4.0 * ROUNDOFF * added.abs()
                        + 2f64.powi(-120) * s.abs();
                    *s = before + added;
                    sum += c * *s;
                    size += (c * *s).abs();
                    bound += c.abs() * *off;
                }
                bound += (states + 2) as f64 * ROUNDOFF * (size + bound);
                let ours = y[(at * heads + head) * head_dim + p];
                let off = (f64::from(ours) - sum).abs();
                assert!(off <= bound, "{isa:?} {:?} at {token}: {ours} is not {sum}", self.shape);
            }
            for (n, (s, bound)) in kept.into_iter().enumerate() {
                let ours = f64::from(state[self.place(row, head, p, n)]);
                let off = (ours - s).abs();
                assert!(off <= bound, "{isa:?} {:?} leaves {ours}, not {s}", self.shape);
            }
        }
    }
}

fn each([a, b, c]: [usize; 3]) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..a * b * c).map(move |at| (at / b / c, at / c % b, at % c))
}

/// `[batch, tokens, heads, head_dim, groups, states]`
const SHAPES: [[usize; 6]; 17] = [
    [0, 3, 2, 4, 1, 4],
    [2, 0, 2, 4, 1, 4],
    [1, 4, 3, 1, 1, 0],
    [1, 1, 1, 1, 1, 1],
    [1, 1, 1, 5, 1, 1],
    [1, 1, 40, 1, 1, 16],
    [2, 7, 130, 1, 1, 16],
    [1, 9, 6, 1, 6, 3],
    [2, 5, 70, 1, 2, 8],
    [1, 90, 150, 1, 1, 16],
    [1, 1, 2, 64, 1, 128],
    [2, 6, 4, 16, 2, 33],
    [1, 5, 3, 24, 3, 7],
    [1, 8, 6, 33, 2, 20],
    [1, 7, 2, 130, 1, 9],
    [2, 40, 4, 64, 1, 40],
    [1, 30, 2, 80, 2, 64],
];

#[test]
fn selective_scan_is_the_recurrence_in_any_chunks() {
    for (number, [batch, tokens, heads, head_dim, groups, states]) in SHAPES.into_iter().enumerate() {
        for alike in [false, true] {
            let shape = Shape { batch, tokens, heads, head_dim, groups, states, alike };
            let case = Case::new(shape, number % 2 == 0, number % 3 != 0);
            for isa in Isa::all() {
                let whole = case.whole(isa);
                case.assert_defined(isa, &whole);
                assert_same_on_any_threads("a scan", || case.whole(isa));
                if batch != 1 {
                    continue;
                }
                for cuts in [vec![tokens / 3], (1..tokens).collect()] {
                    let (mut y, mut state, mut from) = (Vec::new(), case.state.clone(), 0);
                    for cut in cuts.into_iter().chain([tokens]) {
                        let (part, left) = case.run(isa, from..cut, state.as_deref());
                        y.extend(part);
                        (state, from) = (Some(left), cut);
                    }
                    assert!((&y, state.as_ref()) == (&whole.0, Some(&whole.1)), "{isa:?} {shape:?} in chunks");
                }
            }
        }
    }
}

#[test]
fn limits_stay_numbers() {
    for (isa, head_dim) in Isa::all().into_iter().flat_map(|isa| [(isa, 1), (isa, 3)]) {
        let shape = Shape { batch: 1, tokens: 3, heads: 2, head_dim, groups: 1, states: 5, alike: false };
        let mut case = Case::new(shape, true, true);
        // A step of nothing changes nothing.
        case.dt.fill(0.0);
        let (y, state) = case.whole(isa);
        assert_eq!(Some(&state), case.state.as_ref());
        assert!(y.iter().all(|y| y.is_finite()));
        // One that forgets everything, in an exponent that no float holds.
        case.dt.fill(1e30);
        case.a.fill(-1e30);
        let (y, state) = case.whole(isa);
        case.assert_defined(isa, &(y, state));
    }
}
