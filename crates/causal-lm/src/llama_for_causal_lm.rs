use burn::{
    module::Module,
    tensor::{DType, Int, Tensor},
};
use glass_attention::{Cache, CacheError, Observer, Step};
use glass_backend::{Linear, WeightError, Weights};
use glass_config::LlamaConfig;
use glass_model::LlamaModel;

/// The whole model: hidden states, and a score for every token of the vocabulary.
#[derive(Module, Debug)]
pub struct LlamaForCausalLM {
    model: LlamaModel,
    /// `None` if the head is tied to the embedding: Press and Wolf 2017, arXiv:1608.05859.
    lm_head: Option<Linear>,
}

/// Which positions get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitsFor {
    /// Every position of the pass.
    All,
    /// The last one: all that generation needs of a prompt, at `1/seq` of the head's cost.
    Last,
}

impl LlamaForCausalLM {
    /// # Errors
    /// A weight that is missing or does not fit the config.
    pub fn load(mut weights: Weights<'_>, config: &LlamaConfig) -> Result<Self, WeightError> {
        let head = [config.vocab_size, config.hidden_size];
        Ok(Self {
            model: LlamaModel::load(weights.at("model"), config)?,
            lm_head: match config.tie_word_embeddings {
                true => None,
                false => Some(Linear::load(weights.at("lm_head"), head, false)?),
            },
        })
    }

    /// `ids` `[batch, seq]`, every id below `vocab_size` -> `[batch, seq or 1, vocab_size]`, float32
    ///
    /// # Errors
    /// The cache is for another batch, or the device cannot hold the sequence.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        cache: &mut Cache,
        logits_for: LogitsFor,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        let hidden = self.hidden(ids, cache, observer)?; // [batch, seq, hidden_size]
        let hidden = match logits_for {
            LogitsFor::All => hidden,
            LogitsFor::Last => {
                let last = hidden.dims()[1] - 1;
                hidden.narrow(1, last, 1) // [batch, 1, hidden_size]
            }
        };
        let logits = self.head(hidden); // [batch, seq or 1, vocab_size]
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
        cache: &mut Cache,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        self.model.forward(ids, cache, observer)
    }

    /// The head alone: `hidden` `[batch, seq, hidden_size]` -> `[batch, seq, vocab_size]`, float32
    pub fn head(&self, hidden: Tensor<3>) -> Tensor<3> {
        let logits = match &self.lm_head {
            Some(lm_head) => lm_head.forward(hidden), // [batch, seq, vocab_size]
            None => self.model.embed_tokens().matmul_t(hidden), // [batch, seq, vocab_size]
        };
        logits.cast(DType::F32)
    }
}
