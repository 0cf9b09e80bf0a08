use burn::{module::Module, tensor::Tensor};
use glass_attention::{ForwardContext, LayerCache, LlamaAttention, Step, Window};
use glass_backend::{LlamaRmsNorm, WeightError, Weights};
use glass_config::{LayerConfig, LlamaConfig, MixerConfig, MlpConfig};

use crate::LlamaMlp;

/// One decoder layer: attention and the MLP read the residual stream through a norm, and add to it (pre-norm).
#[derive(Module, Debug)]
pub struct LlamaDecoderLayer {
    input_layernorm: LlamaRmsNorm,
    self_attn: LlamaAttention,
    post_attention_layernorm: LlamaRmsNorm,
    mlp: LlamaMlp,
}

impl LlamaDecoderLayer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `caches` are this layer's, one for each sequence of the pass.
    pub fn forward(&self, x: Tensor<3>, caches: &mut [&mut dyn LayerCache], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let dropout = ctx.dropouts().residual;
        let normed = self.input_layernorm.forward(x.clone()); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        let attn_output = self.self_attn.forward(normed, caches, ctx); // [batch, seq, hidden_size]
        let (x, normed) = self.post_attention_layernorm.forward_sum(x, dropout.apply(attn_output)); // x + attn_output, normed
        ctx.done(Step::Norm);
        let mlp_output = self.mlp.forward(normed); // [batch, seq, hidden_size]
        ctx.done(Step::Mlp);
        let x = x + dropout.apply(mlp_output); // [batch, seq, hidden_size]
        ctx.done(Step::Residual);
        x
    }

    /// How far back its queries see.
    pub fn window(&self) -> Window {
        self.self_attn.window()
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig, layer: usize) -> Result<Self, WeightError> {
        let (hidden, eps) = (config.hidden_size, config.rms_norm_eps);
        let LayerConfig { mixer, mlp, .. } = config.layer(layer);
        let MixerConfig::Attention(attention) = mixer;
        let MlpConfig::Dense(mlp) = mlp;
        let norm = |weights: Weights<'_>| LlamaRmsNorm::load(weights, hidden, eps);
        Ok(Self {
            input_layernorm: norm(weights.at("input_layernorm"))?,
            self_attn: LlamaAttention::load(weights.at("self_attn"), &attention, hidden, eps, layer)?,
            post_attention_layernorm: norm(weights.at("post_attention_layernorm"))?,
            mlp: LlamaMlp::load(weights.at("mlp"), &mlp, hidden)?,
        })
    }
}
