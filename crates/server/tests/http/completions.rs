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
    // llama-server's name of the same.
    let four = ask(json!({"n_predict": 4, "ignore_eos": true})).ok();
    assert_eq!(four["usage"]["completion_tokens"], 4);
    assert_eq!(ask(json!({"top_logprobs": 2})).json()["error"]["param"], "top_logprobs");
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

/// What evaluation harnesses ask, in their own words: how probable the prompt was.
#[test]
fn a_prompt_has_log_probabilities_too() {
    let ids = |text: &str| -> Vec<u64> {
        let tokens = post(shared(), "/tokenize", &json!({"prompt": text})).ok()["tokens"].clone();
        tokens.as_array().unwrap().iter().map(|id| id.as_u64().unwrap()).collect()
    };
    let texts = ["Once upon a time".to_owned(), "It was a dark night. ".repeat(30)];
    let prompts = [ids(&texts[0]), ids(&texts[1])];
    let harness = |more: Value| {
        let mut body = json!({"model": "tiny", "prompt": prompts, "temperature": 0, "max_tokens": 1, "logprobs": 1,
                              "seed": 1234, "echo": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(shared(), "/v1/completions", &body)
    };
    let body = harness(json!({})).ok();
    let list = |told: &Value, name: &str| told[name].as_array().unwrap().clone();
    for (index, prompt) in prompts.iter().enumerate() {
        let told = &body["choices"][index]["logprobs"];
        let [logprobs, top] = ["token_logprobs", "top_logprobs"].map(|name| list(told, name));
        assert_eq!((logprobs.len(), top.len()), (prompt.len() + 1, prompt.len() + 1));
        assert!(logprobs[0].is_null() && top[0].is_null(), "nothing is before the first");
        let offsets = list(told, "text_offset");
        assert_eq!((&offsets[1], &offsets[prompt.len() - 1]), (&json!(0), &json!(texts[index].len() - 1)));
        assert_eq!(list(told, "tokens")[1], texts[index][..1]);
        // The same as if each were a new token, forced by a bias, of which log-probabilities know nothing.
        for at in [1, 2, prompt.len() / 2, prompt.len() - 1] {
            let bias = json!({prompt[at].to_string(): 100});
            let alone = ask(json!({"prompt": prompt[..at], "max_tokens": 1, "logprobs": 1, "logit_bias": bias})).ok();
            let [found, expected] = [&logprobs[at], &alone["choices"][0]["logprobs"]["token_logprobs"][0]];
            assert!((found.as_f64().unwrap() - expected.as_f64().unwrap()).abs() < 1e-4, "{at}: {found} {expected}");
            let best = top[at].as_object().unwrap().values().next().unwrap();
            assert!(best.as_f64() >= found.as_f64());
        }
        // The stream tells the same, and so does a request for the prompt alone.
        let chunks = harness(json!({"stream": true, "prompt": prompt})).chunks();
        let told = chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["token_logprobs"].as_array());
        assert_eq!(told.flatten().cloned().collect::<Vec<_>>(), logprobs);
        let alone = harness(json!({"max_tokens": 0, "prompt": texts[index]})).ok();
        let choice = &alone["choices"][0];
        assert_eq!(list(&choice["logprobs"], "token_logprobs"), logprobs[..prompt.len()]);
        assert_eq!((choice["text"].as_str(), choice["finish_reason"].as_str()), (Some(&*texts[index]), Some("length")));
        assert_eq!(alone["usage"]["completion_tokens"], 0);
    }
    let plain = ask(json!({"echo": true, "max_tokens": 0})).ok();
    assert_eq!((&plain["choices"][0]["text"], &plain["choices"][0]["logprobs"]), (&json!("Once"), &Value::Null));
    assert_eq!(ask(json!({"max_tokens": 0})).json()["error"]["param"], "max_tokens");
    let two = ask(json!({"echo": true, "max_tokens": 0, "logprobs": 0, "n": 2})).ok();
    assert_eq!(two["choices"][0]["logprobs"], two["choices"][1]["logprobs"]);
    assert_eq!(two["usage"]["prompt_tokens"], 5);
}
