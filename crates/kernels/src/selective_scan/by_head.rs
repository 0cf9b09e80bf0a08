//! Heads of several columns, which decay alike. A head's state stays in the first cache while its tokens pass.

use std::ops::Range;

use super::SelectiveScan;
use crate::{
    columns::{self, ColumnKernel, MAX_WIDTH, Parts, load, store},
    exp::exp,
    isa::Isa,
    scratch::Scratch,
    share::share,
    simd_ext::SimdExt,
};

/// Numbers of state, times tokens, below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 17;

pub fn scan(isa: Isa, scan: &SelectiveScan<'_>, y: &Parts<'_>, state: &Parts<'_>) {
    let [batch, _, heads, head_dim] = scan.x.shape();
    let blocks = columns::blocks(isa, head_dim, head_dim);
    share(scan.threads(WORTH_WAKING), batch * heads * blocks, |piece| {
        let (head, columns) = (piece / blocks, columns::block(isa, head_dim, piece % blocks));
        columns::run(isa, columns.len(), Block { scan, batch: head / heads, head: head % heads, columns, y, state });
    });
}

/// All tokens of some columns of a head.
struct Block<'a> {
    scan: &'a SelectiveScan<'a>,
    batch: usize,
    head: usize,
    columns: Range<usize>,
    y: &'a Parts<'a>,
    state: &'a Parts<'a>,
}

impl ColumnKernel for Block<'_> {
    #[inline(always)]
    fn run<S: SimdExt, const W: usize>(self, simd: S) {
        let [_, tokens, heads, _] = self.scan.x.shape();
        let vectors = self.scan.decays().div_ceil(S::F32_LANES) * S::F32_LANES;
        let mut a = Scratch::zeroed::<f32>(vectors);
        for (a, row) in a.values_mut().iter_mut().zip(self.scan.a.chunks_exact(heads)) {
            *a = row[self.head];
        }
        let mut decays = Scratch::zeroed::<f32>(vectors.max(self.scan.states()));
        for token in 0..tokens {
            let dt = self.scan.dt[(self.batch * tokens + token) * heads + self.head];
            let decays = decays.values_mut::<f32>();
            self.decay(simd, dt, &a.values()[..vectors], decays);
            match self.scan.state {
                Some(before) if token == 0 => self.token::<S, W>(simd, Some(before), token, dt, decays),
                _ => self.token::<S, W>(simd, None, token, dt, decays),
            }
        }
    }
}

impl Block<'_> {
    /// `exp(dt a)` for each state.
    #[inline(always)]
    fn decay<S: SimdExt>(&self, simd: S, dt: f32, a: &[f32], decays: &mut [f32]) {
        let dt = simd.splat_f32s(dt);
        let (a, _) = S::as_simd_f32s(a);
        let (vectors, _) = S::as_mut_simd_f32s(decays);
        for (decay, a) in vectors.iter_mut().zip(a) {
            *decay = exp(simd, simd.mul_f32s(dt, *a));
        }
        if self.scan.decays() == 1 {
            let decay = decays[0];
            decays[..self.scan.states()].fill(decay);
        }
    }

    /// The state is read from `before`, or from where it is written to.
    #[inline(always)]
    fn token<S: SimdExt, const W: usize>(
        &self,
        simd: S,
        before: Option<&[f32]>,
        token: usize,
        dt: f32,
        decays: &[f32],
    ) {
        let Self { scan, batch, head, columns, .. } = self;
        let [_, tokens, heads, head_dim] = scan.x.shape();
        let group = head / scan.heads_per_group();
        let x = load::<S, W>(simd, &scan.x.row(*batch, token, *head)[columns.clone()]);
        let dt = simd.splat_f32s(dt);
        let inputs = Inputs {
            before,
            added: x.map(
                #[inline(always)]
                |x| simd.mul_f32s(dt, x),
            ),
            decays,
            b: scan.b.row(*batch, token, group),
            c: scan.c.row(*batch, token, group),
        };
        let states = scan.states();
        // So many sums that an addition need not wait for the one before.
        let chains = const { MAX_WIDTH / W };
        let mut sums = [simd.splat_f32s(0.0); MAX_WIDTH];
        let whole = states / chains * chains;
        for n in (0..whole).step_by(chains) {
            for chain in 0..chains {
                self.step(simd, &inputs, n + chain, &mut sums[chain * W..][..W]);
            }
        }
        for n in whole..states {
            self.step(simd, &inputs, n, &mut sums[(n - whole) * W..][..W]);
        }

        let mut y = [simd.splat_f32s(0.0); W];
        for (i, y) in y.iter_mut().enumerate() {
            for chain in 0..chains {
                *y = simd.add_f32s(*y, sums[chain * W + i]);
            }
            if let Some(d) = scan.d {
                *y = simd.multiply_add(simd.splat_f32s(d[*head]), x[i], *y);
            }
        }
        let at = ((batch * tokens + token) * heads + head) * head_dim + columns.start;
        // SAFETY: the columns of a head belong to one block.
        store(simd, unsafe { self.y.part(at, columns.len()) }, y);
    }

    /// One row of the state, and what it adds to the outputs.
    #[inline(always)]
    fn step<S: SimdExt, const W: usize>(
        &self,
        simd: S,
        inputs: &Inputs<'_, S::f32s, W>,
        n: usize,
        sums: &mut [S::f32s],
    ) {
        let [_, _, heads, head_dim] = self.scan.x.shape();
        let head = self.batch * heads + self.head;
        let at = (head * inputs.b.len() + n) * head_dim + self.columns.start;
        // SAFETY: the columns of a head belong to one block.
        let row = unsafe { self.state.part(at, self.columns.len()) };
        let mut kept = match inputs.before {
            Some(before) => load::<S, W>(simd, &before[at..][..self.columns.len()]),
            None => load::<S, W>(simd, row),
        };
        let [decay, b, c] = [inputs.decays[n], inputs.b[n], inputs.c[n]].map(
            #[inline(always)]
            |x| simd.splat_f32s(x),
        );
        for i in 0..W {
            kept[i] = simd.multiply_add(decay, kept[i], simd.mul_f32s(inputs.added[i], b));
            sums[i] = simd.multiply_add(c, kept[i], sums[i]);
        }
        store(simd, row, kept);
    }
}

/// What a token brings.
struct Inputs<'a, V, const W: usize> {
    /// The state before the first token.
    before: Option<&'a [f32]>,
    /// `dt * x`
    added: [V; W],
    decays: &'a [f32],
    b: &'a [f32],
    c: &'a [f32],
}
