//! Which layers slide: the rules of the families.

use std::num::NonZeroUsize;

use serde_json::{Value, json};

use super::field::Field::{self, Own};
use crate::error::{Checked, FieldError};
use crate::fields::{Fields, Name};
use crate::outline::Outline;
use crate::values::{COUNT, Rule, SIZE, SWITCH, WINDOW};

/// Whether a layer slides. "attention" is what transformers wrote before the names were settled.
const LAYER_TYPE: Rule<bool> = Rule("must be full_attention or sliding_attention", |value| {
    let is_full = matches!(value.as_str()?, "full_attention" | "attention");
    (is_full || value == "sliding_attention").then_some(!is_full)
});

fn layer_type(slides: bool) -> &'static str {
    if slides { "sliding_attention" } else { "full_attention" }
}

/// A list with an entry for each layer, if there is one.
pub(super) fn per_layer<T>(fields: &mut Fields, name: Name, rule: Rule<T>, layers: usize) -> Checked<Option<Vec<T>>> {
    let list = fields.list(name, rule)?;
    if let Some(list) = &list {
        let entries = format!("{} entries", list.len());
        let rule = format!("must have one entry per layer, num_hidden_layers = {layers}");
        fields.check(list.len() == layers, name, entries, rule)?;
    }
    Ok(list)
}

/// Whether each layer slides, where `layer_types` says so.
fn layer_types(fields: &mut Fields, outline: &Outline) -> Checked<Option<Vec<bool>>> {
    per_layer(fields, "layer_types", LAYER_TYPE, outline.windows.len())
}

/// `layer_types` of these layers.
fn types(outline: &Outline) -> Vec<&'static str> {
    outline.windows.iter().map(|window| layer_type(window.is_some())).collect()
}

/// `sliding_window`; none where null.
fn sliding_window(fields: &mut Fields, absent: Option<usize>) -> Checked<Option<NonZeroUsize>> {
    fields.optional("sliding_window", WINDOW, absent.and_then(NonZeroUsize::new))
}

/// All layers with one window. A `layer_types` that says otherwise breaks `rule`.
fn all(fields: &mut Fields, outline: &mut Outline, window: Option<NonZeroUsize>, rule: &str) -> Checked<()> {
    let kinds = layer_types(fields, outline)?.unwrap_or_default();
    if let Some(i) = kinds.iter().position(|&slides| slides != window.is_some()) {
        let field = format!("layer_types[{i}]");
        return Err(FieldError::invalid(&field, layer_type(kinds[i]), rule));
    }
    outline.windows.fill(window);
    Ok(())
}

/// No layer slides.
pub(super) const NEVER: Field = Own(
    |fields, outline| {
        let rule = format!(
            "{} never slides; set layer_types to null, or model_type to mistral (all layers slide) or qwen2 (some)",
            fields.family
        );
        all(fields, outline, None, &rule)
    },
    |_| json!({}),
);

/// All layers slide, or none.
pub(super) fn everywhere(fields: &mut Fields, outline: &mut Outline, absent: Option<usize>) -> Checked<()> {
    let (window, family) = (sliding_window(fields, absent)?, &fields.family);
    let rule = match window {
        Some(window) => {
            format!("every {family} layer slides while sliding_window is {window}; set one of the two to null")
        }
        None => format!(
            "no {family} layer slides while sliding_window is null; give the window, or set layer_types to null"
        ),
    };
    all(fields, outline, window, &rule)
}

pub(super) fn write_everywhere(outline: &Outline) -> Value {
    json!({ "sliding_window": outline.window() })
}

/// All layers slide if there is a `sliding_window`.
pub(super) const EVERYWHERE: Field = Own(|fields, outline| everywhere(fields, outline, None), write_everywhere);

/// Layers slide that `layer_types` names; without it, of each `pattern` layers all but the last. The pattern is
/// `sliding_window_pattern` where the family has that field. Where the model has a RoPE for each kind, sliding layers have
/// the second.
pub(super) fn by_type(
    fields: &mut Fields,
    outline: &mut Outline,
    absent: usize,
    pattern: (usize, bool),
) -> Checked<()> {
    by_type_or_none(fields, outline, absent, pattern)?;
    if outline.window().is_none() {
        fields.idle(&["sliding_window"], false, "no layer slides, by layer_types");
    }
    if outline.ropes.len() > 1 {
        outline.rope_of = outline.windows.iter().map(|window| Some(usize::from(window.is_some()))).collect();
    }
    Ok(())
}

/// The same; and the window, even if no layer has it.
pub(super) fn by_type_or_none(
    fields: &mut Fields,
    outline: &mut Outline,
    absent: usize,
    (pattern, in_file): (usize, bool),
) -> Checked<Option<NonZeroUsize>> {
    let kinds = layer_types(fields, outline)?;
    let window = sliding_window(fields, Some(absent))?;
    let layers = outline.windows.len();
    let kinds = match kinds {
        Some(kinds) => {
            if in_file {
                fields.idle(&["sliding_window_pattern"], false, "layer_types decides which layers slide");
            }
            if let (Some(i), None) = (kinds.iter().position(|&slides| slides), window) {
                let layer = format!("layer_types[{i}]");
                return Err(FieldError::contradiction((&layer, layer_type(true)), ("sliding_window", "null")));
            }
            kinds
        }
        None => {
            let read = |fields: &mut Fields| fields.optional("sliding_window_pattern", SIZE, None);
            let pattern = if in_file { read(fields)?.unwrap_or(pattern) } else { pattern };
            (1..=layers).map(|i| window.is_some() && !i.is_multiple_of(pattern)).collect()
        }
    };
    outline.windows = kinds.iter().map(|&slides| window.filter(|_| slides)).collect();
    Ok(window)
}

pub(super) fn write_types(outline: &Outline) -> Value {
    let window = outline.window();
    match window {
        Some(window) => json!({ "layer_types": types(outline), "sliding_window": window }),
        None => json!({ "layer_types": types(outline) }),
    }
}

/// Under `use_sliding_window`, the layers slide that `layer_types` names, or without it those that `by_default` says of
/// the layer's number and `max_window_layers`.
pub(super) fn qwen(fields: &mut Fields, outline: &mut Outline, by_default: fn(usize, usize) -> bool) -> Checked<()> {
    let kinds = layer_types(fields, outline)?;
    let slides = fields.get("use_sliding_window", SWITCH, false)?;
    let full_layers = fields.get("max_window_layers", COUNT, 28)?;
    let window = if slides {
        sliding_window(fields, Some(4096))?
    } else {
        // Checked although it is unused; zero is wrong only where it is used.
        fields.optional("sliding_window", COUNT, None)?;
        None
    };
    let is_sliding = |i: usize| match &kinds {
        Some(kinds) => kinds[i],
        None => window.is_some() && by_default(i, full_layers),
    };
    let layers = 0..outline.windows.len();
    let first = layers.clone().find(|&i| is_sliding(i));

    if slides && kinds.is_some() {
        let why = "layer_types decides which layers slide; set layer_types=null too";
        fields.idle(&["max_window_layers"], false, why);
    }
    // The field that keeps layers from sliding; the others have no say then.
    let switch = if !slides {
        Some(("use_sliding_window", "false".to_owned()))
    } else if window.is_none() {
        Some(("sliding_window", "null".to_owned()))
    } else if first.is_some() {
        None
    } else if kinds.is_some() {
        Some(("layer_types", "full_attention everywhere".to_owned()))
    } else {
        Some(("max_window_layers", full_layers.to_string()))
    };
    if let Some((switch, value)) = switch {
        if let Some(i) = first {
            let layer = format!("layer_types[{i}]");
            let sliding = (layer.as_str(), layer_type(true));
            return Err(FieldError::contradiction(sliding, (switch, value)));
        }
        let mut others = vec!["use_sliding_window", "sliding_window", "max_window_layers"];
        others.retain(|name| *name != switch);
        let why = format!("no layer slides while {switch} is {value}; change that too");
        fields.idle(&others, false, &why);
    }
    outline.windows = layers.map(|i| window.filter(|_| is_sliding(i))).collect();
    Ok(())
}

pub(super) fn write_qwen(outline: &Outline) -> Value {
    let window = outline.window();
    json!({
        "layer_types": types(outline),
        "sliding_window": window,
        "use_sliding_window": window.is_some(),
        // layer_types decides; this is for readers of version 4, who know no other rule.
        "max_window_layers": outline.windows.iter().take_while(|window| window.is_none()).count(),
    })
}

/// Under `use_sliding_window`, the layers slide that `layer_types` names, or without it those that `by_default` names.
pub(super) fn switched(
    fields: &mut Fields,
    outline: &mut Outline,
    absent: Option<usize>,
    by_default: fn(&Outline, usize) -> bool,
) -> Checked<()> {
    let kinds = layer_types(fields, outline)?;
    let slides = fields.get("use_sliding_window", SWITCH, false)?;
    let window = if slides {
        sliding_window(fields, absent)?
    } else {
        fields.optional("sliding_window", COUNT, None)?.and(None)
    };
    let switch = match (slides, window) {
        (false, _) => Some(("use_sliding_window", "false")),
        (true, None) => Some(("sliding_window", "null")),
        _ => None,
    };
    if let Some((switch, value)) = switch {
        if let Some(i) = kinds.iter().flatten().position(|&slides| slides) {
            let layer = format!("layer_types[{i}]");
            return Err(FieldError::contradiction((&layer, layer_type(true)), (switch, value)));
        }
        let other = if slides { "use_sliding_window" } else { "sliding_window" };
        fields.idle(&[other], false, &format!("no layer slides while {switch} is {value}; change that too"));
    }
    let is_sliding = |i: usize| kinds.as_ref().map_or_else(|| by_default(outline, i), |kinds| kinds[i]);
    outline.windows = (0..outline.windows.len()).map(|i| window.filter(|_| is_sliding(i))).collect();
    Ok(())
}

/// Under `use_sliding_window`, all layers slide.
pub(super) const ALL_SWITCHED: Field = Own(
    |fields, outline| {
        switched(fields, outline, Some(4096), |_, _| true)?;
        match outline.windows.iter().position(Option::is_none) {
            Some(i) if outline.window().is_some() => {
                let rule = format!("every {} layer slides while use_sliding_window is true", fields.family);
                Err(FieldError::invalid(&format!("layer_types[{i}]"), layer_type(false), rule))
            }
            _ => Ok(()),
        }
    },
    |outline| json!({ "use_sliding_window": outline.window().is_some(), "sliding_window": outline.window() }),
);

pub(super) fn write_switched(outline: &Outline) -> Value {
    let window = outline.window();
    json!({ "use_sliding_window": window.is_some(), "sliding_window": window, "layer_types": types(outline) })
}

/// Heads that are together as wide as the residual stream: the family's `o_proj` is square.
pub(super) fn whole_heads(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let (width, hidden) = (outline.attention.q_size(), outline.hidden_size);
    let rule =
        format!("must be hidden_size / num_attention_heads in {}, for heads are together {hidden} wide", fields.family);
    fields.check(width == hidden, "head_dim", outline.attention.head_dim, rule)
}
