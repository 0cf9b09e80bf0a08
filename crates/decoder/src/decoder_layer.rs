use burn::{module::Module, tensor::Tensor};
use glass_attention::{ForwardContext, LlamaAttention, Step};
use glass_backend::{Device, Input, Norm, WeightError, Weights};
use glass_config::{LayerConfig, LlamaConfig, MixerConfig, NormPlacement};
use glass_kv_cache::{LayerState, RecurrentState};
use glass_recurrent::RecurrentMixer;

use crate::Mlp;

/// One decoder layer: its mixer (attention, or a recurrent one) and the MLP each read the residual stream through a norm, and
/// add to it.
///
/// The norms have the names of the files. A Llama's `post_attention_layernorm` is the norm before its MLP; in families that
/// norm the output of each block it is the norm behind attention.
#[derive(Module, Debug)]
pub struct LlamaDecoderLayer {
    input_layernorm: Option<Norm>,
    /// The mixer: one of these two.
    self_attn: Option<LlamaAttention>,
    mixer: Option<RecurrentMixer>,
    post_attention_layernorm: Option<Norm>,
    pre_feedforward_layernorm: Option<Norm>,
    mlp: Option<Mlp>,
    post_feedforward_layernorm: Option<Norm>,
    #[module(skip)]
    norms: NormPlacement,
    residual_multiplier: f64,
    #[module(skip)]
    device: Device,
}

impl LlamaDecoderLayer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        if let (Some(attention), Some(mlp)) = (&self.self_attn, &self.mlp)
            && self.adds_in_place(&x, ctx)
        {
            return self.forward_in_place(attention, mlp, x, states, ctx);
        }
        let dropout = ctx.dropouts().residual;
        let normed = norm(&self.input_layernorm, x.clone()); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        let mixed = dropout.apply(self.mix(normed.clone(), states, ctx)); // [batch, seq, hidden_size]
        let Some(mlp) = &self.mlp else {
            let x = x + self.scaled(norm(&self.post_attention_layernorm, mixed)); // [batch, seq, hidden_size]
            ctx.done(Step::Residual);
            return x;
        };
        let (x, normed) = match (self.norms, &self.post_attention_layernorm) {
            // The sum, and its norm.
            (NormPlacement::Pre, Some(norm)) => norm.forward_sum(x, self.scaled(mixed)),
            (NormPlacement::Parallel, _) => (x + self.scaled(mixed), normed),
            (_, behind) => {
                let x = x + self.scaled(norm(behind, mixed)); // [batch, seq, hidden_size]
                (x.clone(), norm(&self.pre_feedforward_layernorm, x))
            }
        };
        ctx.done(Step::Norm);
        let mlp = dropout.apply(mlp.forward(normed)); // [batch, seq, hidden_size]
        ctx.done(Step::Mlp);
        let x = x + self.scaled(norm(&self.post_feedforward_layernorm, mlp)); // [batch, seq, hidden_size]
        ctx.done(Step::Residual);
        x
    }

    /// The same of a layer with norms in front of its blocks and nothing else between, where projections compute the norms that
    /// they read through and add to the residual stream themselves.
    fn forward_in_place(
        &self,
        attention: &LlamaAttention,
        mlp: &Mlp,
        x: Tensor<3>,
        states: &mut [&mut LayerState],
        ctx: &ForwardContext<'_>,
    ) -> Tensor<3> {
        let kernels = self.device.kernel_set();
        let normed = Input::lent(self.input_layernorm.as_ref(), &x); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        let mixed = attention.forward(normed, Some(&x), states, ctx); // [batch, seq, hidden_size]
        kernels.recycle(x);
        let normed = Input::lent(self.post_attention_layernorm.as_ref(), &mixed); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        let x = mlp.forward_onto(normed, &mixed); // [batch, seq, hidden_size]
        kernels.recycle(mixed);
        ctx.done(Step::Mlp);
        ctx.done(Step::Residual);
        x
    }

    fn adds_in_place(&self, x: &Tensor<3>, ctx: &ForwardContext<'_>) -> bool {
        let [batch, seq, _] = x.dims();
        self.device.kernel_set().adds_in_products(batch * seq, x.dtype())
            && self.norms == NormPlacement::Pre
            && self.residual_multiplier == 1.0
            && ctx.dropouts().residual.p == 0.0
    }

    /// What a block adds to the residual stream: `delta` `[batch, seq, hidden_size]` -> the same shape
    fn scaled(&self, delta: Tensor<3>) -> Tensor<3> {
        if self.residual_multiplier == 1.0 { delta } else { delta * self.residual_multiplier }
    }

    /// `x` `[batch, seq, hidden_size]` -> the same shape
    fn mix(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        match (&self.self_attn, &self.mixer) {
            (Some(attention), _) => attention.forward(x, None, states, ctx),
            (None, Some(mixer)) => mixer.forward(x, states, ctx),
            (None, None) => unreachable!("loaded with one of the two"),
        }
    }

    /// An empty state, for a pass of which nothing is kept.
    pub fn state_of_pass(&self) -> LayerState {
        match &self.self_attn {
            Some(attention) => LayerState::of_pass(attention.window()),
            None => LayerState::Recurrent(RecurrentState::default()),
        }
    }

    /// Where its weights and its states are.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig, layer: usize) -> Result<Self, WeightError> {
        use NormPlacement::{Parallel, Post, Pre, Sandwich};
        let hidden = config.hidden_size;
        let LayerConfig { mixer, mlp, norms, residual_multiplier } = &config.layers[layer];
        // Without an MLP there is no norm in front of one.
        let behind: &[NormPlacement] = if mlp.is_some() { &[Pre, Post, Sandwich] } else { &[Post, Sandwich] };
        let mut norm_of = |placements: &[NormPlacement], name: &str| {
            placements.contains(norms).then(|| Norm::load(weights.at(name), hidden, &config.norm)).transpose()
        };
        Ok(Self {
            input_layernorm: norm_of(&[Pre, Sandwich, Parallel], "input_layernorm")?,
            post_attention_layernorm: norm_of(behind, "post_attention_layernorm")?,
            pre_feedforward_layernorm: norm_of(&[Sandwich], "pre_feedforward_layernorm")?,
            post_feedforward_layernorm: norm_of(&[Post, Sandwich], "post_feedforward_layernorm")?,
            self_attn: match mixer {
                MixerConfig::Attention(attention) => {
                    Some(LlamaAttention::load(weights.at("self_attn"), attention, hidden, layer)?)
                }
                _ => None,
            },
            mixer: RecurrentMixer::load(weights.at("mixer"), mixer, hidden, layer)?,
            mlp: mlp.as_ref().map(|mlp| Mlp::load(weights.at("mlp"), mlp, hidden)).transpose()?,
            norms: *norms,
            residual_multiplier: *residual_multiplier,
            device: weights.device().clone(),
        })
    }
}

/// The norm of `x` `[batch, seq, hidden_size]`, where the family has one.
fn norm(norm: &Option<Norm>, x: Tensor<3>) -> Tensor<3> {
    match norm {
        Some(norm) => norm.forward(x),
        None => x,
    }
}
