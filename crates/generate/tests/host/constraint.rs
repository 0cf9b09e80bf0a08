//! JSON under a schema without a model: logits are drawn, so that every allowed token is met sooner or later.

use std::collections::HashSet;

use glass_generate::{Constraint, Error, JsonSchema, Sampler, SamplingConfig};
use glass_testing::{fixtures, tokenizers};
use glass_text::{StreamingDetokenizer, Tokenizer};
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};

pub fn tiny(json: &Value) -> Tokenizer {
    Tokenizer::from_json(json.to_string().as_bytes(), "tiny/tokenizer.json").unwrap()
}

/// A schema, and what its texts have to be, said once more by hand.
type Case = (Value, fn(&Value) -> bool);

/// -0 is a whole number too.
fn is_whole(value: &Value, bounds: std::ops::RangeInclusive<f64>) -> bool {
    value.as_f64().is_some_and(|n| n.fract() == 0.0 && bounds.contains(&n))
}

fn is_point(value: &Value) -> bool {
    value.as_object().is_some_and(|all| all.len() == 2)
        && is_whole(&value["x"], -20.0..=135.0)
        && is_whole(&value["y"], -20.0..=135.0)
}

fn letters(value: &Value, lengths: std::ops::RangeInclusive<usize>) -> bool {
    let text = value.as_str();
    text.is_some_and(|text| lengths.contains(&text.chars().count()))
}

fn cases() -> Vec<Case> {
    let whole = json!({"type": "integer", "minimum": -20, "maximum": 135});
    let point = json!({"type": "object", "properties": {"x": whole, "y": whole}, "required": ["x", "y"],
                       "additionalProperties": false});
    vec![
        (point.clone(), is_point),
        (
            json!({"type": "object", "properties": {"a": point, "b": {"type": "boolean"}}, "required": ["a"],
                   "additionalProperties": false}),
            |value| {
                let all = value.as_object().expect("an object");
                let b = all.get("b");
                is_point(&value["a"]) && b.is_none_or(Value::is_boolean) && all.len() == 1 + usize::from(b.is_some())
            },
        ),
        (json!({"enum": ["red", "green", 7, null]}), |value| {
            [json!("red"), json!("green"), json!(7), json!(null)].contains(value)
        }),
        (json!({"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 3}), |value| {
            let items = value.as_array().expect("a list");
            (1..=3).contains(&items.len()) && items.iter().all(Value::is_boolean)
        }),
        (json!({"type": "string", "minLength": 2, "maxLength": 5}), |value| letters(value, 2..=5)),
        (json!({"type": "string", "pattern": "^[a-c]{2}-[0-9]+$"}), |value| {
            let (front, back) = value.as_str().and_then(|s| s.split_once('-')).expect("-");
            front.len() == 2
                && front.bytes().all(|c| (b'a'..=b'c').contains(&c))
                && !back.is_empty()
                && back.bytes().all(|c| c.is_ascii_digit())
        }),
        (json!({"type": "boolean"}), Value::is_boolean),
        (json!({"type": "null"}), Value::is_null),
        (json!({"const": {"né": [1, "😀"]}}), |value| *value == json!({"né": [1, "😀"]})),
        (json!({"type": "number", "minimum": 0, "exclusiveMaximum": 2}), |value| {
            value.as_f64().is_some_and(|n| (0.0..2.0).contains(&n))
        }),
        (json!({"type": ["number", "null"]}), |value| {
            value.is_null() || value.as_f64().is_some_and(|n| n.abs() < 9.1e15)
        }),
        (json!({"type": "number", "minimum": 1e16}), |value| value.as_f64().is_some_and(|n| n >= 1e16)),
        (json!({"type": "integer", "maximum": 9}), |value| is_whole(value, -9.1e15..=9.0)),
        (json!({"type": "integer", "multipleOf": 5}), |value| {
            is_whole(value, -9.1e15..=9.1e15) && value.as_f64().is_some_and(|n| n % 5.0 == 0.0)
        }),
        (
            json!({"$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 1}},
                   "$ref": "#/$defs/tree"}),
            |value| {
                let mut value = value;
                while let Some(inner) = value.get(0) {
                    value = inner;
                }
                *value == json!([])
            },
        ),
        (json!({"anyOf": [{"type": "null"}, {"type": "string", "maxLength": 3}]}), |value| {
            value.is_null() || letters(value, 0..=3)
        }),
    ]
}

struct Drawn {
    ids: Vec<u32>,
    text: String,
    whole: bool,
}

fn boxed(error: impl Into<Error>) -> Box<Error> {
    Box::new(error.into())
}

/// Draws a text; `temperature` 0 takes the best of every row.
fn draw(
    schema: &JsonSchema,
    tokenizer: &Tokenizer,
    vocab_size: usize,
    eos: &[u32],
    seed: u64,
    temperature: f32,
) -> Result<Drawn, Box<Error>> {
    let mut constraint = Constraint::new(schema, tokenizer, vocab_size, eos).map_err(boxed)?;
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    let mut sampler = Sampler::new(SamplingConfig { temperature, seed, ..SamplingConfig::default() }).map_err(boxed)?;
    let mut stream = StreamingDetokenizer::new(tokenizer, &[], true).map_err(boxed)?;
    let mut drawn = Drawn { ids: vec![], text: String::new(), whole: false };
    while !drawn.whole && drawn.ids.len() < 4000 {
        let mut row: Vec<f32> = (0..vocab_size).map(|_| rng.next_u32() as f32 / u32::MAX as f32 * 4.0).collect();
        constraint.mask(&mut row).map_err(boxed)?;
        let id = sampler.sample(&mut row, &drawn.ids).map_err(boxed)?;
        drawn.ids.push(id);
        drawn.text += &stream.push(id).map_err(boxed)?;
        drawn.whole = constraint.push(id).map_err(boxed)?;
    }
    drawn.text += &stream.finish().map_err(boxed)?;
    Ok(drawn)
}

/// Whether there is space between the parts of a JSON value.
fn has_space_between(json: &str) -> bool {
    let (mut inside, mut escaped) = (false, false);
    json.chars().any(|c| {
        match c {
            '"' if !escaped => inside = !inside,
            _ => {}
        }
        escaped = c == '\\' && !escaped;
        !inside && c.is_whitespace()
    })
}

/// Draws under every schema and judges what comes.
fn all_texts_are_right(name: &str, tokenizer: &Tokenizer, eos: &[u32], seeds: &[(u64, f32)]) {
    // Ids that only the model has lie behind the tokenizer's.
    let vocab_size = tokenizer.vocab_size() + 7;
    let bytes = tokenizer.token_bytes(vocab_size).expect("a decoder");
    // What may stand in a text: no special token.
    let mut ordinary: HashSet<u32> = tokenizer.ordinary_ids().into_iter().collect();
    if tokenizer.token_id("<0x00>").is_some() {
        ordinary.extend((0..=255).filter_map(|byte| tokenizer.token_id(&format!("<0x{byte:02X}>"))));
    }
    for (schema, is_right) in cases() {
        let read = JsonSchema::parse(&schema.to_string()).expect("a schema");
        for &(seed, temperature) in seeds {
            let drawn = draw(&read, tokenizer, vocab_size, eos, seed, temperature);
            let Drawn { ids, text, whole } = drawn.expect("a text");
            let who = format!("{name}, {schema}, seed {seed}: {text:?}");
            assert!(whole, "{who}");
            let value: Value = serde_json::from_str(&text).expect(&who);
            assert!(is_right(&value), "{who}");
            assert!(!has_space_between(&text), "{who}");
            assert_eq!(tokenizer.decode(&ids, true).unwrap(), text, "{who}");
            let spelt: Vec<u8> =
                ids.iter().filter(|id| !eos.contains(id)).flat_map(|id| bytes[*id as usize].clone()).collect();
            assert_eq!(spelt, text.as_bytes(), "{who}");
            let (last, before) = ids.split_last().expect("a token");
            assert!(before.iter().all(|id| ordinary.contains(id)), "{who}");
            assert!(ordinary.contains(last) || eos.contains(last), "{who}");
        }
    }
}

#[test]
fn whatever_the_logits_the_text_satisfies_the_schema() {
    let letters = (' '..='~').collect::<String>() + "é😀";
    for (name, json, eos) in [
        ("byte-level", tokenizers::byte_level(), &[261][..]),
        ("byte-fallback", tokenizers::byte_fallback(true), &[2]),
        ("char-level", tokenizers::char_level(&letters), &[]),
    ] {
        let seeds = [(1, 0.0), (2, 1.0), (3, 1.0), (4, 0.3), (5, 3.0)];
        all_texts_are_right(name, &tiny(&json), eos, &seeds);
    }
}

#[test]
fn the_tokens_of_real_vocabularies_spell_it() {
    for (name, eos) in [("gpt2", 50256), ("mistral-v0.3", 2), ("tinyllama", 2), ("stories260K-hf", 2)] {
        if let Some(folder) = fixtures::real(name) {
            let tokenizer = Tokenizer::from_folder(&folder).unwrap().unwrap();
            all_texts_are_right(name, &tokenizer, &[eos], &[(1, 1.0)]);
        }
    }
}

#[test]
fn a_number_ends_where_the_model_ends_it_or_where_it_may() {
    let tokenizer = tiny(&tokenizers::byte_fallback(true));
    let schema = JsonSchema::parse(r#"{"type": "integer", "minimum": 10}"#).unwrap();
    let digit = u32::from(b'7') + 3;
    let vocab_size = tokenizer.vocab_size();
    let with = |eos: &[u32]| Constraint::new(&schema, &tokenizer, vocab_size, eos).unwrap();

    let mut open = with(&[2]);
    let allows = |constraint: &mut Constraint, id: u32| {
        let mut row = vec![0.0; vocab_size];
        constraint.mask(&mut row).unwrap();
        row[id as usize] == 0.0
    };
    assert!(!allows(&mut open, 2), "nothing is no number");
    assert!(!open.push(digit).unwrap());
    assert!(!allows(&mut open, 2), "7 is too small");
    assert!(!open.push(digit).unwrap());
    assert!(allows(&mut open, 2) && allows(&mut open, digit));
    assert!(!open.push(digit).unwrap());
    assert!(open.push(2).unwrap());

    let mut endless = with(&[]);
    assert!(!endless.push(digit).unwrap());
    assert!(endless.push(digit).unwrap(), "77 is the first that may end");
}

#[test]
fn a_token_that_was_not_left_is_an_error() {
    let tokenizer = tiny(&tokenizers::byte_level());
    let schema = JsonSchema::parse(r#"{"type": "boolean"}"#).unwrap();
    let mut constraint = Constraint::new(&schema, &tokenizer, 262, &[261]).unwrap();
    assert!(!constraint.push(u32::from(b't')).unwrap());
    let error = constraint.push(u32::from(b'x')).unwrap_err().to_string();
    assert!(error.starts_with("after \"t\": ") && !error.contains('\n'), "{error}");
}

#[test]
fn logits_that_are_no_numbers_stay() {
    let tokenizer = tiny(&tokenizers::byte_level());
    let schema = JsonSchema::parse(r#"{"type": "boolean"}"#).unwrap();
    let mut constraint = Constraint::new(&schema, &tokenizer, 262, &[261]).unwrap();
    let mut row = vec![1.0; 262];
    row[0] = f32::NAN;
    row[1] = f32::INFINITY;
    constraint.mask(&mut row).unwrap();
    assert!(row[0].is_nan());
    assert_eq!(row[1], f32::INFINITY);
    let left: Vec<usize> = (2..262).filter(|id| row[*id] == 1.0).collect();
    assert_eq!(left, [usize::from(b'f'), usize::from(b't')]);
}

#[test]
fn a_vocabulary_that_cannot_spell_it_says_so() {
    let tokenizer = tiny(&tokenizers::char_level("abc{}:1234 tru"));
    let start = |schema: &str| {
        let schema = JsonSchema::parse(schema).unwrap();
        draw(&schema, &tokenizer, tokenizer.vocab_size(), &[], 1, 1.0)
            .map(|drawn| drawn.text)
            .map_err(|error| error.to_string())
    };
    let dead = |text: &str| {
        Err(format!("the model's vocabulary cannot spell what the schema asks for: no token can follow {text:?}"))
    };
    assert_eq!(start(r#"{"type": "string"}"#), dead(""));
    assert_eq!(start(r#"{"type": "object", "properties": {"a": {"type": "null"}}, "required": ["a"]}"#), dead("{"));
    assert_eq!(start(r#"{"const": "true"}"#), dead(""));
    assert_eq!(start(r#"{"const": true}"#), dead("tru"));
    assert_eq!(start(r#"{"const": 42}"#), Ok("42".to_owned()));
}
