//! The fields that are one word out of a few.

use std::fmt;

/// The activation in the MLP, between the gate and the product with the up projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Activation {
    /// x · sigmoid(x); Hugging Face's `silu`, also called `swish`.
    Silu,
    /// x · Φ(x) with the exact error function; `gelu`.
    Gelu,
    /// GELU by its tanh approximation; `gelu_pytorch_tanh` or `gelu_new`.
    GeluTanh,
    /// max(x, 0); `relu`.
    Relu,
}

impl Activation {
    pub(crate) const NAMES: &str = "silu (or swish), gelu, gelu_pytorch_tanh (or gelu_new), relu";

    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "silu" | "swish" => Self::Silu,
            "gelu" => Self::Gelu,
            "gelu_pytorch_tanh" | "gelu_new" => Self::GeluTanh,
            "relu" => Self::Relu,
            _ => return None,
        })
    }
}

impl fmt::Display for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Silu => "silu",
            Self::Gelu => "gelu",
            Self::GeluTanh => "gelu_pytorch_tanh",
            Self::Relu => "relu",
        })
    }
}

/// The number format that the checkpoint says its weights have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dtype {
    Float32,
    Float16,
    BFloat16,
}

impl Dtype {
    pub(crate) const NAMES: &str = "float32, float16, bfloat16";

    /// Takes PyTorch's names and their aliases, with or without the `torch.` that some writers
    /// leave in.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        Some(match name.strip_prefix("torch.").unwrap_or(name) {
            "float32" | "float" => Self::Float32,
            "float16" | "half" => Self::Float16,
            "bfloat16" => Self::BFloat16,
            _ => return None,
        })
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Float32 => "float32",
            Self::Float16 => "float16",
            Self::BFloat16 => "bfloat16",
        })
    }
}
