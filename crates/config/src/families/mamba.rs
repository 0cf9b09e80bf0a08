//! Mamba: a selective state space in each layer, and nothing else.

use serde_json::{Value, json};

use super::field::Field::{Idle, Own};
use super::{Family, llama};
use crate::error::Checked;
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::names::TensorName::Named;
use crate::outline::Outline;
use crate::recurrent::{MambaConfig, TimeStepConfig};
use crate::values::{POSITIVE, Rule, SIZE, SWITCH};

pub(super) const FAMILY: Family = Family {
    architecture: "MambaForCausalLM",
    attention: false,
    mlp: false,
    // No position is counted, so that nothing ends a text but what the model makes of it.
    max_position_embeddings: 1 << 20,
    bos_token_id: &[0],
    eos_token_id: &[0],
    tie_word_embeddings: true,
    norm_eps: ("layer_norm_epsilon", 1e-5),
    fields: &[Own(read, write), OF_CODE, OLD_NAMES],
    ignored: &[],
    names: &[
        Named("model.layers", "backbone.layers"),
        Named("model.embed_tokens", "backbone.embeddings"),
        Named("model.norm", "backbone.norm_f"),
        Named("input_layernorm", "norm"),
        Named("mixer.a_log", "mixer.A_log"),
        Named("mixer.d", "mixer.D"),
    ],
    ..llama::FAMILY
};

/// Of the first implementation.
pub(super) const OLD_NAMES: super::Field = Idle(
    &["d_inner", "d_model", "n_layer", "ssm_cfg", "rms_norm", "fused_add_norm", "pad_vocab_size_multiple"],
    "it is of the first implementation, and this family goes by transformers' names",
);

/// How transformers computes, or fills weights.
pub(super) const OF_CODE: super::Field = Idle(
    &[
        "use_mambapy",
        "use_associative_scan",
        "use_mamba_kernels",
        "use_falcon_mambapy",
        "residual_in_fp32",
        "rescale_prenorm_residual",
        "time_step_scale",
        "time_step_init_scheme",
    ],
    "it has no part in what a model computes in float32",
);

/// Inputs of a convolution over time.
pub(super) const KERNEL: Rule<usize> =
    Rule("must be a whole number of at least 2, for the newest input is one of them", |value| {
        SIZE.1(value).filter(|&kernel| kernel >= 2)
    });

/// `time_step_rank`; `None`: by the width of the model.
pub(super) const RANK: Rule<Option<usize>> =
    Rule("must be \"auto\" or a whole number of at least 1", |value| match value {
        Value::String(auto) => (auto == "auto").then_some(None),
        number => SIZE.1(number).map(Some),
    });

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let inner = channels(fields, outline.hidden_size)?;
    let mamba = mixer(fields, outline, inner)?;
    outline.recurrent(MixerConfig::Mamba(mamba), |_| true);
    Ok(())
}

/// `intermediate_size`, and where the file does not have it, `expand` times the width of the model.
pub(super) fn channels(fields: &mut Fields, hidden_size: usize) -> Checked<usize> {
    let Some(inner) = fields.optional("intermediate_size", SIZE, None)? else { return expanded(fields, hidden_size) };
    fields.idle(&["expand"], false, "intermediate_size says the number of channels");
    Ok(inner)
}

/// A mixer of so many channels.
pub(super) fn mixer(fields: &mut Fields, outline: &Outline, intermediate_size: usize) -> Checked<MambaConfig> {
    let rank = fields.get("time_step_rank", RANK, None)?;
    Ok(MambaConfig {
        intermediate_size,
        state_size: fields.get("state_size", SIZE, 16)?,
        conv_kernel: fields.get("conv_kernel", KERNEL, 4)?,
        time_step_rank: rank.unwrap_or(outline.hidden_size.div_ceil(16)),
        use_bias: fields.get("use_bias", SWITCH, false)?,
        use_conv_bias: fields.get("use_conv_bias", SWITCH, true)?,
        hidden_act: outline.mlp.hidden_act,
        inner_norm: None,
        time_step: time_step(fields)?,
    })
}

/// `expand` times the width of the model.
pub(super) fn expanded(fields: &mut Fields, hidden_size: usize) -> Checked<usize> {
    let expand = fields.get("expand", POSITIVE, 2.0)?;
    let inner = (expand * hidden_size as f64) as usize;
    fields.check(
        inner > 0,
        "expand",
        expand,
        format!("must give at least one channel of hidden_size {hidden_size}"),
    )?;
    Ok(inner)
}

/// Of a model that is not trained yet.
pub(super) fn time_step(fields: &mut Fields) -> Checked<TimeStepConfig> {
    let TimeStepConfig { min, max, floor } = TimeStepConfig::MAMBA;
    let step = TimeStepConfig {
        min: fields.get("time_step_min", POSITIVE, min)?,
        max: fields.get("time_step_max", POSITIVE, max)?,
        floor: fields.get("time_step_floor", POSITIVE, floor)?,
    };
    let rule = format!("must be at least time_step_min ({})", step.min);
    fields.check(step.max >= step.min, "time_step_max", step.max, rule)?;
    Ok(step)
}

pub(super) fn write(outline: &Outline) -> Value {
    let mut file = write_mixer(outline);
    if let Some(MixerConfig::Mamba(mamba)) = outline.recurrent_mixer() {
        file["intermediate_size"] = json!(mamba.intermediate_size);
    }
    file
}

pub(super) fn write_mixer(outline: &Outline) -> Value {
    let Some(MixerConfig::Mamba(mamba)) = outline.recurrent_mixer() else { return json!({}) };
    json!({
        "conv_kernel": mamba.conv_kernel,
        "expand": expand(mamba.intermediate_size, outline.hidden_size),
        "state_size": mamba.state_size,
        "time_step_rank": mamba.time_step_rank,
        "time_step_floor": mamba.time_step.floor,
        "time_step_max": mamba.time_step.max,
        "time_step_min": mamba.time_step.min,
        "use_bias": mamba.use_bias,
        "use_conv_bias": mamba.use_conv_bias,
    })
}

/// The factor that gives so many channels.
pub(super) fn expand(inner: usize, hidden_size: usize) -> Value {
    if inner.is_multiple_of(hidden_size.max(1)) {
        return json!(inner / hidden_size.max(1));
    }
    let factor = inner as f64 / hidden_size as f64;
    let gives = |factor: &f64| (factor * hidden_size as f64) as usize == inner;
    json!([factor, factor.next_up()].into_iter().find(gives).unwrap_or(factor))
}
