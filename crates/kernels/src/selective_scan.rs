//! The selective scan: a linear recurrence with a matrix for the state of a head (Mamba: Gu and Dao 2023, arXiv:2312.00752;
//! Mamba-2: Dao and Gu 2024, arXiv:2405.21060; retention: Sun et al. 2023, arXiv:2307.08621).
//!
//! ```text
//! S[n, p] = exp(dt a[n]) S[n, p] + dt x[p] b[n]        y[p] = sum over n of c[n] S[n, p] + d x[p]
//! ```
//!
//! Tokens follow each other: a text gives the same bits whole, in chunks and token by token. Columns `p`, and heads, do not
//! depend on each other; they are lanes of vectors, blocks of vectors, and work for threads.

mod by_channel;
mod by_head;
mod gradient;
#[cfg(test)]
mod tests;

pub use gradient::{ScanGradient, selective_scan_gradient};

use crate::{columns::Parts, isa::Isa, view::View};

/// What a scan reads.
#[derive(Clone, Copy, Debug)]
pub struct SelectiveScan<'a> {
    /// `[batch, tokens, heads, head_dim]`; with a `head_dim` of 1 heads lie side by side.
    pub x: View<'a, f32>,
    /// `[batch, tokens, heads]`
    pub dt: &'a [f32],
    /// `[heads, states]`, or `[heads, 1]` if all states of a head decay alike; `dt * a` must not be above 0.
    pub a: &'a [f32],
    /// `[batch, tokens, groups, states]`: head `h` reads group `h / (heads / groups)`.
    pub b: View<'a, f32>,
    /// As `b`.
    pub c: View<'a, f32>,
    /// `[heads]`
    pub d: Option<&'a [f32]>,
    /// What the tokens before have left, in the order of what [`selective_scan`] writes; without one, zeros.
    pub state: Option<&'a [f32]>,
}

/// -> `y` `[batch, tokens, heads, head_dim]`, and the state behind the last token, `[batch, heads, states, head_dim]`; with a
/// `head_dim` of 1 `[batch, states, heads]`, so that columns lie side by side.
///
/// Error: each step multiplies a state's error by its decay, and adds at most `(|dt a| + 3) 2^-23` of the decayed state and
/// `2^-22` of what is added to it. To `y` come `(states + 2) 2^-24` of the sum of magnitudes. What a decay below `2^-126`
/// leaves is 0.
///
/// # Panics
/// If shapes do not fit each other.
pub fn selective_scan(isa: Isa, scan: &SelectiveScan<'_>, y: &mut [f32], state: &mut [f32]) {
    let [batch, tokens, heads, head_dim] = scan.x.shape();
    let states = scan.states();
    scan.assert_fits();
    assert_eq!(y.len(), batch * tokens * heads * head_dim, "as many outputs as inputs");
    assert_eq!(state.len(), batch * heads * states * head_dim, "a state for each head");
    if scan.state.is_none() {
        state.fill(0.0);
    }
    if y.is_empty() {
        if let Some(before) = scan.state {
            state.copy_from_slice(before);
        }
        return;
    }
    let (y, state) = (Parts::new(y), Parts::new(state));
    if head_dim == 1 {
        by_channel::scan(isa, scan, &y, &state);
    } else {
        by_head::scan(isa, scan, &y, &state);
    }
}

impl SelectiveScan<'_> {
    fn assert_fits(&self) {
        let [batch, tokens, heads, head_dim] = self.x.shape();
        let groups = self.b.shape()[2];
        let [states, decays] = [self.states(), self.decays()];
        assert_eq!(self.b.shape(), [batch, tokens, groups, states], "inputs for the tokens");
        assert_eq!(self.c.shape(), self.b.shape(), "as many outputs as inputs");
        assert!(groups > 0 && heads.is_multiple_of(groups), "{heads} heads in {groups} groups");
        assert_eq!(self.dt.len(), batch * tokens * heads, "a step for each head");
        assert!(decays == 1 || decays == states, "{decays} decays for {states} states");
        assert_eq!(self.a.len(), decays * heads, "decays for each head");
        assert!(self.d.is_none_or(|d| d.len() == heads), "a skip for each head");
        let len = batch * heads * states * head_dim;
        assert!(self.state.is_none_or(|before| before.len() == len), "a state as it was left");
    }

    fn states(&self) -> usize {
        self.b.shape()[3]
    }

    /// Different decays of a head.
    fn decays(&self) -> usize {
        self.a.len().checked_div(self.x.shape()[2]).unwrap_or(1)
    }

    /// Heads that read the same `b` and `c`.
    fn heads_per_group(&self) -> usize {
        self.x.shape()[2] / self.b.shape()[2]
    }

    /// Threads that are worth waking up for so many numbers to a thread.
    fn threads(&self, worth_waking: usize) -> usize {
        let numbers = self.x.shape().iter().product::<usize>() * self.states();
        if numbers < worth_waking { 1 } else { usize::MAX }
    }
}
