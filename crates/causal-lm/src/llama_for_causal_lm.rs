use burn::{
    module::Module,
    tensor::{DType, Int, Tensor},
};
use glass_attention::{CacheError, NextTokens, Observer, Sequences, Step};
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

/// Which tokens of a pass get logits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitsFor<'a> {
    /// All of them.
    All,
    /// The last one of each sequence.
    Last,
    /// Those at these indices of the row: all that generation needs, at a fraction of the head's cost.
    At(&'a [usize]),
}

impl LlamaForCausalLM {
    /// `ids` `[batch, seq]`, every id below `vocab_size` -> `[batch, n, vocab_size]`, float32, where n is the number of tokens
    /// that `logits_for` asks for
    ///
    /// # Errors
    /// Sequences that do not fit the ids, or that a cache or the device cannot hold.
    pub fn forward(
        &self,
        ids: Tensor<2, Int>,
        sequences: Sequences<'_>,
        logits_for: LogitsFor<'_>,
        observer: &mut dyn Observer,
    ) -> Result<Tensor<3>, CacheError> {
        let indices = match (logits_for, &sequences) {
            (LogitsFor::All, _) => None,
            (LogitsFor::At(indices), _) => Some(indices.to_vec()),
            (LogitsFor::Last, Sequences::Whole { .. }) => {
                Some(vec![ids.dims()[1].saturating_sub(1)])
            }
            (LogitsFor::Last, Sequences::Next(next)) => Some(last_of_each(next)),
        };
        let mut hidden = self.hidden(ids, sequences, observer)?; // [batch, seq, hidden_size]
        if let Some(indices) = indices {
            hidden = rows(hidden, &indices); // [batch, n, hidden_size]
        }
        let logits = self.head(hidden); // [batch, n, vocab_size]
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

    /// The head alone: `hidden` `[batch, seq, hidden_size]` -> `[batch, seq, vocab_size]`, float32
    pub fn head(&self, hidden: Tensor<3>) -> Tensor<3> {
        let logits = match &self.lm_head {
            Some(lm_head) => lm_head.forward(hidden), // [batch, seq, vocab_size]
            None => self.model.embed_tokens().matmul_t(hidden), // [batch, seq, vocab_size]
        };
        logits.cast(DType::F32)
    }

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
}

/// The index of the last token of each sequence in the row.
fn last_of_each(next: &[NextTokens<'_>]) -> Vec<usize> {
    let ends = next.iter().scan(0, |end, next| {
        *end += next.tokens;
        Some(*end)
    });
    ends.map(|end: usize| end.saturating_sub(1)).collect()
}

/// `x` `[batch, seq, hidden_size]` -> `[batch, indices, hidden_size]`
fn rows(x: Tensor<3>, indices: &[usize]) -> Tensor<3> {
    let seq = x.dims()[1];
    let run = indices.windows(2).all(|pair| pair[0] + 1 == pair[1]);
    match indices.first() {
        Some(&0) if run && indices.len() == seq => x,
        Some(&first) if run => x.narrow(1, first, indices.len()),
        _ => {
            let ids: Vec<i32> = indices.iter().map(|&index| index as i32).collect();
            let index = Tensor::<1, Int>::from_data(&ids[..], &x.device());
            x.select(1, index)
        }
    }
}
