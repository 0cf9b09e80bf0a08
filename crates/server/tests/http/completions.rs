//! `/v1/completions`.

use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::shared,
};

fn ask(more: Value) -> Answer {
    let mut body = json!({ "model": "tiny", "prompt": "Once", "seed": 7 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/completions", &body)
}

#[test]
fn a_text_goes_on() {
    let body = ask(json!({})).ok();
    assert_eq!(body["object"], "text_completion");
    assert!(body["usage"]["completion_tokens"].as_u64().unwrap() <= 16, "OpenAI's number of tokens");
    let text = body["choices"][0]["text"].as_str().unwrap();
    let chunks = ask(json!({"stream": true})).chunks();
    let streamed: String = chunks.iter().map(|chunk| chunk["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(streamed, text);
    let echoed = ask(json!({"echo": true})).ok();
    assert_eq!(echoed["choices"][0]["text"], format!("Once{text}"));
    let echoes = ask(json!({"echo": true, "stream": true})).chunks();
    assert_eq!(echoes[0]["choices"][0]["text"], "Once");
    // The ids of a prompt are the prompt.
    let ids = post(shared(), "/tokenize", &json!({"prompt": "Once"})).ok()["tokens"].clone();
    assert_eq!(ask(json!({"prompt": ids})).ok()["choices"][0]["text"], text);
}

#[test]
fn several_prompts_in_one_request() {
    let body = ask(json!({"prompt": ["Once", "Twice"], "n": 2})).ok();
    let choices = body["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    for (index, (prompt, seed)) in [("Once", 7), ("Once", 8), ("Twice", 7), ("Twice", 8)].into_iter().enumerate() {
        let alone = ask(json!({"prompt": prompt, "seed": seed})).ok();
        assert_eq!(choices[index]["text"], alone["choices"][0]["text"], "{prompt} {seed}");
        assert_eq!(choices[index]["index"], index);
    }
    let one = ask(json!({})).ok()["usage"]["prompt_tokens"].as_u64().unwrap();
    assert_eq!(body["usage"]["prompt_tokens"].as_u64().unwrap(), 2 * one + 1, "a prompt counts once");
}

#[test]
fn log_probabilities_are_lists() {
    let body = ask(json!({"logprobs": 2})).ok();
    let told = &body["choices"][0]["logprobs"];
    let tokens: Vec<&str> = told["tokens"].as_array().unwrap().iter().map(|token| token.as_str().unwrap()).collect();
    assert_eq!(tokens.concat(), body["choices"][0]["text"]);
    assert_eq!(told["token_logprobs"].as_array().unwrap().len(), tokens.len());
    assert!(told["top_logprobs"].as_array().unwrap().iter().all(|top| top.as_object().unwrap().len() == 2));
    let offsets: Vec<u64> = told["text_offset"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    assert!(offsets[0] == 0 && offsets.is_sorted());
}
