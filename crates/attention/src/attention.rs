//! The attention block of one layer.

use burn::{module::Module, tensor::Tensor};
use glass_backend::{Linear, WeightError, Weights};
use glass_config::LlamaConfig;

use crate::{Keys, LayerCache, Observer, Pass, Window, attend, rotate};

/// `o_proj(attention(q_proj(x), k_proj(x), v_proj(x)))`, as `LlamaAttention` of `transformers`.
#[derive(Module, Debug)]
pub struct LlamaAttention {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    o_proj: Linear,
    num_attention_heads: usize,
    num_key_value_heads: usize,
    head_dim: usize,
    layer: usize,
    #[module(skip)]
    window: Window,
}

impl LlamaAttention {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &LlamaConfig,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let hidden = config.hidden_size;
        let q = config.num_attention_heads * config.head_dim;
        let kv = config.num_key_value_heads * config.head_dim;
        Ok(Self {
            q_proj: Linear::load(weights.at("q_proj"), [q, hidden], config.bias.q_k_v)?,
            k_proj: Linear::load(weights.at("k_proj"), [kv, hidden], config.bias.q_k_v)?,
            v_proj: Linear::load(weights.at("v_proj"), [kv, hidden], config.bias.q_k_v)?,
            o_proj: Linear::load(weights.at("o_proj"), [hidden, q], config.bias.o)?,
            num_attention_heads: config.num_attention_heads,
            num_key_value_heads: config.num_key_value_heads,
            head_dim: config.head_dim,
            layer,
            window: config.layer_types[layer].into(),
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(
        &self,
        x: Tensor<3>,
        cache: &mut LayerCache,
        pass: &Pass,
        observer: &mut dyn Observer,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let heads = self.num_attention_heads;
        let split = |y: Tensor<3>, heads| {
            y.reshape([batch, seq, heads, self.head_dim])
                .swap_dims(1, 2)
        };
        let q = split(self.q_proj.forward(x.clone()), heads); // [batch, heads, seq, head_dim]
        let k = split(self.k_proj.forward(x.clone()), self.num_key_value_heads); // [batch, kv_heads, seq, head_dim]
        let v = split(self.v_proj.forward(x), self.num_key_value_heads); // [batch, kv_heads, seq, head_dim]
        let q = rotate(q, pass.cos(), pass.sin());
        let k = rotate(k, pass.cos(), pass.sin());
        let (k, v, keys) = cache.update(k, v, pass.slots()); // [batch, kv_heads, keys, head_dim]

        let mixed = if observer.wants_attention() {
            let masked = pass.masked(self.window, pass.slots(), &keys);
            let (mixed, probabilities) = attend(q, k, v, masked, pass.dropouts().attention);
            observer.attention(self.layer, probabilities);
            mixed // [batch, heads, seq, head_dim]
        } else {
            self.attend_in_blocks(q, k, v, &keys, pass) // [batch, heads, seq, head_dim]
        };
        let mixed = mixed
            .swap_dims(1, 2)
            .reshape([batch, seq, heads * self.head_dim]);
        self.o_proj.forward(mixed) // [batch, seq, hidden_size]
    }

    /// The same as [`attend`] on everything, but never more scores at a time than the pass allows, and none for keys
    /// that no query of the block sees.
    ///
    /// `q` `[batch, heads, seq, head_dim]`, `k` and `v` `[batch, kv_heads, keys, head_dim]` -> as `q`
    fn attend_in_blocks(
        &self,
        q: Tensor<4>,
        k: Tensor<4>,
        v: Tensor<4>,
        keys: &Keys,
        pass: &Pass,
    ) -> Tensor<4> {
        let [batch, heads, ..] = q.dims();
        let first = pass.slots().start;
        let mut blocks = pass
            .blocks(self.window, batch * heads)
            .into_iter()
            .map(|queries| {
                let q = narrow(q.clone(), queries.start - first, queries.len()); // [batch, heads, block, head_dim]
                let (start, seen) = keys.seen_by(self.window, queries.clone());
                let k = narrow(k.clone(), start, seen.len()); // [batch, kv_heads, seen, head_dim]
                let v = narrow(v.clone(), start, seen.len()); // [batch, kv_heads, seen, head_dim]
                let masked = pass.masked(self.window, queries, &seen); // [batch or 1, 1, block, seen]
                attend(q, k, v, masked, pass.dropouts().attention).0 // [batch, heads, block, head_dim]
            })
            .collect::<Vec<_>>();
        match blocks.len() {
            1 => blocks.swap_remove(0),
            _ => Tensor::cat(blocks, 2), // [batch, heads, seq, head_dim]
        }
    }
}

/// Part of the sequence axis; where it is all of it, `start` is 0 and nothing needs to be done.
fn narrow(x: Tensor<4>, start: usize, len: usize) -> Tensor<4> {
    match x.dims()[2] == len {
        true => x,
        false => x.narrow(2, start, len),
    }
}
