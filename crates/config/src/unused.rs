//! The fields that nobody asked for.
//!
//! A field of the file that no part of the reading asked for is one of four things: something that
//! would change the result and is not built here (refused, unless its value says "off"); something
//! known to have no effect on the forward pass (passed over); an explicit null (says nothing); or
//! anything else (listed for the user to see).

use serde_json::Value;

use crate::error::one_line;
use crate::fields::Fields;
use crate::foreign_fields::{GENERATION, NO_EFFECT, REFUSED, REFUSED_IN_ROPE, Row};
use crate::rope::{PARAMETERS, RopeType};
use crate::{FieldError, IgnoredField, ModelType};

/// What a value must be compared with to see that it is neutral.
pub(crate) struct Context {
    pub model_type: ModelType,
    pub head_dim: usize,
    pub hidden_act: String,
}

/// What becomes of one field that was not asked for.
pub(crate) enum Fate {
    /// It is a field that this crate watches, and its value is off.
    Neutral,
    Refused(&'static str),
    /// Not worth telling.
    Silent(&'static str),
    Ignored(String),
}

/// The fate of a field that stands in a table of refused ones.
fn watched(table: &[Row], name: &str, value: &Value, context: &Context) -> Option<Fate> {
    let (_, neutral, why) = table.iter().find(|(names, ..)| names.contains(&name))?;
    Some(if neutral(value, context) {
        Fate::Neutral
    } else {
        Fate::Refused(why)
    })
}

pub(crate) fn fate(name: &str, value: &Value, context: &Context) -> Fate {
    if let Some(fate) = watched(REFUSED, name, value, context) {
        return fate;
    }
    if NO_EFFECT.contains(&name) {
        return Fate::Silent("it has no effect on what the model computes");
    }
    if GENERATION.contains(&name) && !value.is_null() {
        return Fate::Ignored(
            "a setting for generation, which belongs in generation_config.json".to_owned(),
        );
    }
    let family = context.model_type;
    match (name, family) {
        ("sliding_window" | "use_sliding_window" | "max_window_layers", ModelType::Llama) => {
            let why = "llama never slides; set model_type=mistral for a window in every layer";
            match value {
                Value::Null | Value::Bool(false) => Fate::Silent(why),
                _ => Fate::Ignored(why.to_owned()),
            }
        }
        ("use_sliding_window" | "max_window_layers", ModelType::Mistral) if !value.is_null() => {
            Fate::Ignored("mistral slides in all layers unless sliding_window is null".to_owned())
        }
        ("auto_map", _) => Fate::Ignored(format!("its code is not run; this is a plain {family}")),
        _ if value.is_null() => Fate::Silent("it is null and no field of the model"),
        _ => Fate::Ignored(format!("{family} has no such field")),
    }
}

pub(crate) fn fate_in_rope(
    name: &str,
    value: &Value,
    rope_type: &RopeType,
    context: &Context,
) -> Fate {
    if let Some(fate) = watched(REFUSED_IN_ROPE, name, value, context) {
        return fate;
    }
    match rope_type {
        _ if value.is_null() => Fate::Silent("it is null and nothing that this rope_type reads"),
        RopeType::Dynamic { .. } if name == "original_max_position_embeddings" => {
            Fate::Ignored("rope_type dynamic goes by max_position_embeddings".to_owned())
        }
        _ if PARAMETERS.contains(&name) => {
            Fate::Ignored(format!("rope_type {} does not use it", rope_type.name()))
        }
        _ => Fate::Ignored("no rope_type uses it".to_owned()),
    }
}

/// Sorts the fields that were not asked for: an error for the first that would change the result, a
/// list of the others that had no use.
pub(crate) fn sort(
    fields: &Fields,
    fate: impl Fn(&str, &Value) -> Fate,
) -> Result<Vec<IgnoredField>, FieldError> {
    let mut ignored = Vec::new();
    for (name, value) in fields.unasked() {
        let full_name = one_line(&fields.full_name(name));
        match fate(name, value) {
            Fate::Neutral | Fate::Silent(_) => {}
            Fate::Refused(why) => return Err(FieldError::unsupported(&full_name, value, why)),
            Fate::Ignored(why) => ignored.push(IgnoredField {
                name: full_name,
                value: value.to_string(),
                why,
            }),
        }
    }
    Ok(ignored)
}

/// The known name closest to a misspelt one.
pub(crate) fn nearest<'a>(name: &str, known: &[&'a str]) -> Option<&'a str> {
    let distance = |candidate: &&&str| strsim::osa_distance(name, candidate);
    let best = known.iter().min_by_key(distance)?;
    // A name that is known was not misspelt, and with a third of its letters wrong it is another.
    (1..=name.chars().count() / 3)
        .contains(&distance(&best))
        .then_some(*best)
}
