//! Heads of several columns, which decay alike. A panel of a head's state stays in the first cache while all tokens pass.

use std::ops::Range;

use super::SelectiveScan;
use crate::{
    columns::{self, ColumnKernel, MAX_WIDTH, Parts, load, store, times},
    exp::exp,
    isa::Isa,
    scratch::Scratch,
    share::share,
    simd_ext::SimdExt,
};

/// Numbers of state, times tokens, below which a second thread would take longer to wake up than to help.
const WORTH_WAKING: usize = 1 << 17;

/// Numbers of a panel: half of a first cache of 48 KiB, beside what the tokens bring.
const PANEL: usize = 6 << 10;

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
        let (states, decays) = (self.scan.states(), self.scan.decays());
        let mut a = Scratch::zeroed::<f32>(whole::<S>(decays));
        a.values_mut::<f32>()[..decays].copy_from_slice(&self.scan.a[self.head * decays..][..decays]);
        // Where a row of columns has few vectors its sum is in several chains, which only a whole panel adds up.
        let rows = if W == MAX_WIDTH { PANEL / (W * S::F32_LANES) } else { states.max(1) };
        let mut decays = Scratch::zeroed::<f32>(whole::<S>(rows));
        for panel in 0..states.div_ceil(rows).max(1) {
            let rows = panel * rows..states.min((panel + 1) * rows);
            self.panel::<S, W>(simd, rows, a.values(), decays.values_mut());
        }
    }
}

/// Numbers of so many whole vectors that these fit.
#[inline(always)]
fn whole<S: SimdExt>(len: usize) -> usize {
    len.div_ceil(S::F32_LANES) * S::F32_LANES
}

impl Block<'_> {
    /// All tokens with some rows of the state.
    #[inline(always)]
    fn panel<S: SimdExt, const W: usize>(&self, simd: S, rows: Range<usize>, a: &[f32], decays: &mut [f32]) {
        let [_, tokens, heads, head_dim] = self.scan.x.shape();
        let (first, len) = (rows.start, self.columns.len());
        let head = self.batch * heads + self.head;
        let at = |row: usize| (head * self.scan.states() + row) * head_dim + self.columns.start;
        let (width, mut before) = (W * S::F32_LANES, self.scan.state);
        // Rows that lie far from each other share few places of the cache: they are copied side by side.
        let apart = tokens > 1 && head_dim > width;
        let mut kept = Scratch::zeroed::<f32>(if apart { rows.len() * width } else { 0 });
        let kept = Parts::new(kept.values_mut());
        if apart && let Some(before) = before.take() {
            for row in rows.clone() {
                // SAFETY: this thread's own.
                let kept = unsafe { kept.part((row - first) * width, width) };
                store(simd, kept, load::<S, W>(simd, &before[at(row)..][..len]));
            }
        }
        let (tile, start, stride) = if apart { (&kept, 0, width) } else { (self.state, at(first), head_dim) };
        let len = if apart { width } else { len };
        for token in 0..tokens {
            let dt = self.scan.dt[(self.batch * tokens + token) * heads + self.head];
            self.decay(simd, dt, a, rows.clone(), decays);
            let decays = &decays[..rows.len()];
            let before = before.take().map(
                #[inline(always)]
                |before| &before[start..],
            );
            let tile = Tile { numbers: tile, before, start, stride, len };
            self.token::<S, W>(simd, rows.clone(), token, dt, decays, &tile);
        }
        if apart {
            for row in rows {
                // SAFETY: this thread's own, and the columns of a head belong to one block.
                let (kept, state) =
                    unsafe { (kept.part((row - first) * width, width), self.state.part(at(row), self.columns.len())) };
                store(simd, state, load::<S, W>(simd, kept));
            }
        }
    }

    /// `exp(dt a)` for each row.
    #[inline(always)]
    fn decay<S: SimdExt>(&self, simd: S, dt: f32, a: &[f32], rows: Range<usize>, decays: &mut [f32]) {
        let dt = simd.splat_f32s(dt);
        let from = if self.scan.decays() == 1 { 0..1 } else { rows.clone() };
        let (a, _) = S::as_simd_f32s(&a[from.start..from.start + whole::<S>(from.len())]);
        let (vectors, _) = S::as_mut_simd_f32s(decays);
        for (decay, a) in vectors.iter_mut().zip(a) {
            *decay = exp(simd, simd.mul_f32s(dt, *a));
        }
        if self.scan.decays() == 1 && !rows.is_empty() {
            let decay = decays[0];
            decays[..rows.len()].fill(decay);
        }
    }

    #[inline(always)]
    fn token<S: SimdExt, const W: usize>(
        &self,
        simd: S,
        rows: Range<usize>,
        token: usize,
        dt: f32,
        decays: &[f32],
        tile: &Tile<'_>,
    ) {
        let Self { scan, batch, head, columns, .. } = self;
        let [_, tokens, heads, head_dim] = scan.x.shape();
        let group = head / scan.heads_per_group();
        let at = ((batch * tokens + token) * heads + head) * head_dim + columns.start;
        // SAFETY: the columns of a head belong to one block.
        let out = unsafe { self.y.part(at, columns.len()) };
        let x = load::<S, W>(simd, &scan.x.row(*batch, token, *head)[columns.clone()]);
        let inputs = Inputs {
            added: times(simd, [simd.splat_f32s(dt); W], x),
            decays,
            b: &scan.b.row(*batch, token, group)[rows.clone()],
            c: &scan.c.row(*batch, token, group)[rows.clone()],
        };
        // So many chains that an addition need not wait for the one before.
        let chains = const { MAX_WIDTH / W };
        let mut sums = [simd.splat_f32s(0.0); MAX_WIDTH];
        if rows.start > 0 {
            sums[..W].copy_from_slice(&load::<S, W>(simd, out));
        }
        let whole = rows.len() / chains * chains;
        for row in (0..whole).step_by(chains) {
            for chain in 0..chains {
                tile.step(simd, &inputs, row + chain, &mut sums[chain * W..][..W]);
            }
        }
        for row in whole..rows.len() {
            tile.step(simd, &inputs, row, &mut sums[(row - whole) * W..][..W]);
        }

        let mut y = [simd.splat_f32s(0.0); W];
        y.copy_from_slice(&sums[..W]);
        for (i, y) in y.iter_mut().enumerate() {
            for chain in 1..chains {
                *y = simd.add_f32s(*y, sums[chain * W + i]);
            }
            if let Some(d) = scan.d
                && rows.end == scan.states()
            {
                *y = simd.multiply_add(simd.splat_f32s(d[*head]), x[i], *y);
            }
        }
        store(simd, out, y);
    }
}

/// What a token brings.
struct Inputs<'a, V, const W: usize> {
    /// `dt * x`
    added: [V; W],
    decays: &'a [f32],
    b: &'a [f32],
    c: &'a [f32],
}

/// Rows of the state, where they lie.
struct Tile<'a> {
    numbers: &'a Parts<'a>,
    /// Where the state of the token before is, if not in `numbers`.
    before: Option<&'a [f32]>,
    start: usize,
    stride: usize,
    len: usize,
}

impl Tile<'_> {
    /// One row, and what it adds to the outputs.
    #[inline(always)]
    fn step<S: SimdExt, const W: usize>(
        &self,
        simd: S,
        inputs: &Inputs<'_, S::f32s, W>,
        row: usize,
        sums: &mut [S::f32s],
    ) {
        // SAFETY: the columns of a head belong to one block.
        let numbers = unsafe { self.numbers.part(self.start + row * self.stride, self.len) };
        let mut kept = match self.before {
            Some(before) => load::<S, W>(simd, &before[row * self.stride..][..self.len]),
            None => load::<S, W>(simd, numbers),
        };
        let decay = simd.splat_f32s(inputs.decays[row]);
        let (b, c) = (simd.splat_f32s(inputs.b[row]), simd.splat_f32s(inputs.c[row]));
        for i in 0..W {
            kept[i] = simd.multiply_add(decay, kept[i], simd.mul_f32s(inputs.added[i], b));
            sums[i] = simd.multiply_add(c, kept[i], sums[i]);
        }
        store(simd, numbers, kept);
    }
}
