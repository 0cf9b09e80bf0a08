//! What is measured against position: ways to remember a text, and kinds of model.

use glass_backend::{Device, Dtype};
use glass_bench::{SEED, random_model};
use glass_config::LlamaConfig;
use glass_generate::Llama;

use crate::reader::{Outcome, Reader};

/// One that is measured: a model, and what it keeps of a text.
pub struct Contender {
    pub name: &'static str,
    llama: Llama,
    /// `None`: what the model's config asks for.
    policy: Option<&'static str>,
}

impl Contender {
    /// # Errors
    /// No such policy, or not for this model.
    pub fn reader(&self) -> Outcome<Reader<'_>> {
        Reader::new(&self.llama, self.name, self.policy)
    }

    /// One behind a text of so many tokens, whose caches hold drawn numbers in place of what reading it would have left.
    ///
    /// # Errors
    /// As [`reader`](Self::reader).
    pub fn reader_behind(&self, tokens: usize) -> Outcome<Reader<'_>> {
        Reader::behind(&self.llama, self.name, self.policy, tokens)
    }
}

/// Contenders, and what they have in common.
#[derive(Clone, Copy)]
pub struct Field {
    /// The window of all that have one. The first contender at this position is what the others are compared with.
    pub window: usize,
    pub about: &'static str,
    contenders: &'static [(&'static str, &'static str, Option<&'static str>)],
}

const LLAMA: &str = r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 256, "intermediate_size": 704,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2,
    "tie_word_embeddings": true, "max_position_embeddings": 262144}"#;

/// Cache policies of one small Llama. Every layer attends fully but for what its policy forgets.
pub const POLICIES: Field = Field {
    window: 256,
    about: "hidden 256, 4 layers",
    contenders: &[
        ("ring:256", LLAMA, Some("ring:256")),
        ("sinks:4+252", LLAMA, Some("sinks:4+252")),
        ("full", LLAMA, Some("full")),
    ],
};

/// Kinds of model, each of 50 to 54 M parameters: as many layers as that makes.
pub const MIXERS: Field = Field {
    window: 2048,
    about: "hidden 640, 50 to 54 M parameters",
    contenders: &[
        (
            "window",
            r#"{"model_type": "mistral", "vocab_size": 512, "hidden_size": 640, "intermediate_size": 1728,
                "num_hidden_layers": 12, "num_attention_heads": 10, "num_key_value_heads": 2, "sliding_window": 2048,
                "tie_word_embeddings": true, "max_position_embeddings": 262144}"#,
            None,
        ),
        (
            "full",
            r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 640, "intermediate_size": 1728,
                "num_hidden_layers": 12, "num_attention_heads": 10, "num_key_value_heads": 2,
                "tie_word_embeddings": true, "max_position_embeddings": 262144}"#,
            None,
        ),
        ("mamba", r#"{"model_type": "mamba", "vocab_size": 512, "hidden_size": 640, "num_hidden_layers": 20}"#, None),
        (
            "mamba2",
            r#"{"model_type": "mamba2", "vocab_size": 512, "hidden_size": 640, "num_heads": 20, "head_dim": 64, "n_groups": 1,
                "state_size": 128, "num_hidden_layers": 19, "tie_word_embeddings": true}"#,
            None,
        ),
        (
            "samba",
            r#"{"model_type": "samba", "vocab_size": 512, "hidden_size": 640, "intermediate_size": 1728,
                "num_hidden_layers": 10, "num_attention_heads": 10, "num_key_value_heads": 2, "sliding_window": 2048,
                "tie_word_embeddings": true, "max_position_embeddings": 262144}"#,
            None,
        ),
        (
            "retnet",
            r#"{"model_type": "retnet", "vocab_size": 512, "decoder_embed_dim": 640, "decoder_ffn_embed_dim": 1728,
                "decoder_layers": 8, "decoder_retention_heads": 5, "decoder_value_embed_dim": 1280,
                "share_decoder_input_output_embed": true, "max_target_positions": 262144}"#,
            None,
        ),
    ],
};

impl Field {
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        self.contenders.iter().map(|(name, ..)| *name)
    }

    /// # Errors
    /// The device cannot hold them.
    pub fn open(self, device: &Device) -> Outcome<Vec<Contender>> {
        let contenders = self.contenders.iter().map(|&(name, config, policy)| -> Outcome<Contender> {
            let config = LlamaConfig::from_json(config, name, &[])?;
            Ok(Contender { name, llama: random_model(&config, device, Dtype::F32.into(), SEED)?, policy })
        });
        contenders.collect()
    }
}
