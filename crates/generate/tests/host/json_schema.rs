//! Schemas that are honoured as a whole or refused.

use glass_generate::{ConstraintError, JsonSchema};
use serde_json::json;

#[test]
fn a_schema_is_honoured_as_a_whole_or_refused() {
    let error = |text: &str| {
        let error = JsonSchema::parse(text).expect_err(text);
        assert!(!error.to_string().contains('\n'), "{error}");
        error
    };
    let says = |text: &str, words: &str| {
        let error = error(text).to_string();
        assert!(error.contains(words), "{text}: {error}");
    };
    assert!(matches!(error("{\"type\": "), ConstraintError::NotJson { .. }));
    assert!(matches!(error(""), ConstraintError::NotJson { .. }));
    says("[]", "#: a schema is an object, or true or false, not a list");
    says(r#"{"properties": {"a": 3}}"#, "#/properties/a: a schema is an object");
    for keyword in ["requried", "not", "if", "uniqueItems", "x-guidance", "$dynamicRef"] {
        let schema = json!({"items": {"anyOf": [{"type": "null", keyword: true}]}}).to_string();
        assert_eq!(
            error(&schema),
            ConstraintError::Keyword { place: "#/items/anyOf/0".to_owned(), keyword: keyword.to_owned() }
        );
    }
    for (schema, words) in [
        (r#"{"type": "strin"}"#, "strin"),
        (r#"{"type": 3}"#, "type"),
        (r#"{"type": "string", "pattern": "("}"#, "("),
        (r#"{"type": "string", "format": "colour"}"#, "colour"),
        (r##"{"$ref": "#/$defs/missing"}"##, "missing"),
        (r#"{"type": "integer", "minimum": 3, "maximum": 2}"#, "minimum"),
        (r#"{"enum": []}"#, "is empty"),
        (r#"{"const": [18446744073709551616]}"#, "the integer 18446744073709551616 at line 1 column 12"),
        // What no value satisfies, whatever the vocabulary.
        (r##"{"$ref": "#"}"##, "no value satisfies it"),
        (r##"{"$ref": "#/$defs/a", "$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}}"##, "no value satisfies it"),
        // The same key twice would be one.
        (r#"{"type": "object", "minProperties": 2}"#, "#/minProperties: of the 2 keys"),
        (r#"{"minProperties": 3, "required": ["a", "a"]}"#, "#/minProperties: of the 3 keys"),
        (
            r#"{"items": {"minProperties": 2, "additionalProperties": false, "patternProperties": {"^p_": {}}}}"#,
            "#/items/minProperties: of the 2 keys",
        ),
        (r#"{"type": "integer", "multipleOf": 10001}"#, "#/multipleOf: multiples of 10001"),
        (r#"{"items": {"type": "number", "multipleOf": 1.00007}}"#, "#/items/multipleOf"),
        (r#"{"type": "integer", "multipleOf": 1e9}"#, "remainders"),
        ("false", ""),
    ] {
        let error = error(schema);
        assert!(matches!(error, ConstraintError::Refused { .. }), "{error}");
        says(schema, "no text can be held to this schema: ");
        says(schema, words);
    }
    for step in ["10000", "10000.0", "0.01", "12.5"] {
        let schema = format!(r#"{{"type": "number", "multipleOf": {step}}}"#);
        assert!(JsonSchema::parse(&schema).is_ok(), "{step}");
    }
    for fields in [
        r#""minProperties": 1"#,
        r#""minProperties": 3, "required": ["a", "b"]"#,
        r#""minProperties": 2, "required": ["a", "b"], "properties": {"a": {}, "b": {}}, "additionalProperties": false"#,
    ] {
        assert!(JsonSchema::parse(&format!(r#"{{"type": "object", {fields}}}"#)).is_ok(), "{fields}");
    }
    // Annotations say nothing about values.
    JsonSchema::parse(r#"{"title": "t", "type": "null", "description": "d", "default": null}"#).unwrap();
    JsonSchema::parse("true").unwrap();
}
