//! The gradient of the scan: the recurrence once forward and once backward.
//!
//! ```text
//! dS[n] = dy c[n] + what comes from behind      dc[n] = sum over columns of dy S[n]      db[n] = sum over columns of dS[n] dt x
//! q[n] = dS[n] exp(dt a[n]) S'[n]               da[n] = sum over tokens of q[n] dt       d(dt) = sum over n of q[n] a[n] + dS[n] b[n] x
//! ```
//!
//! `S'` is the state before the token. Of every [`RUN`] tokens only the state before them is kept, as Gu and Dao do
//! (arXiv:2312.00752, section 3.3.2); the others are computed again.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::SelectiveScan;
use crate::{
    columns::{self, ColumnKernel, Parts, load, store, times},
    exp::exp,
    isa::Isa,
    scratch::Scratch,
    share::share,
    simd_ext::SimdExt,
};

/// Tokens whose states are computed again together.
const RUN: usize = 16;

/// Numbers of state, times tokens, below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 14;

/// What a loss is by each input of a [`SelectiveScan`] whose heads have one column.
#[derive(Clone, Debug, Default)]
pub struct ScanGradient {
    /// `[batch, tokens, channels]`
    pub x: Vec<f32>,
    /// `[batch, tokens, channels]`
    pub dt: Vec<f32>,
    /// `[batch, decays, channels]`: of each sequence, to be summed.
    pub a: Vec<f32>,
    /// `[batch, tokens, groups, states]`
    pub b: Vec<f32>,
    /// `[batch, tokens, groups, states]`
    pub c: Vec<f32>,
    /// `[batch, channels]`: of each sequence, to be summed.
    pub d: Vec<f32>,
    /// `[batch, states, channels]`
    pub state: Vec<f32>,
}

/// The gradient by the inputs from that by the outputs: `dy` `[batch, tokens, channels]`, and `dstate` `[batch, states,
/// channels]` by the state behind the last token, or zeros.
///
/// # Panics
/// If shapes do not fit each other, or a head has more than one column.
pub fn selective_scan_gradient(isa: Isa, scan: &SelectiveScan<'_>, dy: &[f32], dstate: Option<&[f32]>) -> ScanGradient {
    let [batch, tokens, channels, head_dim] = scan.x.shape();
    let [states, decays, groups] = [scan.states(), scan.decays(), scan.b.shape()[2]];
    scan.assert_fits();
    assert_eq!(head_dim, 1, "heads of one column");
    assert_eq!(dy.len(), batch * tokens * channels, "a gradient for each output");
    assert!(dstate.is_none_or(|dstate| dstate.len() == batch * states * channels), "a gradient for each state");
    let mut gradient = ScanGradient {
        x: vec![0.0; batch * tokens * channels],
        dt: vec![0.0; batch * tokens * channels],
        a: vec![0.0; batch * decays * channels],
        b: vec![0.0; batch * tokens * groups * states],
        c: vec![0.0; batch * tokens * groups * states],
        d: vec![0.0; batch * channels],
        state: vec![0.0; batch * states * channels],
    };
    if batch * channels == 0 {
        return gradient;
    }
    let parts = [
        &mut gradient.x,
        &mut gradient.dt,
        &mut gradient.a,
        &mut gradient.b,
        &mut gradient.c,
        &mut gradient.d,
        &mut gradient.state,
    ];
    let [x, dt, a, b, c, d, state] = parts.map(|numbers| Parts::new(numbers));
    let out = &Out { x, dt, a, b, c, d, state };
    let period = scan.heads_per_group();
    let blocks = columns::blocks(isa, period, period);
    // Columns of a group add to the same numbers.
    share(scan.threads(WORTH_WAKING), batch * groups, |piece| {
        let (batch, group) = (piece / groups, piece % groups);
        for number in group * blocks..(group + 1) * blocks {
            let channels = columns::block(isa, period, number);
            columns::run(isa, channels.len(), Block { scan, dy, dstate, batch, group, channels, out });
        }
    });
    gradient
}

/// A [`ScanGradient`] that several threads write.
struct Out<'a> {
    x: Parts<'a>,
    dt: Parts<'a>,
    a: Parts<'a>,
    b: Parts<'a>,
    c: Parts<'a>,
    d: Parts<'a>,
    state: Parts<'a>,
}

/// All tokens of some channels, which read one group.
struct Block<'a> {
    scan: &'a SelectiveScan<'a>,
    dy: &'a [f32],
    dstate: Option<&'a [f32]>,
    batch: usize,
    group: usize,
    channels: Range<usize>,
    out: &'a Out<'a>,
}

impl ColumnKernel for Block<'_> {
    #[inline(always)]
    fn run<S: SimdExt, const W: usize>(self, simd: S) {
        let Self { scan, out, batch, group, channels: Range { start, end }, .. } = self;
        let len = end - start;
        let [_, tokens, channels, _] = scan.x.shape();
        let [states, decays, groups] = [scan.states(), scan.decays(), scan.b.shape()[2]];
        let row = |n: usize| (batch * states + n) * channels + start;
        let at = |token: usize| (batch * tokens + token) * channels + start;
        let runs = tokens.div_ceil(RUN);
        let zero = [simd.splat_f32s(0.0); W];

        let width = W * S::F32_LANES;
        let rows = 2 * decays + states + states * runs + RUN * (states + decays);
        let mut kept = Scratch::zeroed::<f32>(rows * width);
        let numbers = kept.values_mut::<f32>();
        let decays_of = scan.a[start * decays..].chunks_exact(decays.max(1));
        for (lane, row) in decays_of.take(len).enumerate() {
            for (n, a) in row.iter().enumerate() {
                numbers[n * width + lane] = *a;
            }
        }
        let (kept, _) = S::as_mut_simd_f32s(kept.values_mut());
        let (kept, _) = kept.as_chunks_mut::<W>();
        let (a, kept) = kept.split_at_mut(decays);
        let (da, kept) = kept.split_at_mut(decays);
        let (ds, kept) = kept.split_at_mut(states);
        let (before, kept) = kept.split_at_mut(states * runs); // the states before each run
        let (after, kept) = kept.split_at_mut(RUN * states); // those behind each token of a run
        let decay = &mut kept[..RUN * decays];
        let of_state = |n: usize| if decays == 1 { 0 } else { n };

        if let (Some(state), true) = (scan.state, runs > 0) {
            for n in 0..states {
                before[n] = load(simd, &state[row(n)..][..len]);
            }
        }
        let [mut run_start, mut run] = [0, 0];
        while run_start + RUN < tokens {
            let (state, next) = before[run * states..][..2 * states].split_at_mut(states);
            next.copy_from_slice(state);
            for token in run_start..run_start + RUN {
                let (dt, x) = inputs::<S, W>(simd, scan, [batch, token, start], len);
                let added = times(simd, dt, x);
                let b = scan.b.row(batch, token, group);
                let mut factor = zero;
                for n in 0..states {
                    if n == 0 || decays > 1 {
                        factor = decay_of(simd, dt, a[n]);
                    }
                    next[n] = step(simd, factor, next[n], added, b[n]);
                }
            }
            (run_start, run) = (run_start + RUN, run + 1);
        }

        if let Some(dstate) = self.dstate {
            for (n, ds) in ds.iter_mut().enumerate() {
                *ds = load(simd, &dstate[row(n)..][..len]);
            }
        }
        let skip = match scan.d {
            Some(d) => load::<S, W>(simd, &d[start..end]),
            None => zero,
        };
        let mut dd = zero;
        for run in (0..runs).rev() {
            let (first, before) = (run * RUN, &before[run * states..][..states]);
            let len_of_run = RUN.min(tokens - first);
            for token in 0..len_of_run {
                let (dt, x) = inputs::<S, W>(simd, scan, [batch, first + token, start], len);
                let added = times(simd, dt, x);
                let b = scan.b.row(batch, first + token, group);
                for n in 0..decays {
                    decay[token * decays + n] = decay_of(simd, dt, a[n]);
                }
                for n in 0..states {
                    let state = if token == 0 { before[n] } else { after[(token - 1) * states + n] };
                    after[token * states + n] = step(simd, decay[token * decays + of_state(n)], state, added, b[n]);
                }
            }
            for token in (0..len_of_run).rev() {
                let (dt, x) = inputs::<S, W>(simd, scan, [batch, first + token, start], len);
                let added = times(simd, dt, x);
                let dy = load::<S, W>(simd, &self.dy[at(first + token)..][..len]);
                let (b, c) = (scan.b.row(batch, first + token, group), scan.c.row(batch, first + token, group));
                let of_group = ((batch * tokens + first + token) * groups + group) * states;
                // SAFETY: a group of a sequence belongs to one thread.
                let (db, dc) = unsafe { (out.b.part(of_group, states), out.c.part(of_group, states)) };
                let [mut dadded, mut ddt] = [zero; 2];
                for n in 0..states {
                    let state = after[token * states + n];
                    let state_before = if token == 0 { before[n] } else { after[(token - 1) * states + n] };
                    let (factor, a, da) = (decay[token * decays + of_state(n)], a[of_state(n)], &mut da[of_state(n)]);
                    let (b, c) = (simd.splat_f32s(b[n]), simd.splat_f32s(c[n]));
                    let [mut to_b, mut to_c] = [simd.splat_f32s(0.0); 2];
                    for i in 0..W {
                        let whole = simd.multiply_add(dy[i], c, ds[n][i]);
                        to_c = simd.multiply_add(dy[i], state[i], to_c);
                        to_b = simd.multiply_add(whole, added[i], to_b);
                        dadded[i] = simd.multiply_add(whole, b, dadded[i]);
                        let carried = simd.mul_f32s(whole, factor[i]);
                        let q = simd.mul_f32s(carried, state_before[i]);
                        ddt[i] = simd.multiply_add(q, a[i], ddt[i]);
                        da[i] = simd.multiply_add(q, dt[i], da[i]);
                        ds[n][i] = carried;
                    }
                    db[n] += simd.reduce_sum_f32s(to_b);
                    dc[n] += simd.reduce_sum_f32s(to_c);
                }
                let mut dx = zero;
                for i in 0..W {
                    dx[i] = simd.multiply_add(dadded[i], dt[i], simd.mul_f32s(skip[i], dy[i]));
                    ddt[i] = simd.multiply_add(dadded[i], x[i], ddt[i]);
                    dd[i] = simd.multiply_add(dy[i], x[i], dd[i]);
                }
                // SAFETY: the channels belong to one block.
                unsafe {
                    store(simd, out.x.part(at(first + token), len), dx);
                    store(simd, out.dt.part(at(first + token), len), ddt);
                }
            }
        }
        // SAFETY: as above.
        unsafe {
            for (n, da) in da.iter().enumerate() {
                store(simd, out.a.part((batch * decays + n) * channels + start, len), *da);
            }
            store(simd, out.d.part(batch * channels + start, len), dd);
            for (n, ds) in ds.iter().enumerate() {
                store(simd, out.state.part(row(n), len), *ds);
            }
        }
    }
}

/// The step and the input of a token.
#[inline(always)]
fn inputs<S: SimdExt, const W: usize>(
    simd: S,
    scan: &SelectiveScan<'_>,
    [batch, token, start]: [usize; 3],
    len: usize,
) -> ([S::f32s; W], [S::f32s; W]) {
    let [_, tokens, channels, _] = scan.x.shape();
    let dt = &scan.dt[(batch * tokens + token) * channels + start..][..len];
    (load(simd, dt), load(simd, &scan.x.rows(batch, token, start)[..len]))
}

/// `exp(dt a)`
#[inline(always)]
fn decay_of<S: SimdExt, const W: usize>(simd: S, dt: [S::f32s; W], a: [S::f32s; W]) -> [S::f32s; W] {
    let mut decay = times(simd, dt, a);
    for decay in &mut decay {
        *decay = exp(simd, *decay);
    }
    decay
}

/// `decay S + added b`
#[inline(always)]
fn step<S: SimdExt, const W: usize>(
    simd: S,
    decay: [S::f32s; W],
    mut state: [S::f32s; W],
    added: [S::f32s; W],
    b: f32,
) -> [S::f32s; W] {
    let b = simd.splat_f32s(b);
    for i in 0..W {
        state[i] = simd.multiply_add(decay[i], state[i], simd.mul_f32s(added[i], b));
    }
    state
}
