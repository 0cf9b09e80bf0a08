//! The recurrence of gated linear recurrent units (RG-LRU: De et al. 2024, arXiv:2402.19427): `h[t] = a[t] h[t - 1] + u[t]`,
//! number by number.

use std::ops::Range;

use crate::{
    columns::{self, ColumnKernel, Parts, load, store},
    isa::Isa,
    share::share,
    simd_ext::SimdExt,
};

/// Numbers below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 16;

/// `a`, `u` `[batch, tokens, width]`, `state` `[batch, width]` or zeros -> `h` `[batch, tokens, width]`, `last` `[batch, width]`
///
/// A text gives the same bits whole, in chunks and token by token. Error: each step multiplies the error by `a`, and adds
/// `2^-23` of the magnitudes that it sums.
///
/// # Panics
/// If the lengths do not fit each other.
pub fn linear_recurrence(
    isa: Isa,
    [batch, tokens, width]: [usize; 3],
    a: &[f32],
    u: &[f32],
    state: Option<&[f32]>,
    h: &mut [f32],
    last: &mut [f32],
) {
    let all = batch * tokens * width;
    assert!([a.len(), u.len(), h.len()] == [all; 3], "[{batch}, {tokens}, {width}]");
    assert!(last.len() == batch * width && state.is_none_or(|state| state.len() == last.len()), "[{batch}, {width}]");
    if last.is_empty() {
        return;
    }
    let threads = if all < WORTH_WAKING { 1 } else { usize::MAX };
    let blocks = columns::blocks(isa, width, width);
    let (h, last) = (&Parts::new(h), &Parts::new(last));
    share(threads, batch * blocks, |piece| {
        let (batch, columns) = (piece / blocks, columns::block(isa, width, piece % blocks));
        columns::run(isa, columns.len(), Block { batch, tokens, width, columns, a, u, state, h, last });
    });
}

/// All tokens of some columns.
struct Block<'a> {
    batch: usize,
    tokens: usize,
    width: usize,
    columns: Range<usize>,
    a: &'a [f32],
    u: &'a [f32],
    state: Option<&'a [f32]>,
    h: &'a Parts<'a>,
    last: &'a Parts<'a>,
}

impl ColumnKernel for Block<'_> {
    #[inline(always)]
    fn run<S: SimdExt, const W: usize>(self, simd: S) {
        let (at, len) = (self.batch * self.width + self.columns.start, self.columns.len());
        let mut kept = match self.state {
            Some(state) => load::<S, W>(simd, &state[at..][..len]),
            None => [simd.splat_f32s(0.0); W],
        };
        for token in 0..self.tokens {
            let at = (self.batch * self.tokens + token) * self.width + self.columns.start;
            let a = load::<S, W>(simd, &self.a[at..][..len]);
            let u = load::<S, W>(simd, &self.u[at..][..len]);
            for i in 0..W {
                kept[i] = simd.multiply_add(a[i], kept[i], u[i]);
            }
            // SAFETY: the columns belong to one block.
            store(simd, unsafe { self.h.part(at, len) }, kept);
        }
        // SAFETY: as above.
        store(simd, unsafe { self.last.part(at, len) }, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_same_on_any_threads, random};

    const UNIT: f64 = 1.0 / (1 << 23) as f64;

    #[test]
    fn linear_recurrence_is_the_definition_in_any_chunks() {
        let shapes =
            [[0, 2, 3], [1, 0, 5], [2, 3, 0], [1, 1, 1], [2, 7, 33], [1, 40, 130], [3, 300, 100], [1, 70, 1000]];
        for shape @ [batch, tokens, width] in shapes {
            let all = batch * tokens * width;
            let a: Vec<f32> = random(all, 1).into_iter().map(|a| 1.0 - a * a).collect();
            let (u, state) = (random(all, 2), random(batch * width, 3));
            for (isa, state) in Isa::all().into_iter().flat_map(|isa| [(isa, None), (isa, Some(&state[..]))]) {
                let run = |[batch, tokens, width]: [usize; 3], a: &[f32], u: &[f32], state: Option<&[f32]>| {
                    let (mut h, mut last) = (vec![f32::NAN; a.len()], vec![f32::NAN; batch * width]);
                    linear_recurrence(isa, [batch, tokens, width], a, u, state, &mut h, &mut last);
                    (h, last)
                };
                let (h, last) = run(shape, &a, &u, state);
                for row in 0..batch {
                    for column in 0..width {
                        let (mut defined, mut bound) = (state.map_or(0.0, |s| f64::from(s[row * width + column])), 0.0);
                        for token in 0..tokens {
                            let at = (row * tokens + token) * width + column;
                            let (decay, added) = (f64::from(a[at]), f64::from(u[at]));
                            bound = decay * bound + UNIT * ((decay * defined).abs() + added.abs() + bound);
                            defined = decay * defined + added;
                            let off = (f64::from(h[at]) - defined).abs();
                            assert!(off <= bound, "{isa:?} {shape:?}: {} is not {defined}", h[at]);
                        }
                        let stays = state.map_or(0.0, |state| state[row * width + column]);
                        let end = tokens.checked_sub(1).map_or(stays, |t| h[(row * tokens + t) * width + column]);
                        assert_eq!(last[row * width + column], end);
                    }
                }
                assert_same_on_any_threads("a linear recurrence", || run(shape, &a, &u, state));
                // The first row of the batch, cut in two.
                if batch > 0 && tokens > 1 {
                    let (cut, end) = (tokens / 3 * width, tokens * width);
                    let first = run([1, tokens / 3, width], &a[..cut], &u[..cut], state.map(|s| &s[..width]));
                    let second = run([1, tokens - tokens / 3, width], &a[cut..end], &u[cut..end], Some(&first.1));
                    assert_eq!([first.0, second.0].concat(), h[..end], "{isa:?} {shape:?}");
                    assert_eq!(second.1, last[..width]);
                }
            }
        }
    }

    #[test]
    fn limits_stay_numbers() {
        for isa in Isa::all() {
            let (mut h, mut last) = ([0.0; 3], [0.0]);
            linear_recurrence(isa, [1, 3, 1], &[0.0, 1.0, 0.0], &[3e38, 0.0, 1.0], Some(&[3e38]), &mut h, &mut last);
            assert_eq!((h, last), ([3e38, 3e38, 1.0], [1.0]));
        }
    }
}
