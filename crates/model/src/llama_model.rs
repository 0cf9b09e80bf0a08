use burn::{
    module::Module,
    tensor::{Int, Tensor},
};
use glass_attention::{ForwardContext, HiddenState, Observer, Rope, Sequences, Step};
use glass_backend::{Device, Embedding, Input, Norm, WeightError, Weights};
use glass_config::LlamaConfig;
use glass_decoder::LlamaDecoderLayer;
use glass_kv_cache::CacheError;

/// Ids in, hidden states out: everything of a Llama but the head.
#[derive(Module, Debug)]
pub struct LlamaModel {
    embed_tokens: Embedding,
    layers: Vec<LlamaDecoderLayer>,
    norm: Norm,
    embedding_scale: f64,
    embedding_multiplier: f64,
    #[module(skip)]
    ropes: Vec<Rope>,
    /// Values per token in the widest activation.
    width: usize,
    /// Of the embedding and the norm.
    #[module(skip)]
    device: Device,
}

impl LlamaModel {
    /// `ids` `[batch, seq]`, every id below `vocab_size` -> `[batch, seq, hidden_size]`
    ///
    /// `sequences` says what the ids are: whole texts, or the next tokens of sequences whose caches then have them too.
    ///
    /// # Errors
    /// Sequences that do not fit the ids, or that a cache or the device cannot hold.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        sequences: Sequences<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        let x = self.states(ids, sequences, observer)?.tensor(); // [batch, seq, hidden_size]
        observer.hidden(HiddenState::Norm, &x);
        Ok(x)
    }

    /// [`forward`](Self::forward) for a head, which may compute the last norm itself. Observers are not shown it.
    ///
    /// # Errors
    /// As for [`forward`](Self::forward).
    pub fn states(
        &self,
        ids: Tensor<2, Int>,
        mut sequences: Sequences<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Input<'_, 3>, CacheError> {
        let ctx =
            ForwardContext::new(&self.ropes, self.width, ids.dims(), &mut sequences, self.smallest_device(), observer)?;
        ctx.prepare(&self.device);
        let x = times(self.embedding_scale, self.embed_tokens.forward(ids)); // [batch, seq, hidden_size]
        let x = ctx.dropouts().residual.apply(x);
        ctx.done(Step::Embedding);
        ctx.hidden(HiddenState::Embed, &x);
        let mut x = times(self.embedding_multiplier, x); // [batch, seq, hidden_size]
        for (i, layer) in self.layers.iter().enumerate() {
            x = on(layer.device(), x); // where the layer's weights and state are
            x = sequences.with_layer(i, || layer.state_of_pass(), |states| layer.forward(x, states, &ctx)); // [batch, seq, hidden_size]
            ctx.hidden(HiddenState::Layer(i), &x);
        }
        let x = Input::through(Some(&self.norm), on(&self.device, x)); // [batch, seq, hidden_size]
        ctx.done(Step::Norm);
        Ok(x)
    }

    /// The last norm alone: `x` `[batch, seq, hidden_size]`, a state between layers -> the same shape, as the head reads it
    pub fn normed(&self, x: Tensor<3>) -> Tensor<3> {
        self.norm.forward(on(&self.device, x))
    }

    /// The device of a layer's weights, and of what its caches hold.
    pub fn layer_device(&self, layer: usize) -> &Device {
        self.layers[layer].device()
    }

    /// The device that binds the least, which limits a pass.
    fn smallest_device(&self) -> &Device {
        let layers = self.layers.iter().map(LlamaDecoderLayer::device);
        let all = std::iter::once(&self.device).chain(layers);
        all.min_by_key(|device| device.max_binding().unwrap_or(u64::MAX)).unwrap_or(&self.device)
    }

    /// The embedding, which a tied head projects with.
    pub fn embed_tokens(&self) -> &Embedding {
        &self.embed_tokens
    }

    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig) -> Result<Self, WeightError> {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        Ok(Self {
            embed_tokens: Embedding::load(weights.at("embed_tokens"), [vocab, hidden])?,
            layers: (0..config.layers.len())
                .map(|layer| LlamaDecoderLayer::load(weights.layer(layer), config, layer))
                .collect::<Result<_, _>>()?,
            norm: Norm::load(weights.at("norm"), hidden, &config.norm)?,
            embedding_scale: config.embedding_scale,
            embedding_multiplier: config.embedding_multiplier,
            ropes: Rope::all(config),
            width: config.max_width(),
            device: weights.device().clone(),
        })
    }
}

/// `x` as it is, where the family multiplies by 1.
fn times(multiplier: f64, x: Tensor<3>) -> Tensor<3> {
    if multiplier == 1.0 { x } else { x * multiplier }
}

/// `x` on this device: itself, if it is there already.
fn on(device: &Device, x: Tensor<3>) -> Tensor<3> {
    if x.device() == *device.burn() { x } else { x.to_device(device.burn()) }
}
