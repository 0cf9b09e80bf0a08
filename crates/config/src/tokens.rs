//! Fields that hold token ids. Negative ids go to `negative`, for the user to see.

use serde_json::Value;

use crate::error::shown;
use crate::fields::{Fields, Given, kind};
use crate::{FieldError, IgnoredField};

/// Any whole number that fits; -1 is the old way to write "none".
fn id(value: &Value) -> Result<Option<u32>, String> {
    match value.as_i64() {
        Some(number) if number < 0 => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| "is larger than a token id can be".to_owned()),
        None if value.is_number() => Err("must be a token id, a whole number".to_owned()),
        None => Err(format!(
            "must be a token id, a whole number, not {}",
            kind(value)
        )),
    }
}

fn ids(value: &Value) -> Result<Vec<Option<u32>>, String> {
    match value.as_array() {
        Some(list) => list
            .iter()
            .enumerate()
            .map(|(i, value)| id(value).map_err(|rule| format!("entry {i} {rule}")))
            .collect(),
        None => Ok(vec![id(value)?]),
    }
}

/// A field that holds one token id or null.
pub(crate) fn token(
    fields: &mut Fields,
    name: &'static str,
    default: Option<u32>,
    negative: &mut Vec<IgnoredField>,
) -> Result<Option<u32>, FieldError> {
    let default: Vec<u32> = default.into_iter().collect();
    let given = fields.nullable(name, |value| Ok(vec![id(value)?]))?;
    Ok(keep_ids(fields, name, given, &default, negative)
        .first()
        .copied())
}

/// A field that holds a token id, a list of them, or null.
pub(crate) fn tokens(
    fields: &mut Fields,
    name: &'static str,
    default: &[u32],
    negative: &mut Vec<IgnoredField>,
) -> Result<Vec<u32>, FieldError> {
    let given = fields.nullable(name, ids)?;
    Ok(keep_ids(fields, name, given, default, negative))
}

/// Drops negative ids and says so.
fn keep_ids(
    fields: &Fields,
    name: &str,
    given: Given<Vec<Option<u32>>>,
    default: &[u32],
    negative: &mut Vec<IgnoredField>,
) -> Vec<u32> {
    match given {
        Given::Absent => default.to_vec(),
        Given::Null => Vec::new(),
        Given::Is(ids) => {
            if ids.contains(&None) {
                negative.push(IgnoredField {
                    name: name.to_owned(),
                    value: fields.value(name).map(shown).unwrap_or_default(),
                    why: "no token has a negative id, so this stands for none".to_owned(),
                });
            }
            ids.into_iter().flatten().collect()
        }
    }
}
