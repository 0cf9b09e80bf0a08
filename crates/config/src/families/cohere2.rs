//! Command R7B: one LayerNorm, which attention and MLP both read; interleaved RoPE in sliding layers, none in every
//! fourth, which is full; scaled logits.

use super::field::Field::{Idle, Own};
use super::field::{ATTENTION_BIAS, LOGITS_TIMES};
use super::{Family, llama, windows};
use crate::error::Checked;
use crate::fields::Fields;
use crate::norm::{NormConfig, NormPlacement};
use crate::outline::Outline;
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "Cohere2ForCausalLM",
    max_position_embeddings: 8192,
    bos_token_id: &[5],
    eos_token_id: &[255_001],
    tie_word_embeddings: true,
    norm_eps: ("layer_norm_eps", 1e-5),
    rope: RopeRule { interleaved: true, ..RopeRule::LLAMA },
    differs: |outline| {
        outline.norm = NormConfig::layer(outline.norm.eps, false);
        outline.norms = NormPlacement::Parallel;
        outline.logits_multiplier = 0.0625;
    },
    fields: &[
        ATTENTION_BIAS,
        LOGITS_TIMES.named("logit_scale"),
        Own(read, windows::write_types),
        Idle(
            &[
                "order_of_interleaved_layers",
                "layer_switch",
                "position_embedding_type",
                "rotary_pct",
                "use_embedding_sharing",
                "use_gated_activation",
                "use_parallel_block",
                "use_parallel_embedding",
            ],
            "cohere2 is so in any case",
        ),
    ],
    ignored: &[],
    ..llama::FAMILY
};

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    windows::by_type(fields, outline, 4096, (4, true))?;
    outline.rope_of = outline.windows.iter().map(|window| window.and(Some(0))).collect();
    Ok(())
}
