//! RecurrentGemma: Griffin's recurrent blocks and, once in a while, attention to a window; the rest is Gemma's.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use super::field::Field::{Cap, Idle, Own};
use super::field::QKV_BIAS;
use super::mamba::KERNEL;
use super::{Family, gemma, windows};
use crate::error::Checked;
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::names::TensorName::Named;
use crate::outline::Outline;
use crate::recurrent::RgLruConfig;
use crate::rope::RopeRule;
use crate::values::{Activation, Rule, SIZE, WINDOW};

pub(super) const FAMILY: Family = Family {
    architecture: "RecurrentGemmaForCausalLM",
    renamed: &[("attention_window_size", "sliding_window")],
    vocab_size: Some(256_000),
    num_attention_heads: Some(10),
    num_key_value_heads: None,
    head_dim: None,
    // Nothing ends a text: attention sees a window, and the recurrence has no positions.
    max_position_embeddings: 1 << 20,
    activation: ("hidden_activation", Activation::GeluTanh),
    rope: RopeRule { partial: Some(0.5), types: &["default"], ..RopeRule::LLAMA },
    differs: |outline| {
        outline.norm = outline.norm.one_plus();
        // In all types of weights this is a number of bfloat16.
        outline.embedding_multiplier = bfloat16((outline.hidden_size as f32).sqrt());
        outline.attention.bias.o = true;
        outline.mlp.bias = true;
        outline.logits_soft_cap = Some(30.0);
    },
    fields: &[
        QKV_BIAS,
        Own(read, write),
        Cap("logits_soft_cap", |outline| outline.logits_soft_cap, |outline, cap| outline.logits_soft_cap = cap),
        Idle(&["rotary_emb_base"], "recurrent_gemma goes by rope_theta"),
        Idle(&["hidden_act"], "recurrent_gemma goes by hidden_activation"),
        Idle(
            &["w_init_variance_scale", "final_w_init_variance_scale", "embeddings_scale_by_sqrt_dim"],
            "it has no part in running a model",
        ),
    ],
    names: &[
        Named("model.norm", "model.final_norm"),
        Named("input_layernorm", "temporal_pre_norm"),
        Named("post_attention_layernorm", "channel_pre_norm"),
        Named("mlp", "mlp_block"),
        Named("self_attn", "temporal_block"),
        Named("mixer.conv1d", "mixer.conv_1d"),
        Named("rg_lru.input_gate.weight", "rg_lru.input_gate_weight"),
        Named("rg_lru.input_gate.bias", "rg_lru.input_gate_bias"),
        Named("rg_lru.recurrent_gate.weight", "rg_lru.recurrent_gate_weight"),
        Named("rg_lru.recurrent_gate.bias", "rg_lru.recurrent_gate_bias"),
        Named("mixer", "temporal_block"),
    ],
    ..gemma::FAMILY
};

/// Whether a block attends.
const BLOCK: Rule<bool> = Rule("must be recurrent or attention", |value| match value.as_str()? {
    "attention" => Some(true),
    "recurrent" => Some(false),
    _ => None,
});

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    windows::whole_heads(fields, outline)?;
    // The file says the width of gate and up together.
    let both = outline.mlp.intermediate_size;
    let rule = "must be at least 2, for gate and up have half of it each";
    fields.check(both >= 2, "intermediate_size", both, rule)?;
    outline.mlp.intermediate_size = both / 2;

    let heads = outline.attention.num_attention_heads;
    let width = fields.optional("lru_width", SIZE, None)?.unwrap_or(outline.hidden_size);
    let rule = format!("must be a multiple of num_attention_heads ({heads}), which is the number of its blocks");
    fields.check(width.is_multiple_of(heads), "lru_width", width, rule)?;
    let lru = RgLruConfig {
        width,
        num_blocks: heads,
        conv_kernel: fields.get("conv1d_width", KERNEL, 4)?,
        hidden_act: outline.mlp.hidden_act,
    };
    let attends = fields.list("block_types", BLOCK)?.unwrap_or_else(|| vec![false, false, true]);
    fields.check(!attends.is_empty(), "block_types", "[]", "must have at least one entry")?;
    let attends = |i: usize| attends[i % attends.len()];
    outline.recurrent(MixerConfig::RgLru(lru), |i| !attends(i));
    let window = fields.get("sliding_window", WINDOW, ABSENT_WINDOW)?;
    outline.windows = (0..outline.windows.len()).map(|i| attends(i).then_some(window)).collect();
    Ok(())
}

const ABSENT_WINDOW: NonZeroUsize = NonZeroUsize::MIN.saturating_add(2047);

fn write(outline: &Outline) -> Value {
    let block = |recurrent: &bool| if *recurrent { "recurrent" } else { "attention" };
    let mut file = json!({
        "attention_window_size": outline.window().unwrap_or(ABSENT_WINDOW),
        "block_types": outline.is_recurrent.iter().map(block).collect::<Vec<_>>(),
        "intermediate_size": outline.mlp.intermediate_size * 2,
    });
    if let Some(MixerConfig::RgLru(lru)) = outline.recurrent_mixer() {
        file["conv1d_width"] = json!(lru.conv_kernel);
        file["lru_width"] = json!(lru.width);
        // The blocks are as many as the heads, if any layer attends.
        file["num_attention_heads"] = json!(lru.num_blocks);
        file["head_dim"] = json!(outline.hidden_size / lru.num_blocks);
    }
    file
}

/// The nearest number of bfloat16, of two alike near the even one.
fn bfloat16(x: f32) -> f64 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) & 0xffff_0000;
    f64::from(f32::from_bits(rounded))
}
