//! The one place where the row of a pass is taken apart into its sequences, and what is done where it has no token.

use std::ops::Range;

use burn::tensor::{Bool, Tensor, TensorData};
use glass_backend::KernelSet;
use glass_kv_cache::{Appended, History, InPlace, KvView, LayerCache, LayerState, RecurrentState, Written, narrow};

use super::ForwardContext;
use crate::{Recurrence, attend::one_behind_the_other};

impl ForwardContext<'_> {
    /// Lets each sequence alone keep its keys and values, and attend to what its cache has. A cache that
    /// has to see the queries one by one (TOVA) gets them so. `each` is also told which tokens of the row they are from.
    ///
    /// `x`: tensors `[batch, heads, seq, head_dim]` -> what `each` returns, `[batch, seq, heads * head_dim]`
    pub(crate) fn per_sequence<const N: usize>(
        &self,
        states: &mut [&mut LayerState],
        x: [&Tensor<4>; N],
        mut each: impl FnMut(&mut dyn LayerCache, [&Tensor<4>; N], Range<usize>, usize) -> Tensor<3>,
    ) -> Tensor<3> {
        if let ([state], [span]) = (&mut *states, &self.spans[..])
            && state.kv().max_step() >= span.len()
        {
            return each(state.kv(), x, span.clone(), 0);
        }
        let mut out = Vec::new();
        let mut start = 0;
        for (state, span) in states.iter_mut().zip(&self.spans) {
            let cache = state.kv();
            let mut from = span.start;
            while from < span.end {
                let len = cache.max_step().min(span.end - from);
                let part = x.map(|x| narrow(x.clone(), start, len));
                out.push(each(cache, part.each_ref(), from..from + len, start));
                (start, from) = (start + len, from + len);
            }
        }
        one_behind_the_other(out)
    }

    /// Lets each sequence keep its keys and values, `[1, kv_heads, tokens of all, head_dim]`: what the queries of each may attend
    /// to. `None`, and nothing was kept: somebody has to see them, or the observer wants to.
    pub(crate) fn append_all(
        &self,
        states: &mut [&mut LayerState],
        [k, v]: [&Tensor<4>; 2],
        kernels: KernelSet,
    ) -> Option<Vec<KvView>> {
        let may = |state: &mut &mut LayerState, span: &Range<usize>| {
            let cache = state.kv();
            !cache.wants_weights() && cache.max_step() >= span.len()
        };
        if self.wants_attention() || !states.iter_mut().zip(&self.spans).all(|(state, span)| may(state, span)) {
            return None;
        }
        let ([batch, kv_heads, _, head_dim], device, dtype) = (k.dims(), k.device(), k.dtype());
        let mut start = 0;
        let views = states.iter_mut().zip(self.spans.iter().cloned()).map(|(state, span)| {
            let tokens = start..start + span.len();
            start = tokens.end;
            let (cache, shape) = (state.kv(), [batch, kv_heads, span.len(), head_dim]);
            let mut write = |held: [&mut Tensor<4>; 2], slot, _| {
                kernels.keep([k, v], tokens.clone(), held, slot).map_or(Written::Not, |()| Written::Kept)
            };
            let new = &mut InPlace { shape, device: device.clone(), dtype, write: &mut write };
            match cache.append_in_place(new, span.clone()) {
                Appended::Kept(kv) => kv,
                Appended::Attended => unreachable!("`write` lets nobody attend"),
                Appended::Not => {
                    let own = |x: &Tensor<4>| narrow(x.clone(), tokens.start, tokens.len()).into(); // [1, kv_heads, span, head_dim]
                    cache.append(own(k), own(v), span)
                }
            }
        });
        Some(views.collect())
    }

    /// Lets each sequence alone go on from its own state: `each` gets the state behind the tokens before (`None`: nothing was
    /// read) and returns the one behind these.
    ///
    /// `x`: tensors `[batch, seq, _]` -> what `each` returns, `[batch, seq, _]`
    pub fn recur<const N: usize, const D: usize>(
        &self,
        states: &mut [&mut LayerState],
        of: impl Fn(&mut RecurrentState) -> &mut History<D>,
        x: [Tensor<3>; N],
        mut each: impl FnMut([Tensor<3>; N], Option<&Tensor<D>>) -> (Tensor<3>, Tensor<D>),
    ) -> Tensor<3> {
        let mut out = Vec::new();
        let mut start = 0;
        for (state, span) in states.iter_mut().zip(&self.spans) {
            let history = of(state.recurrent());
            for run in history.runs(span.clone()) {
                let part = x.each_ref().map(|x| match run.len() == x.dims()[1] {
                    true => x.clone(),
                    false => x.clone().narrow(1, start, run.len()), // [batch, run, _]
                });
                let (y, state) = each(part, history.now());
                out.push(y);
                history.push(state, run.end);
                start += run.len();
            }
        }
        if out.len() == 1 { out.swap_remove(0) } else { Tensor::cat(out, 1) }
    }

    /// Shows the observer what the tokens of each sequence said to the states of a layer, which are now behind them. `tokens` of
    /// the row: `None` where [`wants_recurrence`](Self::wants_recurrence) says no.
    pub fn recurrence(&self, layer: usize, states: &mut [&mut LayerState], tokens: Option<Recurrence>) {
        let Some(tokens) = tokens else { return };
        let mut start = 0;
        for (state, span) in states.iter_mut().zip(&self.spans) {
            if let Some(state) = state.recurrent().matrix.now() {
                let tokens = tokens.narrow(start, span.len());
                self.observer.borrow_mut().recurrence(layer, state.clone(), tokens);
            }
            start += span.len();
        }
    }

    /// Zeros where the batch has no token, which a recurrent mixer would carry on.
    ///
    /// `x` `[batch, seq, _]` -> the same shape
    pub fn without_padding(&self, x: Tensor<3>) -> Tensor<3> {
        let Some(padding) = &self.padding else { return x };
        let [batch, seq, _] = x.dims();
        let padded = TensorData::new(padding.hidden(seq), [batch, seq, 1]);
        let padded = Tensor::<3, Bool>::from_data(padded, &x.device()); // [batch, seq, 1]
        let shape = x.dims();
        x.mask_fill(padded.expand(shape), 0.0)
    }

    /// `value` in place of what is there for the first token of each text, in tokens that begin their texts.
    ///
    /// `x` `[batch, seq, _]` -> the same shape
    pub fn with_first(&self, x: Tensor<3>, value: f64) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let position = |row, slot| self.padding.as_ref().map_or(slot, |padding| padding.position(row, slot));
        let first = (0..batch).flat_map(|row| (0..seq).map(move |slot| position(row, slot) == 0));
        let first = TensorData::new(first.collect::<Vec<_>>(), [batch, seq, 1]);
        let first = Tensor::<3, Bool>::from_data(first, &x.device()); // [batch, seq, 1]
        let shape = x.dims();
        x.mask_fill(first.expand(shape), value)
    }
}
