//! The three families: what each model type takes for granted without the file saying so.

use std::fmt;

use crate::FieldError;
use crate::error::shown;
use crate::fields::{Fields, boolean};

/// Hugging Face's `model_type`: whose rules fill in what the file leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ModelType {
    Llama,
    Mistral,
    Qwen2,
}

impl ModelType {
    pub(crate) const NAMES: &str = "llama, mistral, qwen2";

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "llama" => Self::Llama,
            "mistral" => Self::Mistral,
            "qwen2" => Self::Qwen2,
            _ => return None,
        })
    }

    /// The class that transformers loads such a checkpoint into.
    pub(crate) fn architecture(self) -> &'static str {
        match self {
            Self::Llama => "LlamaForCausalLM",
            Self::Mistral => "MistralForCausalLM",
            Self::Qwen2 => "Qwen2ForCausalLM",
        }
    }
}

impl fmt::Display for ModelType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Llama => "llama",
            Self::Mistral => "mistral",
            Self::Qwen2 => "qwen2",
        })
    }
}

/// The values of absent fields, where the families differ (transformers'
/// `configuration_{family}.py`).
pub(crate) struct Defaults {
    /// `None`: as many as query heads.
    pub num_key_value_heads: Option<usize>,
    pub max_position_embeddings: usize,
    pub bos_token_id: Option<u32>,
    pub eos_token_id: &'static [u32],
}

impl ModelType {
    pub(crate) fn defaults(self) -> Defaults {
        match self {
            Self::Llama => Defaults {
                num_key_value_heads: None,
                max_position_embeddings: 2048,
                bos_token_id: Some(1),
                eos_token_id: &[2],
            },
            Self::Mistral => Defaults {
                num_key_value_heads: Some(8),
                max_position_embeddings: 131_072,
                bos_token_id: Some(1),
                eos_token_id: &[2],
            },
            Self::Qwen2 => Defaults {
                num_key_value_heads: Some(32),
                max_position_embeddings: 32_768,
                bos_token_id: None,
                eos_token_id: &[],
            },
        }
    }
}

/// Which projections add a bias to their product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bias {
    /// `q_proj`, `k_proj` and `v_proj`.
    pub q_k_v: bool,
    /// `o_proj`.
    pub o: bool,
    /// `gate_proj`, `up_proj` and `down_proj`.
    pub mlp: bool,
}

impl Bias {
    /// Llama's two switches; Mistral never has a bias and Qwen2 always has q, k and v's, whatever
    /// the file says, so a file that says otherwise is refused.
    pub(crate) fn read(model_type: ModelType, fields: &mut Fields) -> Result<Self, FieldError> {
        let attention = fields.nullable("attention_bias", boolean)?.some();
        let mlp = fields.nullable("mlp_bias", boolean)?.some();
        let refuse = |field: &str, fields: &Fields, why: &str| {
            let value = fields.value(field).map(shown).unwrap_or_default();
            Err(FieldError::Unsupported {
                field: field.to_owned(),
                value,
                why: format!("{why}; set it to null to follow the family, or correct model_type"),
            })
        };
        match model_type {
            ModelType::Llama => {
                let attention = attention.unwrap_or(false);
                Ok(Self {
                    q_k_v: attention,
                    o: attention,
                    mlp: mlp.unwrap_or(false),
                })
            }
            ModelType::Mistral if attention == Some(true) => refuse(
                "attention_bias",
                fields,
                "mistral's attention has no biases",
            ),
            ModelType::Qwen2 if attention == Some(false) => refuse(
                "attention_bias",
                fields,
                "qwen2's attention always has biases on q, k and v",
            ),
            ModelType::Mistral | ModelType::Qwen2 if mlp == Some(true) => refuse(
                "mlp_bias",
                fields,
                &format!("{model_type}'s MLP has no biases"),
            ),
            ModelType::Mistral | ModelType::Qwen2 => Ok(Self {
                q_k_v: model_type == ModelType::Qwen2,
                o: false,
                mlp: false,
            }),
        }
    }

    /// Whether the family has such models at all.
    pub(crate) fn belongs_to(self, model_type: ModelType) -> bool {
        match model_type {
            ModelType::Llama => self.q_k_v == self.o,
            ModelType::Mistral => !(self.q_k_v || self.o || self.mlp),
            ModelType::Qwen2 => self.q_k_v && !self.o && !self.mlp,
        }
    }
}
