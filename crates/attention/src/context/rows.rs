//! The one place where the row of a pass is taken apart into its sequences, and what is done where it has no token.

use std::ops::Range;

use burn::tensor::{Bool, Tensor, TensorData};
use glass_kv_cache::{History, LayerCache, LayerState, RecurrentState, join, narrow};

use super::ForwardContext;

impl ForwardContext<'_> {
    /// Lets each sequence alone keep its keys and values, and attend to what its cache has. A cache that
    /// has to see the queries one by one (TOVA) gets them so. `each` is also told which tokens of the row they are from.
    ///
    /// `x`: tensors `[batch, heads, seq, head_dim]` -> what `each` returns, `[batch, heads, seq, head_dim]`
    pub(crate) fn per_sequence<const N: usize>(
        &self,
        states: &mut [&mut LayerState],
        x: [Tensor<4>; N],
        mut each: impl FnMut(&mut dyn LayerCache, [Tensor<4>; N], Range<usize>, usize) -> Tensor<4>,
    ) -> Tensor<4> {
        let mut out = Vec::new();
        let mut start = 0;
        for (state, span) in states.iter_mut().zip(&self.spans) {
            let cache = state.kv();
            let mut from = span.start;
            while from < span.end {
                let len = cache.max_step().min(span.end - from);
                let part = x.each_ref().map(|x| narrow(x.clone(), start, len));
                out.push(each(cache, part, from..from + len, start));
                (start, from) = (start + len, from + len);
            }
        }
        join(out)
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
