use burn::{
    module::Module,
    tensor::{DType, Int, Tensor},
};
use glass_attention::{Observer, Sequences, Step};
use glass_backend::{Device, Dtype, Input, Linear, WeightError, WeightRole, WeightRoles, Weights};
use glass_config::LlamaConfig;
use glass_kv_cache::CacheError;
use glass_model::LlamaModel;

/// The whole model: hidden states, and a score for every token of the vocabulary.
#[derive(Module, Debug)]
pub struct LlamaForCausalLM {
    model: LlamaModel,
    /// `None` if the head is tied to the embedding: Press and Wolf 2017, arXiv:1608.05859.
    lm_head: Option<Linear>,
    logits_multiplier: f64,
    logits_soft_cap: Option<f64>,
}

impl LlamaForCausalLM {
    /// `ids` `[batch, seq]`, every id below `vocab_size` -> `[batch, seq, vocab_size]`, float32
    ///
    /// Generation needs the logits of few tokens: it takes [`states`](Self::states), and the [`head`](Self::head) of those.
    ///
    /// # Errors
    /// Sequences that do not fit the ids, or that a cache or the device cannot hold.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        sequences: Sequences<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        let hidden = self.hidden(ids, sequences, observer)?; // [batch, seq, hidden_size]
        let logits = self.head(hidden); // [batch, seq, vocab_size]
        observer.done(Step::Head);
        Ok(logits)
    }

    /// The model without its head: `ids` `[batch, seq]` -> `[batch, seq, hidden_size]`, after the final norm
    ///
    /// # Errors
    /// As for [`LlamaForCausalLM::forward`].
    pub fn hidden(
        &self,
        ids: Tensor<2, Int>,
        sequences: Sequences<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        self.model.forward(ids, sequences, observer)
    }

    /// The same for the [`head`](Self::head), which may compute the final norm itself.
    ///
    /// # Errors
    /// As for [`LlamaForCausalLM::forward`].
    pub fn states(
        &self,
        ids: Tensor<2, Int>,
        sequences: Sequences<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Input<'_, 3>, CacheError> {
        self.model.states(ids, sequences, observer)
    }

    /// What the head would say of a state between layers (the *logit lens*: nostalgebraist 2020): `x` `[batch, seq,
    /// hidden_size]` -> the same shape, after the final norm, for [`head`](Self::head)
    pub fn normed(&self, x: Tensor<3>) -> Tensor<3> {
        self.model.normed(x)
    }

    /// The device of a layer's weights, and of what its caches hold.
    pub fn layer_device(&self, layer: usize) -> &Device {
        self.model.layer_device(layer)
    }

    /// The head alone: `hidden` `[batch, seq, hidden_size]` -> `[batch, seq, vocab_size]`, float32
    pub fn head<'a>(&self, hidden: impl Into<Input<'a, 3>>) -> Tensor<3> {
        let hidden: Input<'a, 3> = hidden.into();
        let logits = match &self.lm_head {
            Some(lm_head) => lm_head.forward(hidden),           // [batch, seq, vocab_size]
            None => self.model.embed_tokens().matmul_t(hidden), // [batch, seq, vocab_size]
        };
        let mut logits = logits.cast(DType::F32);
        if self.logits_multiplier != 1.0 {
            logits = logits * self.logits_multiplier; // [batch, seq, vocab_size]
        }
        match self.logits_soft_cap {
            Some(cap) => (logits / cap).tanh() * cap, // [batch, seq, vocab_size]
            None => logits,
        }
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig) -> Result<Self, WeightError> {
        let head = [config.vocab_size, config.hidden_size];
        Ok(Self {
            model: LlamaModel::load(weights.at("model"), config)?,
            lm_head: if config.tie_word_embeddings {
                None
            } else {
                let weights = weights.at("lm_head");
                Some(Linear::load(weights, head, false, WeightRole::Head)?)
            },
            logits_multiplier: config.logits_multiplier,
            logits_soft_cap: config.logits_soft_cap,
        })
    }

    /// The roles of such a model's weights, without loading any. The device computes nothing: any will do.
    ///
    /// # Errors
    /// A row of weights would be over the device's limit.
    pub fn weight_roles(config: &LlamaConfig, device: &Device) -> Result<WeightRoles, WeightError> {
        let mut roles = WeightRoles::default();
        Self::load(Weights::new(&mut roles, device, Dtype::F32), config)?;
        Ok(roles)
    }
}
