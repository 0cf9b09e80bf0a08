//! The reverse: the keys of a model, and whether a file says the same model.

use std::num::NonZeroUsize;

use glass_gguf::{Gguf, Metadata, Value};

use super::{WINDOW, rope};
use crate::error::ConfigError;
use crate::layer::{AttentionConfig, LayerConfig, MlpConfig};
use crate::llama_config::LlamaConfig;
use crate::rope::RopeParameters;

/// How far apart angles may be that went through 32 bits.
const NEAR: f64 = 1e-6;

impl LlamaConfig {
    /// Adds the keys of this model, and returns the tensors with which its positions are said. What the architecture has no
    /// key for is not said: [`is_said_by_gguf`](Self::is_said_by_gguf) finds that out.
    ///
    /// # Errors
    /// One line: GGUF has no architecture for the family, or no words for its layers.
    pub fn write_gguf(&self, metadata: &mut Metadata) -> Result<Vec<(&'static str, Vec<f32>)>, ConfigError> {
        let origin = metadata.origin().display().to_string();
        let problem = |what: String| ConfigError::new(&origin, format!("{what}; keep the folder as it is"));
        let architecture = self.gguf_architecture().ok_or_else(|| {
            problem(format!("GGUF files of model_type {} are neither written nor read", self.model_type))
        })?;
        let first = self.layers.first().and_then(|layer| Some((layer, layer.attention()?)));
        let (layer, attention) = first.ok_or_else(|| problem("GGUF has no models without layers".to_owned()))?;
        let is_sparse = |layer: &LayerConfig| matches!(layer.mlp, Some(MlpConfig::Experts(_)));
        if self.layers.iter().any(|other| is_sparse(other) != is_sparse(layer)) {
            return Err(problem("GGUF has no words for layers without experts beside others".to_owned()));
        }
        let name = architecture.name();
        metadata.insert("general.architecture", name);
        let mut set = |key: &str, value: Value| {
            metadata.insert(format!("{name}.{key}"), value);
        };
        set("vocab_size", size(self.vocab_size));
        set("context_length", size(self.max_position_embeddings));
        set("embedding_length", size(self.hidden_size));
        set("block_count", size(self.layers.len()));
        set("attention.head_count", size(attention.num_attention_heads));
        set("attention.head_count_kv", size(attention.num_key_value_heads));
        set("attention.key_length", size(attention.head_dim));
        set("attention.value_length", size(attention.head_dim));
        set("attention.layer_norm_rms_epsilon", float(self.norm.eps));
        match &layer.mlp {
            Some(MlpConfig::Dense(mlp)) => set("feed_forward_length", size(mlp.intermediate_size)),
            Some(MlpConfig::Experts(experts)) => {
                set("feed_forward_length", size(experts.expert.intermediate_size));
                set("expert_feed_forward_length", size(experts.expert.intermediate_size));
                set("expert_count", size(experts.num_experts));
                set("expert_used_count", size(experts.num_experts_per_tok));
            }
            None => {}
        }
        if let Some(window) = self.window().filter(|_| name != "llama") {
            set("attention.sliding_window", size(window.get()));
            let attention = self.layers.iter().filter_map(LayerConfig::attention);
            let slides: Vec<bool> = attention.map(|attention| attention.window.is_some()).collect();
            // Phi-3's layers are all alike.
            if name != "phi3" {
                set("attention.sliding_window_pattern", slides.into());
            }
        }
        for (key, cap) in
            [("attn_logit_softcapping", attention.soft_cap), ("final_logit_softcapping", self.logits_soft_cap)]
        {
            cap.into_iter().for_each(|cap| set(key, float(cap)));
        }
        if name == "granite" {
            set("attention.scale", float(attention.scale));
            set("embedding_scale", float(self.embedding_multiplier));
            set("residual_scale", float(layer.residual_multiplier));
            set("logit_scale", float(1.0 / self.logits_multiplier));
        }
        let [rope, others @ ..] = &self.ropes[..] else { return Ok(Vec::new()) };
        set("rope.dimension_count", size(rope.rotary_dim(attention.head_dim)));
        if let [local, ..] = others {
            set("rope.freq_base_swa", float(local.rope_theta));
        }
        rope::write(rope, attention.head_dim, set).map_err(problem)
    }

    /// Whether a file that [`write_gguf`](Self::write_gguf) made says this model. The window of a Mistral, which GGUF has no key
    /// for, may be said beside it.
    ///
    /// # Errors
    /// One line that names what differs.
    pub fn is_said_by_gguf(&self, file: &Gguf) -> Result<(), ConfigError> {
        let window = match self.gguf_window() {
            Some(window) => vec![format!("{WINDOW}={window}").parse()?],
            None => Vec::new(),
        };
        let read = Self::from_gguf(file, &window)?;
        let differs = |what: &str| {
            let problem = format!("GGUF has no words for {what} of this model; keep the folder as it is");
            Err(ConfigError::new("config.json", problem))
        };
        for (what, same) in [
            ("the sizes", (self.vocab_size, self.hidden_size) == (read.vocab_size, read.hidden_size)),
            ("the number of layers", self.layers.len() == read.layers.len()),
            ("the length", self.max_position_embeddings == read.max_position_embeddings),
            ("the norms", self.norm == read.norm),
            ("the scale of the embedding", self.embedding_scale == read.embedding_scale),
            ("the multiplier of the embedding", near(self.embedding_multiplier, read.embedding_multiplier)),
            ("the multiplier of the logits", near(self.logits_multiplier, read.logits_multiplier)),
            ("the cap of the logits", self.logits_soft_cap == read.logits_soft_cap),
            ("the tie of the head", self.tie_word_embeddings == read.tie_word_embeddings),
            ("the rotations", self.ropes.len() == read.ropes.len()),
        ] {
            if !same {
                return differs(what);
            }
        }
        for (number, (ours, read)) in self.layers.iter().zip(&read.layers).enumerate() {
            if ours != read {
                return differs(&format!("layer {number} ({})", what_differs(ours, read)));
            }
        }
        let head_dim = self.layers.iter().find_map(LayerConfig::attention).map_or(0, |attention| attention.head_dim);
        let lengths = [1, self.max_position_embeddings];
        let same = self
            .ropes
            .iter()
            .zip(&read.ropes)
            .all(|(ours, read)| lengths.iter().all(|&length| same_angles(ours, read, head_dim, length)));
        if same { Ok(()) } else { differs("the scaling of positions") }
    }

    /// The window that has to be said beside a GGUF file, because it has no key for it.
    pub fn gguf_window(&self) -> Option<NonZeroUsize> {
        self.window().filter(|_| self.gguf_architecture().is_some_and(|architecture| architecture.name() == "llama"))
    }

    /// The window of the layers that have one.
    fn window(&self) -> Option<NonZeroUsize> {
        self.layers.iter().find_map(|layer| layer.attention()?.window)
    }
}

fn what_differs(ours: &LayerConfig, read: &LayerConfig) -> &'static str {
    let attention = |layer: &LayerConfig| layer.attention().copied();
    match (attention(ours), attention(read)) {
        (Some(ours), Some(read)) if ours != read => {
            if ours.window != read.window {
                "its window"
            } else if ours.dual_chunk != read.dual_chunk {
                "its chunks of positions"
            } else if ours.scale != read.scale {
                "the scale of its scores"
            } else if (AttentionConfig { rope: None, ..ours }) == (AttentionConfig { rope: None, ..read }) {
                "whether it rotates"
            } else {
                "its attention"
            }
        }
        _ if ours.mlp != read.mlp => "its MLP",
        _ => "its norms or multipliers",
    }
}

fn same_angles(ours: &RopeParameters, read: &RopeParameters, head_dim: usize, length: usize) -> bool {
    let (first, second) = (ours.inv_freq(head_dim, length), read.inv_freq(head_dim, length));
    ours.interleaved == read.interleaved
        && first.len() == second.len()
        && first.iter().zip(&second).all(|(first, second)| near(*first, *second))
        && near(ours.attention_scaling(), read.attention_scaling())
}

fn near(ours: f64, read: f64) -> bool {
    (ours - read).abs() <= NEAR * ours.abs()
}

/// Sizes have 32 bits in files; larger ones are no models.
fn size(size: usize) -> Value {
    u32::try_from(size).map_or_else(|_| Value::U64(size as u64), Value::U32)
}

pub(super) fn float(number: f64) -> Value {
    Value::F32(number as f32)
}
