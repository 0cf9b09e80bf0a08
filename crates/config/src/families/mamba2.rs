//! Mamba-2: heads that decay as one, groups of what writes and reads, and a gated norm behind them.

use serde_json::{Map, Value, json};

use super::field::Field::{Idle, Own};
use super::mamba::{KERNEL, OF_CODE, expand, expanded, time_step};
use super::{Family, mamba};
use crate::error::{Checked, FieldError};
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::outline::Outline;
use crate::recurrent::Mamba2Config;
use crate::values::{ANY, Rule, SIZE, SWITCH};

pub(super) const FAMILY: Family = Family {
    architecture: "Mamba2ForCausalLM",
    vocab_size: Some(32_768),
    eos_token_id: &[2],
    tie_word_embeddings: false,
    fields: &[
        Own(read, write),
        OF_CODE,
        Idle(&["chunk_size"], "a scan gives the same in chunks of any size"),
        Idle(&["time_step_rank"], "time steps come out of in_proj in this family"),
        Idle(&["rms_norm", "norm_before_gate"], "mamba2 norms behind its gate, as in transformers"),
    ],
    ..mamba::FAMILY
};

/// A bound of time steps, which may be infinite.
const BOUND: Rule<f64> =
    Rule("must be a number that is not negative, or Infinity", |value| glass_json::as_f64(value).filter(|&x| x >= 0.0));

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let inner = expanded(fields, outline.hidden_size)?;
    let differs = fields.optional("intermediate_size", ANY, None)?.is_some_and(|given| given != inner);
    fields.idle(&["intermediate_size"], differs, "mamba2 has expand times hidden_size channels");
    let num_heads = fields.get("num_heads", SIZE, 128)?;
    let head_dim = fields.get("head_dim", SIZE, 64)?;
    let rule = format!("times head_dim ({head_dim}) must be expand times hidden_size, {inner}");
    fields.check(num_heads.saturating_mul(head_dim) == inner, "num_heads", num_heads, rule)?;
    let n_groups = fields.get("n_groups", SIZE, 8)?;
    let rule = format!("must divide num_heads ({num_heads}), for each serves equally many heads");
    fields.check(num_heads.is_multiple_of(n_groups), "n_groups", n_groups, rule)?;
    let mamba = Mamba2Config {
        num_heads,
        head_dim,
        n_groups,
        state_size: fields.get("state_size", SIZE, 128)?,
        conv_kernel: fields.get("conv_kernel", KERNEL, 4)?,
        use_bias: fields.get("use_bias", SWITCH, false)?,
        use_conv_bias: fields.get("use_conv_bias", SWITCH, true)?,
        hidden_act: outline.mlp.hidden_act,
        norm: outline.norm,
        time_step_limit: limit(fields)?,
        time_step: time_step(fields)?,
    };
    outline.recurrent(MixerConfig::Mamba2(mamba), |_| true);
    Ok(())
}

fn limit(fields: &mut Fields) -> Checked<[f64; 2]> {
    let name = "time_step_limit";
    let Some(limit) = fields.list(name, BOUND)? else { return Ok([0.0, f64::INFINITY]) };
    match limit[..] {
        [min, max] if min <= max => Ok([min, max]),
        _ => Err(FieldError::invalid(name, format!("{limit:?}"), "must be two numbers, the smaller one first")),
    }
}

fn write(outline: &Outline) -> Value {
    let Some(MixerConfig::Mamba2(mamba)) = outline.recurrent_mixer() else { return json!({}) };
    json!({
        "conv_kernel": mamba.conv_kernel,
        "expand": expand(mamba.inner(), outline.hidden_size),
        "head_dim": mamba.head_dim,
        "n_groups": mamba.n_groups,
        "num_heads": mamba.num_heads,
        "state_size": mamba.state_size,
        "time_step_floor": mamba.time_step.floor,
        "time_step_limit": mamba.time_step_limit.map(bound),
        "time_step_max": mamba.time_step.max,
        "time_step_min": mamba.time_step.min,
        "use_bias": mamba.use_bias,
        "use_conv_bias": mamba.use_conv_bias,
    })
}

/// As transformers 5 writes what JSON has no number for.
fn bound(bound: f64) -> Value {
    if bound.is_finite() { json!(bound) } else { Map::from_iter([("__float__".to_owned(), json!("Infinity"))]).into() }
}
