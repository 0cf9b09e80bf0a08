//! A JSON Schema that is honoured as a whole, or refused.

use llguidance::{JsonCompileOptions, api::TopLevelGrammar, toktrie::ApproximateTokEnv};
use serde_json::{Map, Value};

use super::{ConstraintError, parser};
use crate::tokenizer::one_line;

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

/// A schema that texts can be held to.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonSchema(Value);

impl JsonSchema {
    /// Reads a schema and makes a grammar of it once, so that what is wrong with it is said before a model is loaded.
    ///
    /// # Errors
    /// What is no JSON or no schema; what no text can satisfy; and every keyword that is not honoured, or not in that place:
    /// a schema is never followed in part.
    pub fn parse(text: &str) -> Result<Self, ConstraintError> {
        let schema = serde_json::from_str(text).map_err(|error| ConstraintError::NotJson {
            reason: one_line(&error),
        })?;
        check(&schema, "#")?;
        let this = Self(match schema {
            // The grammar's options have their place in an object.
            Value::Bool(true) => Value::Object(Map::new()),
            schema => schema,
        });
        parser(&ApproximateTokEnv::single_byte_env(), this.grammar())?;
        Ok(this)
    }

    /// Without space between tokens of JSON: a small model would like it too well and never come to the end.
    pub(super) fn grammar(&self) -> TopLevelGrammar {
        let mut schema = self.0.clone();
        if schema.is_object() {
            let options = JsonCompileOptions {
                whitespace_flexible: false,
                ..JsonCompileOptions::default()
            };
            options.apply_to(&mut schema);
        }
        TopLevelGrammar::from_json_schema(schema)
    }
}

/// `llguidance` says what it cannot do with the keywords it knows, and passes over those it does not know, as the
/// specification wants it: a misspelt one would allow anything.
fn check(schema: &Value, place: &str) -> Result<(), ConstraintError> {
    let fields = match schema {
        Value::Object(fields) => fields,
        Value::Bool(_) => return Ok(()),
        _ => {
            return Err(ConstraintError::NotASchema {
                place: place.to_owned(),
                found: kind(schema).to_owned(),
            });
        }
    };
    for (keyword, value) in fields {
        let name = keyword.as_str();
        if !HONOURED.contains(&name) && !REMARKS.contains(&name) {
            return Err(ConstraintError::Keyword {
                place: place.to_owned(),
                keyword: keyword.clone(),
            });
        }
        let place = format!("{place}/{keyword}");
        match (name, value) {
            (
                "properties" | "patternProperties" | "$defs" | "definitions",
                Value::Object(schemas),
            ) => {
                for (name, schema) in schemas {
                    check(schema, &format!("{place}/{name}"))?;
                }
            }
            ("anyOf" | "oneOf" | "allOf" | "prefixItems" | "items", Value::Array(schemas)) => {
                for (index, schema) in schemas.iter().enumerate() {
                    check(schema, &format!("{place}/{index}"))?;
                }
            }
            ("items" | "additionalItems" | "additionalProperties", schema) => {
                check(schema, &place)?;
            }
            // The grammar's maker says what is wrong with the others.
            _ => {}
        }
    }
    Ok(())
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
