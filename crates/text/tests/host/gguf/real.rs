//! Real GGUF files against `expected.json` of the shared reference data. They lie in the folder that GLASS_REAL_GGUF names
//! (`real/get.sh` there fetches them).

use std::{env, fs, path::PathBuf, time::Instant};

use glass_gguf::Gguf;
use glass_testing::fixtures;
use glass_text::{ChatInput, ChatTemplate, StreamingDetokenizer, Tokenizer};
use serde_json::Value;

use super::ids;

fn check(name: &str, file: &str) {
    let Some(folder) = env::var_os("GLASS_REAL_GGUF").map(PathBuf::from) else {
        println!("skipped: no {file} (set GLASS_REAL_GGUF)");
        return;
    };
    let Some(expected) = fixtures::real(name) else {
        return;
    };
    let expected: Value = serde_json::from_slice(&fs::read(expected.join("expected.json")).unwrap()).unwrap();
    let start = Instant::now();
    let gguf = Gguf::open(&folder.join(file)).unwrap();
    let opened = start.elapsed();
    let tokenizer = Tokenizer::from_gguf(gguf.metadata()).unwrap().unwrap();
    println!("{file}: opened in {opened:?}, tokenizer in {:?}", start.elapsed() - opened);
    let cases = expected["tokenizer_cases"].as_array().unwrap();
    assert!(cases.len() >= 20);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        assert_eq!(tokenizer.encode(text, false), Ok(ids(&case["ids"])), "{text:?}");
        assert_eq!(tokenizer.encode(text, true), Ok(ids(&case["with_special"])), "{text:?}");
        assert_eq!(tokenizer.decode(&ids(&case["ids"]), false).as_deref(), Ok(case["decoded"].as_str().unwrap()));
        let mut stream = StreamingDetokenizer::new(&tokenizer, &[], false).unwrap();
        let mut streamed: String = ids(&case["ids"]).iter().map(|&id| stream.push(id).unwrap()).collect();
        streamed.push_str(&stream.finish().unwrap());
        assert_eq!(streamed, case["decoded"].as_str().unwrap());
    }
    let chats = expected["chat"].as_array().map_or(&[][..], Vec::as_slice);
    for chat in chats {
        let template = ChatTemplate::from_gguf(gguf.metadata()).unwrap();
        let messages = chat["messages"].as_array().unwrap().clone();
        let input = ChatInput { messages, add_generation_prompt: true, ..ChatInput::default() };
        assert_eq!(template.render(&input).as_deref(), Ok(chat["prompt"].as_str().unwrap()));
    }
    assert_eq!(chats.is_empty(), name.starts_with("gemma"), "a base model has no chats");
}

#[test]
fn smollm2_gives_the_ids_and_chats_of_the_reference() {
    check("smollm2-135m-instruct", "SmolLM2-135M-Instruct.Q4_1.gguf");
}

#[test]
fn gemma_3_gives_the_ids_of_the_reference() {
    check("gemma3-270m", "gemma-3-270m-Q4_K_M.gguf");
}
