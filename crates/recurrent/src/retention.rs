//! Retention: Sun et al. 2023, arXiv:2307.08621.

use burn::{
    module::Module,
    tensor::{DType, Tensor, TensorData, activation::silu},
};
use glass_attention::{ForwardContext, Recurrence, Step};
use glass_backend::{GateKernel, KernelSet, Linear, Norm, WeightError, WeightRole, Weights};
use glass_config::{NormConfig, NormWeight, RetentionConfig};
use glass_kv_cache::LayerState;

use crate::retain;

/// `out_proj(silu(g_proj(x)) * norm(retention(q_proj(x), k_proj(x), v_proj(x))))`: attention without softmax, in which each
/// head forgets at its own rate.
#[derive(Module, Debug)]
pub struct RetentionMixer {
    q_proj: Linear,
    k_proj: Linear,
    v_proj: Linear,
    g_proj: Linear,
    out_proj: Linear,
    /// Of each head's output; it has no weight.
    group_norm: Norm,
    #[module(skip)]
    config: RetentionConfig,
    #[module(skip)]
    kernels: KernelSet,
    layer: usize,
}

/// Tokens of a prompt that are multiplied together: their scores are a matrix, and what came before them is a state.
const CHUNK: usize = 64;

impl RetentionMixer {
    /// `x` `[batch, seq, hidden_size]` -> the same shape
    ///
    /// `states` are this layer's, one for each sequence of the pass; `ctx` is what the layers of a pass share.
    pub fn forward(&self, x: Tensor<3>, states: &mut [&mut LayerState], ctx: &ForwardContext<'_>) -> Tensor<3> {
        let [batch, seq, _] = x.dims();
        let RetentionConfig { num_heads: heads, key_dim, head_dim, .. } = self.config;
        let x = ctx.without_padding(x);
        let [q, k, v, g] = Linear::forward_all([&self.q_proj, &self.k_proj, &self.v_proj, &self.g_proj], x);
        ctx.done(Step::Input);
        let rotated = |x: Tensor<3>| {
            let x = x.reshape([batch, seq, heads, key_dim]).swap_dims(1, 2); // [batch, heads, seq, key_dim]
            let x = ctx.rotate(Some(0), x, None, self.kernels).swap_dims(1, 2); // [batch, seq, heads, key_dim]
            x.reshape([batch, seq, heads * key_dim])
        };
        let (q, k) = (rotated(q), rotated(k) * (key_dim as f64).powf(-0.5)); // [batch, seq, heads * key_dim]
        ctx.done(Step::Rope);
        let seen = ctx.wants_recurrence().then(|| {
            let decays = TensorData::new((0..heads).map(gamma).collect::<Vec<_>>(), [1, 1, heads]);
            let decay = Tensor::<3>::from_data(decays, (&q.device(), DType::F32)).expand([batch, seq, heads]);
            let inputs = vec![("q", q.clone()), ("k", k.clone()), ("v", v.clone())];
            Recurrence { a: None, gates: vec![("decay", decay), ("gate", silu(g.clone()))], inputs }
        });
        let y = ctx.recur(
            states,
            |state| &mut state.matrix,
            [q, k, v],
            |[q, k, v], state| {
                let seq = q.dims()[1];
                let split = |x: Tensor<3>, width| x.reshape([batch, seq, heads, width]);
                let qkv = [split(q, key_dim), split(k, key_dim), split(v, head_dim)]; // [batch, seq, heads, _]
                let (y, state) = self.fused(&qkv, state).unwrap_or_else(|| retain(qkv, state, CHUNK));
                (y.reshape([batch, seq, heads * head_dim]), state) // [batch, seq, heads * head_dim]
            },
        );
        ctx.recurrence(self.layer, states, seen);
        ctx.done(Step::Scan);

        // What is seen grows with the text, and so would its sum: for head h of the token behind t others,
        // s = gamma^0 + .. + gamma^t. The norm takes out what is left of the scale.
        let root = |position: usize, head: usize| {
            let gamma = f64::from(gamma(head));
            let sum = (1.0 - gamma.powf(position as f64 + 1.0)) / (1.0 - gamma);
            sum.powf(-0.5) as f32
        };
        let scale = ctx.by_position(heads, root, &y.device()).unsqueeze_dim::<4>(3); // [batch or 1, seq, heads, 1]
        let y = y.reshape([batch, seq, heads, head_dim]); // [batch, seq, heads, head_dim]
        let dtype = y.dtype();
        let y = self.group_norm.forward((y.cast(DType::F32) * scale).cast(dtype));
        let y = y.reshape([batch, seq, heads * head_dim]); // [batch, seq, heads * head_dim]
        let y = self.kernels.gate(GateKernel::Silu, &g, &y).unwrap_or_else(|| y * silu(g));
        let out = self.out_proj.forward(y); // [batch, seq, hidden_size]
        ctx.done(Step::Output);
        out
    }

    /// Retention is a scan that moves by one with each token, in the device's kernel.
    fn fused(&self, [q, k, v]: &[Tensor<4>; 3], state: Option<&Tensor<4>>) -> Option<(Tensor<4>, Tensor<4>)> {
        if self.kernels.is_plain() {
            return None;
        }
        let [batch, seq, heads, _] = q.dims();
        let on_device = (&q.device(), DType::F32);
        let decay: Vec<f32> = (0..heads).map(|head| gamma(head).ln()).collect();
        let a = Tensor::<2>::from_data(TensorData::new(decay, [heads, 1]), on_device);
        let dt = Tensor::<3>::ones([batch, seq, heads], on_device);
        let scan = glass_backend::Scan { x: v, dt: &dt, a: &a, b: k, c: q, d: None, state };
        self.kernels.selective_scan(&scan)
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(
        mut weights: Weights<'_>,
        config: &RetentionConfig,
        hidden_size: usize,
        layer: usize,
    ) -> Result<Self, WeightError> {
        let (keys, values) = (config.key_size(), config.value_size());
        let norm = NormConfig { weight: NormWeight::None, ..NormConfig::rms(config.norm_eps) };
        let mut linear = |name, shape, role| Linear::load(weights.at(name), shape, false, role);
        Ok(Self {
            q_proj: linear("q_proj", [keys, hidden_size], WeightRole::Projection)?,
            k_proj: linear("k_proj", [keys, hidden_size], WeightRole::Projection)?,
            v_proj: linear("v_proj", [values, hidden_size], WeightRole::Projection)?,
            g_proj: linear("g_proj", [values, hidden_size], WeightRole::Projection)?,
            out_proj: linear("out_proj", [hidden_size, values], WeightRole::ResidualProjection)?,
            group_norm: Norm::load(weights.at("group_norm"), config.head_dim, &norm)?,
            kernels: weights.device().kernel_set(),
            config: *config,
            layer,
        })
    }
}

/// What head h keeps of its state from token to token.
pub fn gamma(head: usize) -> f32 {
    1.0 - (-5.0 - head as f32).exp2()
}
