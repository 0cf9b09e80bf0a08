//! A causal language model: the hidden states of [`LlamaModel`](glass_model::LlamaModel) and the head that makes of each
//! of them a score for every token of the vocabulary.

mod llama_for_causal_lm;

pub use llama_for_causal_lm::LlamaForCausalLM;
