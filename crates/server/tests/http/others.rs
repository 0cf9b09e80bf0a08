//! Models, health, numbers, tokens, embeddings, the page.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use glass_server::{Limits, Trust};
use serde_json::{Value, json};

use crate::{
    client::{get, post},
    server::{broken, listening, options, served, shared, wordless},
};

#[test]
fn models_are_listed_by_every_name() {
    let body = get(shared(), "/v1/models").ok();
    let names: Vec<&str> = body["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert_eq!(names, ["tiny", "org/tiny"]);
    for path in ["/v1/models/tiny", "/v1/models/org/tiny", "/v1//models//tiny"] {
        let model = get(shared(), path).ok();
        assert_eq!((&model["object"], &model["max_model_len"]), (&json!("model"), &json!(1024)), "{path}");
    }
}

#[test]
fn health_says_whether_there_is_a_model() {
    let server = listening(Trust::default(), Limits::default());
    let address = server.address();
    let loading = get(address, "/health");
    assert_eq!((loading.status, loading.header("retry-after")), (503, Some("2")));
    assert_eq!(post(address, "/v1/chat/completions", &json!({})).status, 503);
    assert_eq!(get(address, "/").status, 200, "the page waits");
    server.serve(served(options()));
    assert_eq!(get(address, "/health").ok(), json!({"status": "ok"}));
}

#[test]
fn numbers_grow() {
    let count = || {
        let answer = get(shared(), "/metrics");
        let line =
            answer.text().lines().find(|line| line.starts_with("glass_generated_tokens_total ")).map(str::to_owned);
        line.unwrap().split(' ').nth(1).unwrap().parse::<u64>().unwrap()
    };
    let before = count();
    post(shared(), "/v1/completions", &json!({"prompt": "a", "max_tokens": 4, "ignore_eos": true})).ok();
    assert!(count() >= before + 4);
}

#[test]
fn text_to_tokens_and_back() {
    let text = "Once upon";
    let body = post(shared(), "/tokenize", &json!({"content": text, "with_pieces": true})).ok();
    let pieces: String =
        body["tokens"].as_array().unwrap().iter().map(|token| token["piece"].as_str().unwrap()).collect();
    assert_eq!(pieces, text);
    let plain = post(shared(), "/tokenize", &json!({"content": text})).ok();
    let special = post(shared(), "/tokenize", &json!({"prompt": text})).ok();
    assert_eq!(special["count"].as_u64().unwrap(), plain["count"].as_u64().unwrap() + 1, "a prompt begins with <s>");
    let back = post(shared(), "/detokenize", &json!({"tokens": plain["tokens"]})).ok();
    assert_eq!(back["content"], text);
    let beyond = post(shared(), "/detokenize", &json!({"tokens": [5, 99_999_999]}));
    assert_eq!((beyond.status, &beyond.json()["error"]["param"]), (400, &json!("tokens")));
    assert!(beyond.text().contains("99999999"), "{}", beyond.text());
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

#[test]
fn embeddings_are_unit_vectors_in_both_formats() {
    let body = post(shared(), "/v1/embeddings", &json!({"model": "tiny", "input": ["Once", "Twice", "Once"]})).ok();
    let vectors: Vec<Vec<f64>> =
        body["data"].as_array().unwrap().iter().map(|item| numbers(&item["embedding"])).collect();
    assert!(vectors.iter().all(|vector| vector.len() == 64));
    let length: f64 = vectors[0].iter().map(|value| value * value).sum();
    assert!((length - 1.0).abs() < 1e-4, "{length}");
    assert!(vectors[0] == vectors[2] && vectors[0] != vectors[1]);
    let coded = post(shared(), "/v1/embeddings", &json!({"input": "Once", "encoding_format": "base64"})).ok();
    let bytes = STANDARD.decode(coded["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let decoded: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let plain: Vec<f32> = vectors[0].iter().map(|value| *value as f32).collect();
    assert_eq!(decoded, plain);
    let last = post(shared(), "/v1/embeddings", &json!({"input": "Once", "pooling": "last"})).ok();
    assert_ne!(numbers(&last["data"][0]["embedding"]), vectors[0]);
    let refused = post(shared(), "/v1/embeddings", &json!({"input": "Once", "dimensions": 8}));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("dimensions")));
    let long = post(shared(), "/v1/embeddings", &json!({"input": vec![5; 1025]}));
    assert!(long.status == 400 && long.text().contains("shorten it by 1\""), "{}", long.text());
}

#[test]
fn numbers_that_are_none_are_no_vector() {
    let answer = post(broken().address(), "/v1/embeddings", &json!({"input": [1, 2]}));
    assert!(answer.status == 500 && answer.text().contains("NaN"), "{}", answer.text());
}

/// The ids are the text, as `glass generate` prints them.
#[test]
fn a_model_without_a_tokenizer_says_ids() {
    let server = wordless();
    let ask = |more: Value| {
        let mut body = json!({"prompt": [1, 2], "max_tokens": 2, "seed": 1, "ignore_eos": true});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(server.address(), "/v1/completions", &body)
    };
    let choice = ask(json!({"logprobs": 2, "echo": true})).ok()["choices"][0].clone();
    let text = choice["text"].as_str().unwrap();
    assert!(text.starts_with("1 2 ") && text.split_whitespace().count() == 4, "{text:?}");
    let tokens = choice["logprobs"]["tokens"].as_array().unwrap();
    assert_eq!(tokens.iter().map(|token| token.as_str().unwrap()).collect::<String>(), text);
    assert_eq!(choice["logprobs"]["top_logprobs"][1].as_object().unwrap().len(), 2);
    let refused = ask(json!({"stop": ["a"]}));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("stop")));
}

#[test]
fn the_page_is_one_file() {
    let page = get(shared(), "/");
    assert_eq!(page.header("content-type"), Some("text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").is_some_and(|policy| policy.contains("default-src 'none'")));
    let text = page.text();
    for elsewhere in ["src=", "href=", "@import", "http://", "https://", "innerHTML"] {
        assert!(!text.contains(elsewhere), "{elsewhere}");
    }
}
