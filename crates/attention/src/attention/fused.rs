//! The same attention, where a kernel takes more into one call: all sequences, or rotation and cache, or these and attention.

use std::ops::Range;

use burn::tensor::Tensor;
use glass_backend::TextKv;
use glass_kv_cache::{Appended, InPlace, LayerCache, LayerState, SeenSlots, Written, narrow};

use super::LlamaAttention;
use crate::{
    ForwardContext, Step,
    attend::{for_kernel, one_behind_the_other},
};

impl LlamaAttention {
    /// The same, where one work of a kernel is the attention of several sequences.
    pub(super) fn attend_together(
        &self,
        [q, rotated, k, v]: [&Tensor<4>; 4],
        states: &mut [&mut LayerState],
        ctx: &ForwardContext<'_>,
    ) -> Option<Tensor<3>> {
        if states.len() < 2 || !self.kernels.attends_to_all() || self.config.dual_chunk.is_some() {
            return None;
        }
        let views = ctx.append_all(states, [k, v], self.kernels)?;
        ctx.done(Step::Cache);
        let mut start = 0;
        let texts = views.iter().zip(ctx.spans()).map(|(kv, positions)| {
            let own = |x: &Tensor<4>| narrow(x.clone(), start, positions.len());
            let moved =
                |from| (from, ctx.rotate(self.config.rope, own(q), Some((positions.clone(), from)), self.kernels));
            let moved: Vec<_> = kv.attends_from().into_iter().map(moved).collect();
            start += positions.len();
            Some(TextKv { segments: for_kernel(kv, &moved)?, positions: positions.clone() })
        });
        let texts: Option<Vec<TextKv>> = texts.collect();
        // TOVA knows only with the new tokens in it whether one has to go.
        let texts = texts.filter(|_| !states.iter_mut().any(|state| state.kv().wants_weights()));
        let together = texts.and_then(|texts| self.kernels.attend_all(rotated, &texts, &self.params()));
        if together.is_some() {
            ctx.done(Step::Attention);
            return together; // [1, tokens of all, heads * head_dim]
        }
        let mut start = 0;
        let alone = views.into_iter().zip(states).zip(ctx.spans()).map(|((kv, state), positions)| {
            let own = |x: &Tensor<4>| narrow(x.clone(), start, positions.len());
            let (q, rotated) = (&own(q), &own(rotated));
            start += positions.len();
            self.attend_to(kv, [q, rotated], positions.clone(), state.kv(), ctx)
        });
        Some(one_behind_the_other(alone.collect())) // [1, tokens of all, heads * head_dim]
    }

    /// The same for one sequence, whose tokens are those of the row from `start` on: a kernel rotates, and writes keys and values
    /// to where the cache keeps them, and lets the queries attend, as far as it can.
    ///
    /// `q`, `k` and `v` `[1, heads or kv_heads, seq, head_dim]` -> `[1, seq, heads * head_dim]`
    pub(super) fn attend_in_place(
        &self,
        rope: usize,
        [q, k, v]: [&Tensor<4>; 3],
        positions: Range<usize>,
        start: usize,
        cache: &mut dyn LayerCache,
        ctx: &ForwardContext<'_>,
    ) -> Tensor<3> {
        let params = self.params();
        // Dual chunks see parts of a cache, and somebody may want to see the weights.
        let plainly = self.config.dual_chunk.is_none()
            && ctx.dropouts().attention.p == 0.0
            && !ctx.wants_attention()
            && !cache.wants_weights();
        let (mut attended, mut rotated) = (None, None);
        let mut write = |[keys, values]: [&mut Tensor<4>; 2], slot, seen: Option<SeenSlots>| {
            if let Some(seen) = seen.filter(|_| plainly) {
                let held = [&mut *keys, &mut *values];
                attended = ctx.keep_and_attend((rope, start), [q, k, v], held, slot, seen, &params, self.kernels);
                if attended.is_some() {
                    return Written::Attended;
                }
            }
            rotated = ctx.rotate_and_keep(rope, start, [q, k, v], [keys, values], slot, self.kernels);
            if rotated.is_some() { Written::Kept } else { Written::Not }
        };
        let new = &mut InPlace { shape: k.dims(), device: k.device(), dtype: k.dtype(), write: &mut write };
        let appended = cache.append_in_place(new, positions.clone());
        if let Some(attended) = attended {
            ctx.done(Step::Attention);
            return attended; // [1, seq, heads * head_dim]
        }
        let (kv, rotated) = match (appended, rotated) {
            (Appended::Kept(kv), Some(rotated)) => {
                ctx.done(Step::Rope);
                (kv, rotated)
            }
            _ => {
                let rotate = |x: &Tensor<4>| ctx.rotate_from(rope, start, x.clone(), self.kernels);
                let (rotated, k) = (rotate(q), rotate(k)); // [1, heads or kv_heads, seq, head_dim]
                ctx.done(Step::Rope);
                (cache.append(k.into(), v.clone().into(), positions.clone()), rotated)
            }
        };
        ctx.done(Step::Cache);
        self.attend_to(kv, [q, &rotated], positions, cache, ctx)
    }
}
