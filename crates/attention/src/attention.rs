//! The attention block of one layer.

use burn::{module::Module, tensor::Tensor};
use glass_backend::{Linear, WeightError, Weights};
use glass_config::LlamaConfig;

use crate::{Call, LayerCache, Observer, Pass, Step};

/// `o_proj(attention(q_proj(x), k_proj(x), v_proj(x)))`, as `LlamaAttention` of `transformers`.
///
/// Which keys a query sees is the cache's business: it knows the layer's window, and what it has kept.
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
        })
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    pub fn forward(
        &self,
        x: Tensor<3>,
        cache: &mut dyn LayerCache,
        pass: &Pass,
        observer: &mut dyn Observer,
    ) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let heads = self.num_attention_heads;
        let split = |y: Tensor<3>, heads| {
            y.reshape([batch, seq, heads, self.head_dim])
                .swap_dims(1, 2)
        };
        let [q, k, v] = Linear::forward_all([&self.q_proj, &self.k_proj, &self.v_proj], x);
        observer.done(Step::Qkv);
        let q = split(q, heads); // [batch, heads, seq, head_dim]
        let k = split(k, self.num_key_value_heads); // [batch, kv_heads, seq, head_dim]
        let v = split(v, self.num_key_value_heads); // [batch, kv_heads, seq, head_dim]
        let k = pass.rotate(k); // [batch, kv_heads, seq, head_dim]
        observer.done(Step::Rope);
        let mut call = Call {
            pass,
            observer,
            layer: self.layer,
        };
        let mixed = cache.attend(q, k, v, &mut call); // [batch, heads, seq, head_dim]
        observer.done(Step::Attention);
        let mixed = mixed
            .swap_dims(1, 2)
            .reshape([batch, seq, heads * self.head_dim]);
        let out = self.o_proj.forward(mixed); // [batch, seq, hidden_size]
        observer.done(Step::Output);
        out
    }
}
