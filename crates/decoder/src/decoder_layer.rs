use burn::{module::Module, tensor::Tensor};
use glass_attention::{LayerCache, LlamaAttention, Observer, Pass, Step};
use glass_backend::{WeightError, Weights};
use glass_config::LlamaConfig;

use crate::{LlamaMlp, LlamaRmsNorm};

/// One block of the residual stream, normed before each part (pre-norm).
#[derive(Module, Debug)]
pub struct LlamaDecoderLayer {
    input_layernorm: LlamaRmsNorm,
    self_attn: LlamaAttention,
    post_attention_layernorm: LlamaRmsNorm,
    mlp: LlamaMlp,
}

impl LlamaDecoderLayer {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &LlamaConfig,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let norm = |weights: Weights<'_>| {
            LlamaRmsNorm::load(weights, config.hidden_size, config.rms_norm_eps)
        };
        Ok(Self {
            input_layernorm: norm(weights.at("input_layernorm"))?,
            self_attn: LlamaAttention::load(weights.at("self_attn"), config, layer)?,
            post_attention_layernorm: norm(weights.at("post_attention_layernorm"))?,
            mlp: LlamaMlp::load(weights.at("mlp"), config)?,
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
        let normed = self.input_layernorm.forward(x.clone());
        observer.done(Step::Norm);
        let attended = self.self_attn.forward(normed, cache, pass, observer);
        let attended = pass.dropouts().residual.apply(attended);
        let (x, normed) = self.post_attention_layernorm.forward_sum(x, attended);
        observer.done(Step::Norm);
        let moved = self.mlp.forward(normed);
        observer.done(Step::Mlp);
        let x = x + pass.dropouts().residual.apply(moved);
        observer.done(Step::Residual);
        x
    }
}
