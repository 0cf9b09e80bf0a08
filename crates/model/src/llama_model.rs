use burn::{
    module::Module,
    tensor::{Int, Tensor},
};
use glass_attention::{Cache, CacheError, HiddenState, Observer, Step};
use glass_backend::{Embedding, WeightError, Weights};
use glass_config::LlamaConfig;
use glass_decoder::{LlamaDecoderLayer, LlamaRmsNorm};

/// Ids in, hidden states out: everything of a Llama but the head.
#[derive(Module, Debug)]
pub struct LlamaModel {
    embed_tokens: Embedding,
    layers: Vec<LlamaDecoderLayer>,
    norm: LlamaRmsNorm,
}

impl LlamaModel {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig) -> Result<Self, WeightError> {
        let (vocab, hidden) = (config.vocab_size, config.hidden_size);
        Ok(Self {
            embed_tokens: Embedding::load(weights.at("embed_tokens"), [vocab, hidden])?,
            layers: (0..config.num_hidden_layers)
                .map(|layer| {
                    let weights = weights.at(format_args!("layers.{layer}"));
                    LlamaDecoderLayer::load(weights, config, layer)
                })
                .collect::<Result<_, _>>()?,
            norm: LlamaRmsNorm::load(weights.at("norm"), hidden, config.rms_norm_eps)?,
        })
    }

    /// `ids` `[batch, seq]`, every id below `vocab_size` -> `[batch, seq, hidden_size]`
    ///
    /// The cache says what came before; the new tokens are added to it.
    ///
    /// # Errors
    /// The cache is for another batch, or the device cannot hold the sequence.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        cache: &mut Cache,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        let [batch, seq] = ids.dims();
        let pass = cache.begin(batch, seq)?;
        observer.pass(&pass);

        let mut x = self.embed_tokens.forward(ids); // [batch, seq, hidden_size]
        x = pass.dropouts().residual.apply(x);
        observer.done(Step::Embedding);
        observer.hidden(HiddenState::Embed, &x);
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.forward(x, cache.layer(i), &pass, observer); // [batch, seq, hidden_size]
            observer.hidden(HiddenState::Layer(i), &x);
        }
        let x = self.norm.forward(x); // [batch, seq, hidden_size]
        observer.done(Step::Norm);
        observer.hidden(HiddenState::Norm, &x);
        Ok(x)
    }

    /// The embedding, which a tied head projects with.
    pub fn embed_tokens(&self) -> &Embedding {
        &self.embed_tokens
    }
}
