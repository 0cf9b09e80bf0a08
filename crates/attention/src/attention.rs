//! The attention block of one layer.

mod fused;

use std::ops::Range;

use burn::{
    module::{Module, Param},
    tensor::Tensor,
};
use glass_backend::{AttentionParams, Input, KernelSet, Linear, WeightError, WeightRole, Weights};
use glass_config::AttentionConfig;
use glass_kv_cache::{KvView, LayerCache, LayerState, Window, join, narrow};

use crate::{
    ForwardContext, QkNorm, Queries, Step,
    attend::{attend, one_behind_the_other},
    dual_chunk::parts,
};

/// `o_proj(attention(q_proj(x), k_proj(x), v_proj(x)))`, as `LlamaAttention` of `transformers`.
#[derive(Module, Debug)]
pub struct LlamaAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    /// Norms of queries and keys, where the family has them.
    q_norm: Option<QkNorm>,
    k_norm: Option<QkNorm>,
    /// One logit per head that takes probability and has no value, where the family has them.
    sinks: Option<Param<Tensor<1>>>,
    #[module(skip)]
    config: AttentionConfig,
    #[module(skip)]
    kernels: KernelSet,
    layer: usize,
}

impl LlamaAttention {
    /// `x` `[batch, seq, hidden_size]` -> the same shape; `onto` is what that is added to, if it is.
    ///
    /// `states` are this layer's, one for each sequence of the pass; `ctx` is what the layers of a pass share.
    pub fn forward<'x>(
        &self,
        x: impl Into<Input<'x, 3>>,
        onto: Option<&Tensor<3>>,
        states: &mut [&mut LayerState],
        ctx: &ForwardContext<'_>,
    ) -> Tensor<3> {
        let [q, k, v] = self.project_heads(x.into()); // [batch, heads or kv_heads, seq, head_dim]
        ctx.done(Step::Qkv);
        let q = ctx.temper(q, &self.config); // [batch, heads, seq, head_dim]
        let mixed = self.attend([&q, &k, &v], states, ctx); // [batch, seq, heads * head_dim]
        [q, k, v].into_iter().for_each(|x| self.kernels.recycle(x));
        let out = match onto {
            Some(residual) => self.o_proj.forward_onto(mixed, residual),
            None => self.o_proj.forward(mixed),
        }; // [batch, seq, hidden_size]
        ctx.done(Step::Output);
        out
    }

    /// What the queries find: `q`, `k` and `v` `[batch, heads or kv_heads, seq, head_dim]` -> `[batch, seq, heads * head_dim]`
    fn attend(&self, qkv: [&Tensor<4>; 3], states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let (rope, kernels) = (self.config.rope, self.kernels);
        let alone = match &mut states[..] {
            [state] => state.kv().max_step() >= ctx.seq(),
            _ => !kernels.attends_to_all(), // where one work can be the attention of all, it is
        };
        if let Some(rope) = rope.filter(|_| alone && kernels.keeps() && ctx.padding().is_none()) {
            return ctx.per_sequence(states, qkv, |cache, qkv, positions, start| {
                self.attend_in_place(rope, qkv, positions, start, cache, ctx)
            });
        }
        let [q, k, v] = qkv;
        let rotated = ctx.rotate(rope, q.clone(), None, kernels); // [batch, heads, seq, head_dim]
        let k = ctx.rotate(rope, k.clone(), None, kernels); // [batch, kv_heads, seq, head_dim]
        ctx.done(Step::Rope);
        if let Some(out) = self.attend_together([q, &rotated, &k, v], states, ctx) {
            [rotated, k].into_iter().for_each(|x| kernels.recycle(x));
            return out;
        }
        ctx.per_sequence(states, [q, &rotated, &k, v], |cache, [q, rotated, k, v], positions, _| {
            let kv = cache.append(k.clone().into(), v.clone().into(), positions.clone()); // what these queries may attend to
            ctx.done(Step::Cache);
            self.attend_to(kv, [q, rotated], positions, cache, ctx)
        })
    }

    /// `q` `[batch, heads, seq, head_dim]`, as projected and as rotated -> `[batch, seq, heads * head_dim]`
    fn attend_to(
        &self,
        kv: KvView,
        [q, rotated]: [&Tensor<4>; 2],
        positions: Range<usize>,
        cache: &mut dyn LayerCache,
        ctx: &ForwardContext<'_>,
    ) -> Tensor<3> {
        let (rope, kernels) = (self.config.rope, self.kernels);
        let weights_wanted = cache.wants_weights() || ctx.wants_attention();
        let parts = parts(self.config.dual_chunk, positions.clone(), kv).into_iter().map(|(part, kv)| {
            let cut = |x: &Tensor<4>| narrow(x.clone(), part.start - positions.start, part.len());
            let moved = |from| (from, ctx.rotate(rope, cut(q), Some((part.clone(), from)), kernels));
            let moved = kv.attends_from().into_iter().map(moved).collect();
            let queries = Queries { q: cut(rotated), moved, positions: part.clone() };
            attend(&queries, &kv, &self.params(), kernels, weights_wanted, ctx)
        });
        let (out, weights): (Vec<_>, Vec<_>) = parts.unzip();
        if let Some(weights) = weights.into_iter().collect::<Option<Vec<_>>>().map(join) {
            ctx.attention(self.layer, &weights);
            cache.observe(weights);
        }
        ctx.done(Step::Attention);
        one_behind_the_other(out) // [batch, seq, heads * head_dim]
    }

    /// Queries, keys and values, head by head: `[batch, heads or kv_heads, seq, head_dim]`
    fn project_heads(&self, x: Input<'_, 3>) -> [Tensor<4>; 3] {
        let normed = |norm: &Option<QkNorm>, x: Tensor<4>| match norm {
            Some(norm) => norm.forward_by_head(x),
            None => x,
        };
        let projections = [&self.q_proj, &self.k_proj, &self.v_proj];
        let [q, k, v] = Linear::forward_by_head(projections, x, self.config.head_dim); // [batch, heads or kv_heads, seq, head_dim]
        [normed(&self.q_norm, q), normed(&self.k_norm, k), v]
    }

    /// How far back its queries see.
    pub fn window(&self) -> Window {
        self.config.window.into()
    }

    fn params(&self) -> AttentionParams {
        AttentionParams {
            scale: self.config.scale,
            soft_cap: self.config.soft_cap,
            sinks: self.sinks.as_ref().map(Param::val),
        }
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &AttentionConfig,
        hidden_size: usize,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let AttentionConfig { num_attention_heads: heads, num_key_value_heads: kv_heads, head_dim, bias, .. } = *config;
        let (q, kv) = (heads * head_dim, kv_heads * head_dim);
        let mut norm = |name, heads| {
            let norm = config.qk_norm.map(|norm| QkNorm::load(weights.at(name), &norm, heads, head_dim));
            norm.transpose()
        };
        let (q_norm, k_norm) = (norm("q_norm", heads)?, norm("k_norm", kv_heads)?);
        let mut linear = |name, shape, bias, role| Linear::load(weights.at(name), shape, bias, role);
        let (reads, writes) = (WeightRole::Projection, WeightRole::ResidualProjection);
        let mut q_proj = linear("q_proj", [q, hidden_size], bias.q_k_v, reads)?;
        let mut k_proj = linear("k_proj", [kv, hidden_size], bias.q_k_v, WeightRole::Keys)?;
        let mut v_proj = linear("v_proj", [kv, hidden_size], bias.q_k_v, WeightRole::Values)?;
        let o_proj = linear("o_proj", [hidden_size, q], bias.o, writes)?;
        Linear::lay_together(&mut [&mut q_proj, &mut k_proj, &mut v_proj], weights.device());
        Ok(Self {
            q_proj,
            k_proj,
            v_proj,
            o_proj,
            q_norm,
            k_norm,
            sinks: config.sinks.then(|| weights.vector("sinks", heads, WeightRole::Sinks)).transpose()?,
            kernels: weights.device().kernel_set(),
            config: *config,
            layer,
        })
    }
}
