//! Heads of one column: channels, each with decays of its own. Channels are lanes, so that nothing is summed across lanes.

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

/// Numbers of state, times tokens, below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 16;

pub fn scan(isa: Isa, scan: &SelectiveScan<'_>, y: &Parts<'_>, state: &Parts<'_>) {
    let [batch, _, channels, _] = scan.x.shape();
    assert!(channels == 1 || scan.x.stride() == 1, "channels side by side");
    let period = scan.heads_per_group();
    let blocks = columns::blocks(isa, channels, period);
    share(scan.threads(WORTH_WAKING), batch * blocks, |piece| {
        let channels = columns::block(isa, period, piece % blocks);
        columns::run(isa, channels.len(), Block { scan, batch: piece / blocks, channels, y, state });
    });
}

/// All tokens of some channels, which read one group.
struct Block<'a> {
    scan: &'a SelectiveScan<'a>,
    batch: usize,
    channels: Range<usize>,
    y: &'a Parts<'a>,
    state: &'a Parts<'a>,
}

impl ColumnKernel for Block<'_> {
    #[inline(always)]
    fn run<S: SimdExt, const W: usize>(self, simd: S) {
        let Self { scan, batch, channels: Range { start, end }, .. } = self;
        let len = end - start;
        let [_, tokens, channels, _] = scan.x.shape();
        let group = start / scan.heads_per_group();
        let states = scan.states();
        let row = |n: usize| (batch * states + n) * channels + start;

        // Rows of columns that lie far from each other, side by side: the first cache holds them.
        let width = W * S::F32_LANES;
        let mut kept = Scratch::zeroed::<f32>((states + scan.decays()) * width);
        let numbers = kept.values_mut::<f32>();
        let rows = scan.a[start * scan.decays()..].chunks_exact(scan.decays().max(1));
        for (lane, row) in rows.take(len).enumerate() {
            for (n, a) in row.iter().enumerate() {
                numbers[(states + n) * width + lane] = *a;
            }
        }
        let (kept, _) = S::as_mut_simd_f32s(kept.values_mut());
        let (kept, _) = kept.as_chunks_mut::<W>();
        let (kept, decays) = kept.split_at_mut(states);
        let decays = &decays[..scan.decays()];
        if let Some(before) = scan.state {
            for (n, kept) in kept.iter_mut().enumerate() {
                *kept = load(simd, &before[row(n)..][..len]);
            }
        }
        let skip = match scan.d {
            Some(d) => load::<S, W>(simd, &d[start..end]),
            None => [simd.splat_f32s(0.0); W],
        };
        for token in 0..tokens {
            let at = (batch * tokens + token) * channels + start;
            let dt = load::<S, W>(simd, &scan.dt[at..][..len]);
            let x = load::<S, W>(simd, &scan.x.rows(batch, token, start)[..len]);
            let inputs = Inputs { dt, added: times(simd, dt, x) };
            let mut y = times(simd, skip, x);
            let factors = scan.b.row(batch, token, group).iter().zip(scan.c.row(batch, token, group));
            if let [a] = decays {
                let decay = inputs.decay(simd, a);
                for (kept, (b, c)) in kept.iter_mut().zip(factors) {
                    inputs.step(simd, decay, (*b, *c), kept, &mut y);
                }
            } else {
                for ((kept, (b, c)), a) in kept.iter_mut().zip(factors).zip(decays) {
                    inputs.step(simd, inputs.decay(simd, a), (*b, *c), kept, &mut y);
                }
            }
            // SAFETY: the channels belong to one block.
            store(simd, unsafe { self.y.part(at, len) }, y);
        }
        for (n, kept) in kept.iter().enumerate() {
            // SAFETY: as above.
            store(simd, unsafe { self.state.part(row(n), len) }, *kept);
        }
    }
}

/// What a token brings.
struct Inputs<V, const W: usize> {
    dt: [V; W],
    /// `dt * x`
    added: [V; W],
}

impl<V: Copy, const W: usize> Inputs<V, W> {
    #[inline(always)]
    fn decay<S: SimdExt<f32s = V>>(&self, simd: S, a: &[V; W]) -> [V; W] {
        let mut decay = times(simd, self.dt, *a);
        for decay in &mut decay {
            *decay = exp(simd, *decay);
        }
        decay
    }

    #[inline(always)]
    fn step<S: SimdExt<f32s = V>>(&self, simd: S, decay: [V; W], bc: (f32, f32), kept: &mut [V; W], y: &mut [V; W]) {
        let (b, c) = (simd.splat_f32s(bc.0), simd.splat_f32s(bc.1));
        for i in 0..W {
            kept[i] = simd.multiply_add(decay[i], kept[i], simd.mul_f32s(self.added[i], b));
            y[i] = simd.multiply_add(c, kept[i], y[i]);
        }
    }
}
