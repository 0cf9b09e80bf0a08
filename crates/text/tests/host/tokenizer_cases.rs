//! Tokenizers of real models against ids and texts of their reference. [`fixtures::real`] says where they are.

use std::fs;

use glass_testing::{Random, fixtures};
use glass_text::{StreamingDetokenizer, Tokenizer};
use serde_json::Value;

fn load(name: &str, cases: &str) -> Option<(Tokenizer, Vec<Value>)> {
    let folder = fixtures::real(name)?;
    // The cases are of this file alone: what the class that a folder names makes of it is tested by `folder_cases`.
    let file = fs::read(folder.join("tokenizer.json")).unwrap();
    let tokenizer = Tokenizer::from_json(&file, "tokenizer.json").unwrap();
    assert_eq!(tokenizer.warnings(), [""; 0]);
    let json: Value = serde_json::from_slice(&fs::read(folder.join(cases)).unwrap()).unwrap();
    let cases = json.get("cases").unwrap_or(&json).as_array().unwrap();
    assert!(cases.len() > 50);
    Some((tokenizer, cases.clone()))
}

fn ids(value: &Value) -> Vec<u32> {
    let ids = value.as_array().unwrap().iter();
    ids.map(|id| id.as_u64().unwrap() as u32).collect()
}

fn check(name: &str) {
    let Some((tokenizer, cases)) = load(name, "cases.json") else {
        return;
    };
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        let expected = ids(&case["ids"]);
        assert_eq!(tokenizer.encode(text, true).unwrap(), expected, "{text:?}");
        let plain = tokenizer.encode(text, false).unwrap();
        assert_eq!(plain, ids(&case["ids_no_special"]), "{text:?}");
        // The reference decodes the ids without BOS, which has no text when special tokens are skipped.
        assert_eq!(tokenizer.decode(&plain, false).unwrap(), case["decoded"]);
        for ids in [&plain, &expected] {
            let decoded = tokenizer.decode(ids, true).unwrap();
            assert_eq!(decoded, case["decoded_skip_special"], "{text:?}");
        }
        stream(&tokenizer, &[], &expected);
    }
    random(&tokenizer);
}

fn stream(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32]) {
    for skip in [false, true] {
        let before = tokenizer.decode(prompt, skip).unwrap();
        let all = tokenizer.decode(&[prompt, ids].concat(), skip).unwrap();
        let Some(after) = all.strip_prefix(&before) else {
            continue;
        };
        let mut stream = StreamingDetokenizer::new(tokenizer, prompt, skip).unwrap();
        let mut text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
        text.push_str(&stream.finish().unwrap());
        assert_eq!(text, after, "{prompt:?} {ids:?}");
    }
}

fn random(tokenizer: &Tokenizer) {
    let mut random = Random::new(7);
    let size = tokenizer.vocab_size();
    for round in 0..400 {
        // Low ids are special tokens and bytes: every other round is full of them.
        let limit = if round % 2 == 0 { size } else { size.min(300) };
        let mut draw = |n: usize| -> Vec<u32> { (0..n).map(|_| random.below(limit) as u32).collect() };
        let (prompt, ids) = (draw(20), draw(50));
        stream(tokenizer, &prompt, &ids);
    }
}

#[test]
fn tinyllama() {
    check("tinyllama");
}

#[test]
fn mistral() {
    check("mistral-v0.3");
}

#[test]
fn gpt2() {
    check("gpt2");
}

#[test]
fn stories260k() {
    let Some((tokenizer, cases)) = load("stories260K-hf", "tokenizer_cases.json") else {
        return;
    };
    for case in &cases {
        let text = case["text"].as_str().unwrap();
        let expected = ids(&case["ids"]);
        assert_eq!(tokenizer.encode(text, true).unwrap(), expected, "{text:?}");
        assert_eq!(tokenizer.decode(&expected, true).unwrap(), case["decoded"], "{text:?}");
        let tokens = case["tokens"].as_array().unwrap();
        for (id, token) in expected.iter().zip(tokens) {
            assert_eq!(tokenizer.token(*id).as_deref(), token.as_str());
        }
        stream(&tokenizer, &[], &expected);
    }
    random(&tokenizer);
}
