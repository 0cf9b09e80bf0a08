//! A JSON Schema that is honoured as a whole, or refused.

use std::collections::HashSet;

use glass_text::one_line;
use llguidance::{JsonCompileOptions, api::TopLevelGrammar, toktrie::ApproximateTokEnv};
use serde_json::{Map, Number, Value};

use super::{Constraint, ConstraintError};

/// What `llguidance` turns into a grammar.
const HONOURED: [&str; 27] = [
    "additionalItems",
    "additionalProperties",
    "allOf",
    "anyOf",
    "const",
    "enum",
    "exclusiveMaximum",
    "exclusiveMinimum",
    "format",
    "items",
    "maxItems",
    "maxLength",
    "maxProperties",
    "maximum",
    "minItems",
    "minLength",
    "minProperties",
    "minimum",
    "multipleOf",
    "oneOf",
    "pattern",
    "patternProperties",
    "prefixItems",
    "properties",
    "required",
    "type",
    "$ref",
];

/// What says nothing about which values are right.
const REMARKS: [&str; 16] = [
    "$anchor",
    "$comment",
    "$defs",
    "$id",
    "$schema",
    "contentEncoding",
    "contentMediaType",
    "default",
    "definitions",
    "deprecated",
    "description",
    "examples",
    "id",
    "readOnly",
    "title",
    "writeOnly",
];

/// Integers up to here are the same number to every reader of JSON (RFC 7493, 2.2).
const LARGEST: i64 = (1 << 53) - 1;

/// Remainders that a grammar can keep apart: it has a state for each, and more would take seconds for a token.
const MOST_REMAINDERS: f64 = 10_000.0;

/// A schema that texts can be held to.
///
/// Numbers that it leaves without a bound get ±(2⁵³ − 1): digits without end would be JSON too, but a number that few programs
/// read, and no end. Where anything may stand (`true`, or properties that nothing is said about) they have none.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonSchema(Value);

impl JsonSchema {
    /// Reads a schema and makes a grammar of it once, so that what is wrong with it is said before a model is loaded.
    ///
    /// # Errors
    /// What is no JSON or no schema; what no text can satisfy; and every keyword that is not honoured, or not in that place:
    /// a schema is never followed in part.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let mut schema =
            serde_json::from_str(text).map_err(|error| ConstraintError::NotJson { reason: one_line(&error) })?;
        prepare(&mut schema, "#")?;
        let refused = |reason: String| ConstraintError::Refused { reason };
        glass_json::check_integers(text.as_bytes()).map_err(|error| refused(error.to_string()))?;
        let this = Self(match schema {
            // The grammar's options have their place in an object.
            Value::Bool(true) => Value::Object(Map::new()),
            schema => schema,
        });
        match Constraint::of(&ApproximateTokEnv::single_byte_env(), &this) {
            Ok(_) => Ok(this),
            // A vocabulary of all bytes spells everything.
            Err(ConstraintError::DeadEnd { .. }) => Err(refused("no value satisfies it".to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Without space between tokens of JSON: a small model would like it too well and never come to the end.
    pub(super) fn grammar(&self) -> TopLevelGrammar {
        let mut schema = self.0.clone();
        if schema.is_object() {
            let options = JsonCompileOptions { whitespace_flexible: false, ..JsonCompileOptions::default() };
            options.apply_to(&mut schema);
        }
        TopLevelGrammar::from_json_schema(schema)
    }
}

/// Checks every keyword, and bounds numbers.
///
/// `llguidance` says what it cannot do with the keywords it knows, and passes over those it does not know, as the
/// specification wants it: a misspelt one would allow anything.
fn prepare(schema: &mut Value, place: &str) -> Result<(), ConstraintError> {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(_) => return Ok(()),
        _ => {
            return Err(ConstraintError::NotASchema { place: place.to_owned(), found: kind(schema).to_owned() });
        }
    };
    for (keyword, value) in fields.iter_mut() {
        let name = keyword.as_str();
        if !HONOURED.contains(&name) && !REMARKS.contains(&name) {
            return Err(ConstraintError::Keyword { place: place.to_owned(), keyword: keyword.clone() });
        }
        let place = format!("{place}/{keyword}");
        match (name, value) {
            ("properties" | "patternProperties" | "$defs" | "definitions", Value::Object(schemas)) => {
                for (name, schema) in schemas {
                    prepare(schema, &format!("{place}/{name}"))?;
                }
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter_mut().enumerate() {
                    prepare(schema, &format!("{place}/{index}"))?;
                }
            }
            ("items" | "additionalItems" | "additionalProperties", schema) => {
                prepare(schema, &place)?;
            }
            ("multipleOf", Value::Number(step)) if remainders(step) > MOST_REMAINDERS => {
                let reason = format!("{place}: multiples of {step} are too many remainders, at most {MOST_REMAINDERS}");
                return Err(ConstraintError::Refused { reason });
            }
            // The grammar's maker says what is wrong with the others.
            _ => {}
        }
    }
    bound_numbers(fields);
    match fields.get("minProperties").and_then(Value::as_f64) {
        Some(least) if has_open_keys(fields) && least > required(fields) as f64 + 1.0 => {
            // The grammar does not keep them apart.
            let reason = format!(
                "{place}/minProperties: of the {least} keys, those that are not required could be the same one twice: require \
                 them, or set additionalProperties to false"
            );
            Err(ConstraintError::Refused { reason })
        }
        _ => Ok(()),
    }
}

/// Whether an object may have keys that the schema does not list.
fn has_open_keys(fields: &Map<String, Value>) -> bool {
    fields.contains_key("patternProperties") || fields.get("additionalProperties") != Some(&Value::Bool(false))
}

/// How many keys an object must have.
fn required(fields: &Map<String, Value>) -> usize {
    let keys = fields.get("required").and_then(Value::as_array);
    keys.map_or(0, |keys| keys.iter().collect::<HashSet<_>>().len())
}

fn bound_numbers(fields: &mut Map<String, Value>) {
    let is_number = |kind: &Value| kind == "number" || kind == "integer";
    let may_be_number = match fields.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(is_number),
        Some(kind) => is_number(kind),
        None => false,
    };
    if !may_be_number || fields.contains_key("enum") || fields.contains_key("const") {
        return;
    }
    let bound = |inclusive: &str, exclusive: &str| {
        let given = fields.get(inclusive).or_else(|| fields.get(exclusive));
        given.map(|bound| bound.as_f64().unwrap_or(0.0))
    };
    let (lower, upper) = (bound("minimum", "exclusiveMinimum"), bound("maximum", "exclusiveMaximum"));
    let largest = LARGEST as f64;
    // A bound on the other side may lie beyond.
    if lower.is_none() && upper.is_none_or(|upper| upper > -largest) {
        fields.insert("minimum".to_owned(), (-LARGEST).into());
    }
    if upper.is_none() && lower.is_none_or(|lower| lower < largest) {
        fields.insert("maximum".to_owned(), LARGEST.into());
    }
}

/// How many remainders there are by a number: it, in units of its last decimal place.
fn remainders(step: &Number) -> f64 {
    let text = step.to_string();
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let digits = mantissa.strip_suffix(".0").unwrap_or(mantissa).replace('.', "");
    let [digits, exponent] = [digits.as_str(), exponent].map(|text| text.parse().unwrap_or(f64::INFINITY));
    digits.abs() * 10_f64.powf(exponent.max(0.0))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}
