//! Jamba: Mamba and, once in a period, attention without positions; experts in some layers.

use serde_json::{Value, json};

use super::experts::{self, Absent};
use super::field::Field::{Idle, Own};
use super::mamba::{self, KERNEL, RANK};
use super::{Family, llama, windows};
use crate::error::{Checked, FieldError};
use crate::fields::{Fields, Name};
use crate::layer::{MixerConfig, RouterConfig, RouterWeights};
use crate::names::TensorName::Named;
use crate::outline::Outline;
use crate::recurrent::{MambaConfig, TimeStepConfig};
use crate::rope::RopeRule;
use crate::values::{COUNT, Rule, SIZE, SWITCH};

pub(super) const FAMILY: Family = Family {
    architecture: "JambaForCausalLM",
    renamed: &[("num_local_experts", "num_experts")],
    vocab_size: Some(65_536),
    num_attention_heads: Some(32),
    num_key_value_heads: Some(8),
    max_position_embeddings: 262_144,
    rope: RopeRule { types: &[], ..RopeRule::LLAMA },
    fields: &[
        Own(read_mixers, write_mixers),
        Own(read_experts, write_experts),
        experts::TRAINING,
        mamba::OF_CODE,
        Idle(&["mamba_inner_layernorms"], "jamba always has them"),
        Idle(&["calc_logits_for_entire_prompt", "num_logits_to_keep", "n_ctx"], "it has no part in running a model"),
    ],
    names: &[
        Named("model.norm", "model.final_layernorm"),
        Named("post_attention_layernorm", "pre_ff_layernorm"),
        Named("mlp.gate", "feed_forward.router"),
        Named("mlp", "feed_forward"),
        Named("mixer.a_log", "mixer.A_log"),
        Named("mixer.d", "mixer.D"),
        Named("mixer", "mamba"),
    ],
    ..llama::FAMILY
};

const ABSENT: Absent = Absent { name: "num_experts", num_experts: 16, num_experts_per_tok: 2 };

/// What lists of layers call them; true: attention.
const BLOCK: Rule<bool> =
    Rule("must be attention (or full_attention) or mamba (or linear_attention)", |value| match value.as_str()? {
        "attention" | "full_attention" => Some(true),
        "mamba" | "linear_attention" => Some(false),
        _ => None,
    });

/// The layers i with i mod period = offset.
#[derive(Clone, Copy)]
struct Every {
    period: usize,
    offset: usize,
}

impl Every {
    fn read(fields: &mut Fields, names: [Name; 2], absent: Self) -> Checked<Self> {
        let [period_name, offset_name] = names;
        let period = fields.get(period_name, SIZE, absent.period)?;
        let offset = fields.get(offset_name, COUNT, absent.offset)?;
        let rule = format!("must be below {period_name} ({period})");
        fields.check(offset < period, offset_name, offset, rule)?;
        Ok(Self { period, offset })
    }

    /// The rule that names these layers and no others, if there is one.
    fn of(layers: &[bool]) -> Self {
        let mut those = layers.iter().enumerate().filter_map(|(i, is)| is.then_some(i));
        let offset = those.next().unwrap_or(layers.len());
        let period = those.next().map_or(layers.len() + 1, |second| second - offset);
        Self { period, offset }
    }

    fn has(self, layer: usize) -> bool {
        layer % self.period == self.offset
    }
}

fn read_mixers(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let hidden_size = outline.hidden_size;
    let layers = outline.windows.len();
    let names = ["attn_layer_period", "attn_layer_offset"];
    let attends = Every::read(fields, names, Every { period: 8, offset: 4 })?;
    for name in ["layers_block_type", "layer_types"] {
        let blocks = windows::per_layer(fields, name, BLOCK, layers)?.unwrap_or_default();
        if let Some(i) = blocks.iter().enumerate().position(|(i, &block)| block != attends.has(i)) {
            let (given, said) = if blocks[i] { ("attention", "mamba") } else { ("mamba", "attention") };
            let rule = format!("attn_layer_period and attn_layer_offset say {said}; remove {name}, or correct them");
            return Err(FieldError::invalid(&format!("{name}[{i}]"), given, rule));
        }
    }
    let expand = fields.get("mamba_expand", SIZE, 2)?;
    let mamba = MambaConfig {
        intermediate_size: expand.saturating_mul(hidden_size),
        state_size: fields.get("mamba_d_state", SIZE, 16)?,
        conv_kernel: fields.get("mamba_d_conv", KERNEL, 4)?,
        time_step_rank: fields.get("mamba_dt_rank", RANK, None)?.unwrap_or(hidden_size.div_ceil(16)),
        use_bias: fields.get("mamba_proj_bias", SWITCH, false)?,
        use_conv_bias: fields.get("mamba_conv_bias", SWITCH, true)?,
        hidden_act: outline.mlp.hidden_act,
        inner_norm: Some(outline.norm),
        time_step: TimeStepConfig::MAMBA,
    };
    outline.recurrent(MixerConfig::Mamba(mamba), |i| !attends.has(i));
    Ok(())
}

fn write_mixers(outline: &Outline) -> Value {
    let attends: Vec<bool> = outline.is_recurrent.iter().map(|recurrent| !recurrent).collect();
    let Every { period, offset } = Every::of(&attends);
    let mut file = json!({ "attn_layer_period": period, "attn_layer_offset": offset });
    if let Some(MixerConfig::Mamba(mamba)) = outline.recurrent_mixer() {
        file["mamba_expand"] = mamba::expand(mamba.intermediate_size, outline.hidden_size);
        file["mamba_d_state"] = json!(mamba.state_size);
        file["mamba_d_conv"] = json!(mamba.conv_kernel);
        file["mamba_dt_rank"] = json!(mamba.time_step_rank);
        file["mamba_proj_bias"] = json!(mamba.use_bias);
        file["mamba_conv_bias"] = json!(mamba.use_conv_bias);
    }
    file
}

fn read_experts(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    // One expert is an MLP like any other.
    if fields.get(ABSENT.name, COUNT, ABSENT.num_experts)? > 1 {
        let router = RouterConfig { weights: RouterWeights::SoftmaxAll, bias: false };
        experts::read(fields, outline, ABSENT, outline.mlp, router)?;
    }
    let names = ["expert_layer_period", "expert_layer_offset"];
    let sparse = Every::read(fields, names, Every { period: 2, offset: 1 })?;
    let layers = 0..outline.sparse.len();
    outline.sparse = layers.map(|i| outline.experts.is_some() && sparse.has(i)).collect();
    if !outline.sparse.contains(&true) {
        outline.experts = None;
        let why = "no layer has experts, by num_experts, expert_layer_period and expert_layer_offset";
        fields.idle(&["num_experts_per_tok"], false, why);
    }
    Ok(())
}

fn write_experts(outline: &Outline) -> Value {
    let Every { period, offset } = Every::of(&outline.sparse);
    let mut file = experts::write(outline, ABSENT.name);
    if outline.experts.is_none() {
        file[ABSENT.name] = json!(1);
        file["num_experts_per_tok"] = json!(1);
    }
    file["expert_layer_period"] = json!(period);
    file["expert_layer_offset"] = json!(offset);
    file
}
