//! Gemma 3: Gemma 2 with normalised queries and keys in place of soft caps, every sixth layer full, and a RoPE for each
//! kind of layer.

use serde_json::json;

use super::field::Field::{Idle, Own};
use super::field::{ATTENTION_BIAS, CAUSAL, LOGITS_CAP, QUERY_SCALAR, qk_norm};
use super::{Family, gemma2, windows};
use crate::norm::QkNormOver;
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "Gemma3ForCausalLM",
    vocab_size: Some(262_208),
    num_attention_heads: Some(8),
    max_position_embeddings: 131_072,
    rope: RopeRule { theta: 1e6, sliding_theta: Some(1e4), sliding_theta_in_file: true, ..RopeRule::LLAMA },
    differs: |outline| {
        gemma2::differs(outline);
        qk_norm(outline, QkNormOver::Head);
    },
    fields: &[
        ATTENTION_BIAS,
        CAUSAL,
        QUERY_SCALAR,
        LOGITS_CAP,
        Own(
            |fields, _| {
                fields.idle(&["attn_logit_softcapping"], true, "transformers' gemma3_text does not cap scores");
                Ok(())
            },
            |_| json!({}),
        ),
        Idle(&["hidden_act"], "gemma3_text goes by hidden_activation"),
        Idle(&["_sliding_window_pattern"], "layer_types decides which layers slide"),
        Own(|fields, outline| windows::by_type(fields, outline, 4096, (6, true)), windows::write_types),
    ],
    ..gemma2::FAMILY
};
