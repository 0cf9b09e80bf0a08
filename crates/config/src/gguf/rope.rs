//! Positions: `rope_parameters` from the keys, and from the tensors with a divisor for each pair of a head.

use std::f64::consts::PI;

use glass_gguf::GgmlType;
use serde_json::{Map, Value, json};

use super::draft::Draft;
use super::write::float;
use crate::dialect::ORIGINAL;
use crate::error::ConfigError;
use crate::rope::{Llama3Scaling, RopeParameters, RopeScaling, unscaled};

/// What the frequencies of `llama3` are divided by.
const FREQS: &str = "rope_freqs.weight";
/// The same of `longrope`, for long texts and for short ones.
const LONG: &str = "rope_factors_long.weight";
const SHORT: &str = "rope_factors_short.weight";

/// Tensors that are no weights but positions, which the config takes in.
pub const TENSORS: [&str; 3] = [FREQS, LONG, SHORT];

/// How far apart numbers may be that went through 32 bits.
const NEAR: f64 = 1e-5;

/// `rope_parameters` in version 5's dialect.
pub(super) fn parameters(draft: &mut Draft) -> Result<Value, ConfigError> {
    let theta = draft.keys.float("rope.freq_base")?.unwrap_or(10_000.0);
    let dim = draft.keys.usize("rope.dimension_count")?.unwrap_or(draft.head_dim);
    let mut rope = Map::from_iter([("rope_theta".to_owned(), json!(theta))]);
    if dim != draft.head_dim {
        rope.insert("partial_rotary_factor".to_owned(), json!(dim as f64 / draft.head_dim as f64));
    }
    scaling(draft, &mut rope, dim, theta)?;
    let local = match draft.keys.float("rope.freq_base_swa")? {
        None => draft.keys.float("rope.local.freq_base")?,
        local => local,
    };
    let local = match draft.fields.get("model_type").and_then(Value::as_str) {
        Some("gemma3_text") => local.unwrap_or(10_000.0),
        Some("olmo3") => local.unwrap_or(theta),
        _ if local.is_none_or(|local| local == theta) => {
            // Phi-3's class reads it outside.
            if let Some(original) = rope.get(ORIGINAL) {
                draft.set(ORIGINAL, original.clone());
            }
            return Ok(rope.into());
        }
        _ => {
            return Err(draft.keys.refused("rope.freq_base_swa", "all layers share one rotation in this architecture"));
        }
    };
    Ok(json!({ "full_attention": rope, "sliding_attention": { "rope_theta": local } }))
}

fn scaling(draft: &mut Draft, rope: &mut Map<String, Value>, dim: usize, theta: f64) -> Result<(), ConfigError> {
    let factor = match draft.keys.float("rope.scaling.factor")? {
        None => draft.keys.float("rope.scale_linear")?,
        factor => factor,
    };
    let factor = factor.filter(|&factor| factor != 0.0 && factor != 1.0);
    let original = draft.keys.usize("rope.scaling.original_context_length")?;
    let attention = draft.keys.float("rope.scaling.attn_factor")?;
    let kind = draft.keys.string("rope.scaling.type")?;
    if !matches!(kind, None | Some("none" | "linear" | "yarn" | "longrope")) {
        return Err(draft.keys.refused("rope.scaling.type", "it is none, linear, yarn or longrope"));
    }
    let mut set = |field: &str, value: Value| rope.insert(field.to_owned(), value);
    if let Some(original) = original {
        set(ORIGINAL, json!(original));
    }
    let (long, short) = (divisors(draft, LONG, dim)?, divisors(draft, SHORT, dim)?);
    if let (Some(long), Some(short)) = (&long, &short) {
        if factor.is_some() {
            return Err(draft.keys.refused("rope.scaling.factor", &format!("{LONG} scales positions already")));
        }
        set("rope_type", json!("longrope"));
        set("long_factor", json!(long));
        set("short_factor", json!(short));
        set("attention_factor", json!(attention.unwrap_or(1.0)));
        return Ok(());
    }
    if long.is_some() || short.is_some() {
        return Err(draft
            .keys
            .problem(format!("of {LONG} and {SHORT} one is missing; convert or fetch the file again")));
    }
    let freqs = divisors(draft, FREQS, dim)?;
    let is_yarn = kind == Some("yarn") && factor.is_some();
    if !is_yarn && attention.is_some_and(|attention| attention != 1.0) {
        return Err(draft.keys.refused("rope.scaling.attn_factor", "only yarn and longrope scale scores here"));
    }
    match (kind.unwrap_or("linear"), factor) {
        ("yarn", Some(factor)) => {
            set("rope_type", json!("yarn"));
            set("factor", json!(factor));
            for (key, field) in [
                ("yarn_beta_fast", "beta_fast"),
                ("yarn_beta_slow", "beta_slow"),
                ("yarn_ext_factor", "extrapolation_factor"),
                ("yarn_attn_factor", "attention_factor"),
            ] {
                if let Some(value) = draft.keys.float(&format!("rope.scaling.{key}"))? {
                    set(field, json!(value));
                }
            }
            if let Some(attention) = attention.filter(|&attention| attention != 1.0) {
                set("attention_factor", json!(attention * (0.1 * factor.ln() + 1.0)));
            }
            // Only gpt-oss has a ramp whose ends are not rounded.
            if draft.fields.get("model_type") == Some(&json!("gpt_oss")) {
                set("truncate", json!(false));
            }
        }
        ("linear", Some(factor)) => {
            set("rope_type", json!("linear"));
            set("factor", json!(factor));
        }
        ("longrope", _) => {
            return Err(draft.keys.problem(format!("there is no tensor {LONG}, which longrope goes by")));
        }
        _ => {}
    }
    if let Some(freqs) = freqs {
        if rope.contains_key("rope_type") {
            return Err(draft.keys.problem(format!("{FREQS} and rope.scaling.type both scale positions")));
        }
        rope.extend(by_divisors(&freqs, theta, dim, draft.context));
    }
    Ok(())
}

/// A tensor with a number for each pair.
fn divisors(draft: &Draft, name: &str, dim: usize) -> Result<Option<Vec<f64>>, ConfigError> {
    let Some(tensor) = draft.gguf.get(name) else { return Ok(None) };
    let pairs = dim / 2;
    if tensor.ty != GgmlType::F32 || tensor.shape != [pairs] {
        let found = format!("{} {:?}", tensor.ty, tensor.shape);
        return Err(draft.keys.problem(format!("tensor {name} is {found}, where F32 [{pairs}] belongs")));
    }
    let values = tensor.bytes.as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes));
    let values: Vec<f64> = values.map(|value| value.to_string().parse().unwrap_or(f64::from(value))).collect();
    if let Some(wrong) = values.iter().find(|value| !(value.is_finite() && **value > 0.0)) {
        return Err(draft.keys.problem(format!("tensor {name} has {wrong}, which divides no frequency")));
    }
    Ok(Some(values))
}

/// The keys of a rotation, by `set`, and the tensors of its divisors.
pub(super) fn write(
    rope: &RopeParameters,
    head_dim: usize,
    mut set: impl FnMut(&str, glass_gguf::Value),
) -> Result<Vec<(&'static str, Vec<f32>)>, String> {
    set("rope.freq_base", float(rope.rope_theta));
    let context = |length: usize| glass_gguf::Value::U32(length.try_into().unwrap_or(u32::MAX));
    let narrow = |factors: &[f64]| factors.iter().map(|&factor| factor as f32).collect();
    match &rope.scaling {
        RopeScaling::Default => {}
        RopeScaling::Linear(scaling) => {
            set("rope.scaling.type", "linear".into());
            set("rope.scaling.factor", float(scaling.factor));
        }
        RopeScaling::Yarn(scaling) => {
            set("rope.scaling.type", "yarn".into());
            set("rope.scaling.factor", float(scaling.factor));
            set("rope.scaling.original_context_length", context(scaling.original_max_position_embeddings));
            set("rope.scaling.yarn_beta_fast", float(scaling.beta_fast));
            set("rope.scaling.yarn_beta_slow", float(scaling.beta_slow));
            // llama.cpp multiplies this one by what it derives from the factor.
            let derived = 0.1 * scaling.factor.ln() + 1.0;
            if (rope.attention_scaling() - derived).abs() > NEAR * derived {
                set("rope.scaling.attn_factor", float(rope.attention_scaling() / derived));
            }
        }
        RopeScaling::Llama3(scaling) => {
            let dim = rope.rotary_dim(head_dim);
            let scaled = scaling.inv_freq(rope.rope_theta, dim);
            let divisors = unscaled(rope.rope_theta, dim).zip(scaled).map(|(plain, scaled)| (plain / scaled) as f32);
            return Ok(vec![(FREQS, divisors.collect())]);
        }
        RopeScaling::Longrope(scaling) => {
            set("rope.scaling.type", "longrope".into());
            set("rope.scaling.original_context_length", context(scaling.original_max_position_embeddings));
            set("rope.scaling.attn_factor", float(rope.attention_scaling()));
            return Ok(vec![(LONG, narrow(&scaling.long_factor)), (SHORT, narrow(&scaling.short_factor))]);
        }
        RopeScaling::Dynamic(_) => return Err("GGUF has no words for rope_type dynamic".to_owned()),
    }
    Ok(Vec::new())
}

/// The scaling whose frequencies are divided by these: `llama3` if its formula gives them, and else the list itself, which
/// `longrope` says of a model that is as long as it was trained for.
fn by_divisors(divisors: &[f64], theta: f64, dim: usize, context: usize) -> Map<String, Value> {
    if divisors.iter().all(|&divisor| divisor == 1.0) {
        return Map::new();
    }
    let object = match llama3(divisors, theta, dim) {
        Some(Llama3Scaling { factor, low_freq_factor, high_freq_factor, original_max_position_embeddings }) => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low_freq_factor,
            "high_freq_factor": high_freq_factor,
            "original_max_position_embeddings": original_max_position_embeddings,
        }),
        None => json!({
            "rope_type": "longrope", "short_factor": divisors, "long_factor": divisors, "factor": 1.0,
            "attention_factor": 1.0, "original_max_position_embeddings": context,
        }),
    };
    object.as_object().cloned().unwrap_or_default()
}

/// The parameters of `llama3` that give these divisors.
///
/// The last divisor is the factor. Between the long waves and the short ones, what is kept of a frequency, `k` in
/// `1 / divisor = (1 - k) / factor + k`, is a line over the frequencies: two of them give the bounds.
fn llama3(divisors: &[f64], theta: f64, dim: usize) -> Option<Llama3Scaling> {
    let factor = *divisors.last()?;
    let frequencies: Vec<f64> = unscaled(theta, dim).collect();
    let gives = |scaling: &Llama3Scaling| {
        let scaled = scaling.inv_freq(theta, dim);
        let made = frequencies.iter().zip(scaled).map(|(plain, scaled)| plain / scaled);
        made.zip(divisors).all(|(made, divisor)| (made - divisor).abs() <= NEAR * divisor)
    };
    // What Llama 3.1 has, and what the converter assumes.
    let usual =
        Llama3Scaling { factor, low_freq_factor: 1.0, high_freq_factor: 4.0, original_max_position_embeddings: 8192 };
    if factor < 1.0 || gives(&usual) {
        return (factor >= 1.0).then_some(usual);
    }
    let kept = |divisor: f64| (1.0 / divisor - 1.0 / factor) / (1.0 - 1.0 / factor);
    let between = frequencies.iter().zip(divisors).map(|(&frequency, &divisor)| (frequency, kept(divisor)));
    let between: Vec<(f64, f64)> = between.filter(|(_, kept)| *kept > NEAR && *kept < 1.0 - NEAR).collect();
    let ((x0, y0), (x1, y1)) = (*between.first()?, *between.last()?);
    // kept = (original * frequency / 2 pi - low) / (high - low), with low = 1.
    let slope = (y1 - y0) / (x1 - x0);
    let high = 1.0 - 1.0 / (y0 - slope * x0);
    let high = (high * 1e3).round() / 1e3;
    let original = (slope * 2.0 * PI * (high - 1.0)).round();
    let found = Llama3Scaling {
        factor,
        low_freq_factor: 1.0,
        high_freq_factor: high,
        original_max_position_embeddings: original as usize,
    };
    (between.len() > 1 && high > 1.0 && original >= 1.0 && gives(&found)).then_some(found)
}
