//! Qwen2: biases on q, k and v; under `use_sliding_window`, a window in the layers that `layer_types` names, or
//! without it in the layers from `max_window_layers` on.

use super::field::Field::{self, Fixed, Own};
use super::{Family, llama, windows};

pub(super) const FAMILY: Family = Family {
    architecture: "Qwen2ForCausalLM",
    num_key_value_heads: Some(32),
    max_position_embeddings: 32_768,
    bos_token_id: &[],
    eos_token_id: &[],
    differs: |outline| outline.attention.bias.q_k_v = true,
    fields: &[
        Fixed("attention_bias", true, "qwen2's attention always has biases on q, k and v"),
        Fixed("mlp_bias", false, "qwen2's MLP has no biases"),
        WINDOWS,
    ],
    ignored: &[],
    ..llama::FAMILY
};

/// The first `max_window_layers` layers are full, the others slide.
pub(super) const WINDOWS: Field = Own(
    |fields, outline| windows::qwen(fields, outline, |layer, full_layers| layer >= full_layers),
    windows::write_qwen,
);
