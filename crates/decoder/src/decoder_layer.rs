use burn::{module::Module, tensor::Tensor};
use glass_attention::{ForwardContext, LayerCache, LlamaAttention, Step, Window};
use glass_backend::{Device, LlamaRmsNorm, WeightError, Weights};
use glass_config::{LayerConfig, LlamaConfig, MixerConfig, MlpConfig, NormPlacement};

use crate::LlamaMlp;

/// One decoder layer: attention and the MLP each read the residual stream through a norm, and add to it.
///
/// The norms have the names of the files. A Llama's `post_attention_layernorm` is the norm before its MLP; in families that
/// norm the output of each block it is the norm behind attention.
#[derive(Module, Debug)]
pub struct LlamaDecoderLayer {
    input_layernorm: Option<LlamaRmsNorm>,
    self_attn: LlamaAttention,
    post_attention_layernorm: LlamaRmsNorm,
    pre_feedforward_layernorm: Option<LlamaRmsNorm>,
    mlp: LlamaMlp,
    post_feedforward_layernorm: Option<LlamaRmsNorm>,
    #[module(skip)]
    norms: NormPlacement,
    #[module(skip)]
    device: Device,
}

impl LlamaDecoderLayer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `caches` are this layer's, one for each sequence of the pass.
    pub fn forward(&self, x: Tensor<3>, caches: &mut [&mut dyn LayerCache], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let dropout = ctx.dropouts().residual;
        let normed = norm(&self.input_layernorm, x.clone()); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        let attn = dropout.apply(self.self_attn.forward(normed, caches, ctx)); // [batch, seq, hidden_size]
        let (x, normed) = match self.norms {
            NormPlacement::Pre => self.post_attention_layernorm.forward_sum(x, attn), // the sum, and its norm
            NormPlacement::Post => {
                let x = x + self.post_attention_layernorm.forward(attn); // [batch, seq, hidden_size]
                (x.clone(), x)
            }
            NormPlacement::Parallel => unreachable!("no family has it yet"),
            NormPlacement::Sandwich => {
                let x = x + self.post_attention_layernorm.forward(attn); // [batch, seq, hidden_size]
                (x.clone(), norm(&self.pre_feedforward_layernorm, x))
            }
        };
        ctx.done(Step::Norm);
        let mlp = dropout.apply(self.mlp.forward(normed)); // [batch, seq, hidden_size]
        ctx.done(Step::Mlp);
        let x = x + norm(&self.post_feedforward_layernorm, mlp); // [batch, seq, hidden_size]
        ctx.done(Step::Residual);
        x
    }

    /// How far back its queries see.
    pub fn window(&self) -> Window {
        self.self_attn.window()
    }

    /// Where its weights and its states are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig, layer: usize) -> Result<Self, WeightError> {
        let (hidden, eps) = (config.hidden_size, config.norm.eps);
        let LayerConfig { mixer, mlp, norms, .. } = &config.layers[layer];
        let MixerConfig::Attention(attention) = mixer;
        let MlpConfig::Dense(mlp) = mlp else { unreachable!("no family has experts yet") };
        let norms = *norms;
        let (before, behind) = (norms != NormPlacement::Post, norms != NormPlacement::Pre);
        let mut norm_if =
            |there: bool, name: &str| there.then(|| LlamaRmsNorm::load(weights.at(name), hidden, eps)).transpose();
        Ok(Self {
            input_layernorm: norm_if(before, "input_layernorm")?,
            pre_feedforward_layernorm: norm_if(before && behind, "pre_feedforward_layernorm")?,
            post_feedforward_layernorm: norm_if(behind, "post_feedforward_layernorm")?,
            post_attention_layernorm: LlamaRmsNorm::load(weights.at("post_attention_layernorm"), hidden, eps)?,
            self_attn: LlamaAttention::load(weights.at("self_attn"), attention, hidden, layer)?,
            mlp: LlamaMlp::load(weights.at("mlp"), mlp, hidden)?,
            norms,
            device: weights.device().clone(),
        })
    }
}

/// The norm of `x`, where the family has one.
fn norm(norm: &Option<LlamaRmsNorm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
