//! A text of which only what follows a mark is held to a schema.

use glass_generate::{Choice, GenerateOptions, JsonSchema, MarkedSchema, Sequence};
use glass_testing::tokenizers;
use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};
use serde_json::{Value, json};

use crate::constraint::tiny;

/// Behind each mark comes JSON of its schema, perhaps behind some space, and elsewhere whatever is drawn.
#[test]
fn what_follows_a_mark_satisfies_its_schema() {
    for json in [tokenizers::byte_level(), tokenizers::char_level(&(' '..='~').collect::<String>())] {
        let tokenizer = tiny(&json);
        let vocab_size = tokenizer.vocab_size();
        let bytes = tokenizer.token_bytes(vocab_size).expect("a decoder");
        let mut options = GenerateOptions::new(8000);
        options.sampling.temperature = 1.0;
        let marked = |mark: &str, schema: Value| MarkedSchema {
            mark: mark.to_owned(),
            schema: JsonSchema::parse(&schema.to_string()).expect("a schema"),
        };
        options.marked_schemas = vec![marked(":", json!({"enum": ["red", 7]})), marked("%", json!({"const": [true]}))];
        let mut sequence = Sequence::new(&[1], &options, vocab_size, Some(&tokenizer)).expect("options that fit");
        assert_eq!(sequence.choice(1), Choice::Host);
        let (mut rng, mut text) = (ChaCha12Rng::seed_from_u64(3), String::new());
        while sequence.finish_reason().is_none() {
            // Half a character would hide what is behind it.
            let logit = |word: &Vec<u8>| if word.is_ascii() && word.len() == 1 { 1.0 } else { f32::NEG_INFINITY };
            let mut row: Vec<f32> =
                bytes.iter().map(|word| logit(word) + rng.next_u32() as f32 / u32::MAX as f32).collect();
            text += &sequence.advance(&mut row).expect("a token").text;
        }
        let marks: Vec<(usize, &str)> = text.match_indices([':', '%']).collect();
        assert!(marks.len() > 50, "{}", marks.len());
        // The last may be cut.
        for (at, mark) in &marks[..marks.len() - 1] {
            let rest = text[at + 1..].trim_start();
            let starts = |json: &str| rest.starts_with(json);
            let follows = if *mark == ":" { starts("\"red\"") || starts("7") } else { starts("[true]") };
            assert!(follows, "{mark} {:?}", &rest[..rest.len().min(20)]);
        }
    }
}

/// What such a token says behind the mark cannot be taken back.
#[test]
fn a_mark_in_a_token_that_goes_on_otherwise_is_text() {
    let tokenizer = tiny(&tokenizers::byte_level());
    let vocab_size = tokenizer.vocab_size();
    let he = tokenizer.token_id("he").expect("a merge");
    let mut options = GenerateOptions::new(100);
    let schema = JsonSchema::parse("{\"const\": \"x\"}").expect("a schema");
    options.marked_schemas = vec![MarkedSchema { mark: "h".to_owned(), schema }];
    let mut sequence = Sequence::new(&[1], &options, vocab_size, Some(&tokenizer)).expect("options that fit");
    let mut text = String::new();
    for wanted in [he, u32::from(b'z'), u32::from(b'h'), u32::from(b'z'), u32::from(b'z')] {
        let mut row = vec![0.0; vocab_size];
        row[wanted as usize] = 9.0;
        text += &sequence.advance(&mut row).expect("a token").text;
    }
    assert!(text.starts_with("hezh"), "{text:?}");
    assert!(!text[4..].contains('z'), "{text:?}");
}
