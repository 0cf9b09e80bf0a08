//! Tensors that are in a file and are no weights: what a module keeps beside them, and what follows from the config.

use safetensors::Dtype;

use crate::RawTensor;

/// Modules that rotate, and have no weights.
const ROTATES: [&str; 3] = ["rotary_emb", "rotary_pos_emb", "rotary_embedding"];

/// Tables of the rotation, which follow from the config. Beside them `inv_freq` under any first word.
const ROTATION: [&str; 8] =
    ["cos_cached", "sin_cached", "cos_cache", "sin_cache", "cos_sin_cache", "freqs_cis", "freqs_cos", "freqs_sin"];

/// Scales for a KV cache in few bits, and for what is multiplied with it. The cache here has the model's dtype.
const CACHE: [&str; 9] = [
    "k_scale",
    "v_scale",
    "kv_scale",
    "q_scale",
    "prob_scale",
    "k_zero_point",
    "v_zero_point",
    "kv_cache_scaling_factor",
    "kv_cache_scale",
];

/// Modules of a model of text and images that text does not pass.
const IMAGES: [&str; 4] = ["vision_tower", "vision_model", "multi_modal_projector", "vision_encoder"];

/// Whether the model computes the same without this tensor, which no module asked for.
pub(crate) fn is_idle(name: &str, tensor: &RawTensor) -> bool {
    if name.split('.').any(|segment| IMAGES.contains(&segment)) {
        return true;
    }
    let mut segments = name.rsplit('.');
    let (leaf, module) = (segments.next().unwrap_or_default(), segments.next().unwrap_or_default());
    match leaf {
        _ if ROTATES.contains(&module) => true,
        _ if leaf.ends_with("inv_freq") || ROTATION.contains(&leaf) || CACHE.contains(&leaf) => true,
        "freqs" => module == "rope",
        // What calibration noted of the keys and values, for such a cache.
        "output_scale" => module == "k_proj" || module == "v_proj",
        // GPT-2's and GPT-NeoX's triangle of ones, and what is put where it is zero.
        "bias" | "mask" | "causal_mask" | "attn_mask" | "tril" => is_square(tensor.shape),
        "masked_bias" => tensor.shape.iter().all(|&n| n == 1),
        "position_ids" => matches!(tensor.dtype, Dtype::I64 | Dtype::I32),
        // TransformerEngine's account of its own 8-bit products.
        "_extra_state" => true,
        _ => false,
    }
}

/// `[1, 1, n, n]`, as no bias is.
fn is_square(shape: &[usize]) -> bool {
    match shape {
        [ones @ .., rows, columns] => rows == columns && ones.iter().all(|&n| n == 1),
        _ => false,
    }
}
