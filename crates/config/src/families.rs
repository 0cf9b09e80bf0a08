//! The families: what each model type takes for granted without the file saying so.
//!
//! A family is one file: its defaults, what differs from a Llama, its fields and its names of tensors. No layer asks for
//! the family.

mod apertus;
mod arcee;
mod cohere2;
mod exaone;
mod exaone4;
mod experts;
mod falcon_mamba;
mod field;
mod gemma;
mod gemma2;
mod gemma3_text;
mod glm;
mod glm4;
mod gpt_oss;
mod granite;
mod helium;
mod hyperclovax;
mod jamba;
mod llama;
mod mamba;
mod mamba2;
mod ministral3;
mod mistral;
mod mixtral;
mod nemotron;
mod olmo2;
mod olmo3;
mod phi3;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod qwen3_moe;
mod recurrent_gemma;
mod retnet;
mod samba;
mod seed_oss;
mod smollm3;
mod stablelm;
mod starcoder2;
mod windows;

use crate::fields::{Name, Row};
use crate::names::TensorName;
use crate::outline::Outline;
use crate::rope::RopeRule;
use crate::values::{Activation, words};
pub(crate) use field::Field;

/// Each family's variant, its module, and its word in files.
macro_rules! families {
    ($first:ident = $first_word:literal in $first_module:ident,
        $($family:ident = $word:literal in $module:ident),* $(,)?) => {
        /// Hugging Face's `model_type`: whose rules fill in what the file leaves out.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum ModelType { $first, $($family),* }

        words! {
            ModelType, concat!("must be one of ", $first_word, $(", ", $word),*),
            $first = $first_word, $($family = $word),*
        }

        impl ModelType {
            /// Every family.
            pub const ALL: &[Self] = &[Self::$first, $(Self::$family),*];

            pub(crate) fn family(self) -> &'static Family {
                match self {
                    Self::$first => &$first_module::FAMILY,
                    $(Self::$family => &$module::FAMILY),*
                }
            }
        }
    };
}

families! {
    Llama = "llama" in llama,
    Mistral = "mistral" in mistral,
    Qwen2 = "qwen2" in qwen2,
    Qwen3 = "qwen3" in qwen3,
    Gemma = "gemma" in gemma,
    Gemma2 = "gemma2" in gemma2,
    Gemma3Text = "gemma3_text" in gemma3_text,
    SmolLm3 = "smollm3" in smollm3,
    Phi3 = "phi3" in phi3,
    Exaone = "exaone" in exaone,
    Exaone4 = "exaone4" in exaone4,
    HyperClovaX = "hyperclovax" in hyperclovax,
    Olmo2 = "olmo2" in olmo2,
    Olmo3 = "olmo3" in olmo3,
    Granite = "granite" in granite,
    Ministral3 = "ministral3" in ministral3,
    Mixtral = "mixtral" in mixtral,
    Qwen2Moe = "qwen2_moe" in qwen2_moe,
    Qwen3Moe = "qwen3_moe" in qwen3_moe,
    GptOss = "gpt_oss" in gpt_oss,
    Cohere2 = "cohere2" in cohere2,
    Glm = "glm" in glm,
    Glm4 = "glm4" in glm4,
    StableLm = "stablelm" in stablelm,
    Starcoder2 = "starcoder2" in starcoder2,
    Arcee = "arcee" in arcee,
    SeedOss = "seed_oss" in seed_oss,
    Helium = "helium" in helium,
    Nemotron = "nemotron" in nemotron,
    Apertus = "apertus" in apertus,
    Mamba = "mamba" in mamba,
    Samba = "samba" in samba,
    RetNet = "retnet" in retnet,
    FalconMamba = "falcon_mamba" in falcon_mamba,
    Mamba2 = "mamba2" in mamba2,
    Jamba = "jamba" in jamba,
    RecurrentGemma = "recurrent_gemma" in recurrent_gemma,
}

/// What the classes of one family in transformers hard-wire (`configuration_{family}.py`, `modeling_{family}.py`). Each
/// says what differs from Llama's, whose rest it takes.
pub(crate) struct Family {
    /// The class that transformers loads such a checkpoint into.
    pub architecture: &'static str,
    /// Whether a layer of it may be attention; else no field of attention is read, nor of positions.
    pub attention: bool,
    /// Whether its layers have MLPs.
    pub mlp: bool,
    /// Fields that Llama's file calls otherwise: the family's name, and Llama's.
    pub renamed: &'static [(&'static str, Name)],
    /// Values of absent fields. `None`: the file must have it, or (of `head_dim` and `num_key_value_heads`) it follows
    /// from others.
    pub vocab_size: Option<usize>,
    pub num_attention_heads: Option<usize>,
    pub num_key_value_heads: Option<usize>,
    pub head_dim: Option<usize>,
    pub max_position_embeddings: usize,
    pub bos_token_id: &'static [u32],
    pub eos_token_id: &'static [u32],
    pub tie_word_embeddings: bool,
    /// The activation's field, and what is absent.
    pub activation: (Name, Activation),
    /// The field of what is added under the roots of norms, and what is absent.
    pub norm_eps: (Name, f64),
    pub rope: RopeRule,
    /// Whether a text that grows to where its RoPE takes other angles is read again from its beginning.
    pub rereads: bool,
    /// What is fixed in the family, or holds where the fields say nothing.
    pub differs: fn(&mut Outline),
    /// The fields that it has beside those of every family.
    pub fields: &'static [Field],
    /// Fields of other families without effect in this one, and their values that need no warning.
    pub ignored: &'static [Row<'static, Outline>],
    /// What its files call otherwise than Llama's do.
    pub names: &'static [TensorName],
}

impl Family {
    /// Whether its experts may be in MXFP4.
    pub fn has_mxfp4(&self) -> bool {
        self.names.iter().any(|name| matches!(name, TensorName::Interleaved))
    }
}
