//! What is refused, and in which words.

use serde_json::{Value, json};

use crate::{
    client::{Answer, get, post, request},
    server::{folder, refuses, shared},
};

fn chat(more: Value) -> Answer {
    let mut body = json!({ "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 2 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/chat/completions", &body)
}

#[test]
fn every_error_names_its_parameter() {
    let schema = |schema: Value| json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
    for (more, status, param) in [
        (json!({"model": "other"}), 404, "model"),
        (json!({"messages": []}), 400, "messages"),
        (json!({"messages": null}), 400, "messages"),
        (json!({"temperature": -0.5}), 400, "temperature"),
        (json!({"max_tokens": 0}), 400, "max_tokens"),
        (json!({"max_tokens": null, "n_predict": 0}), 400, "n_predict"),
        (json!({"n_predict": 3}), 400, "n_predict"),
        (json!({"max_tokens": 1e20}), 400, "max_tokens"),
        (json!({"think": true}), 400, "think"),
        (json!({"add_special_tokens": true}), 400, "add_special_tokens"),
        (json!({"n": 0}), 400, "n"),
        (json!({"n": 9}), 400, "n"),
        (json!({"top_logprobs": 21, "logprobs": true}), 400, "top_logprobs"),
        (json!({"top_logprobs": 2}), 400, "top_logprobs"),
        (json!({"audio": {}}), 400, "audio"),
        (json!({"stream": "yes"}), 400, "stream"),
        (json!({"response_format": {"type": "yaml"}}), 400, "response_format.type"),
        (json!({"response_format": {"type": "json_object"}, "stop": "a"}), 400, "stop"),
        (json!({"response_format": {"type": "json_object"}, "ignore_eos": true}), 400, "ignore_eos"),
        (json!({"max_tokens": 8, "max_completion_tokens": 2}), 400, "max_tokens"),
        (json!({"continue_final_message": true}), 400, "continue_final_message"),
        (
            json!({"messages": [{"role": "assistant", "content": "", "function_call": {"name": "f"}}]}),
            400,
            "messages[0].function_call",
        ),
        (schema(json!({"tpye": "object"})), 422, "response_format"),
        (schema(json!({"enum": ["x".repeat(70_000)]})), 400, "response_format"),
        // A state for each of a hundred million remainders.
        (schema(json!({"type": "integer", "multipleOf": 99_999_989})), 422, "response_format"),
        (json!({"chat_template_kwargs": {"messages": []}}), 400, "chat_template_kwargs"),
        (json!({"chat_template_kwargs": {"x": 1, "documents": []}}), 400, "chat_template_kwargs"),
        (json!({"chat_template_kwargs": {"add_generation_prompt": true}}), 400, "chat_template_kwargs"),
    ] {
        let answer = chat(more.clone());
        let error = &answer.json()["error"];
        assert_eq!((answer.status, error["param"].as_str()), (status, Some(param)), "{more}: {error}");
        assert!(!error["message"].as_str().unwrap().contains('\n') && error["type"].is_string());
    }
    let unknown = chat(json!({"surprise": 1, "user": "me"}));
    assert_eq!(unknown.status, 200, "what nobody knows is ignored");
}

#[test]
fn a_template_that_fails_names_what_was_said() {
    let server = refuses();
    for (path, param, said) in [
        ("/v1/responses", "input", json!("Hi")),
        ("/v1/chat/completions", "messages", json!([{"role": "user", "content": "Hi"}])),
    ] {
        let answer = post(server.address(), path, &json!({param: said}));
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(param)), "{}", answer.text());
    }
}

#[test]
fn a_prompt_that_is_too_long_hears_both_numbers() {
    let answer = chat(json!({"messages": [{"role": "user", "content": "x".repeat(2000)}]}));
    let error = &answer.json()["error"];
    assert_eq!((answer.status, &error["code"]), (400, &json!("context_length_exceeded")));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("1024") && message.contains("201"), "{message}");
    // An answer that would go over the end is cut there, and says so.
    let body = chat(
        json!({"messages": [{"role": "user", "content": "x".repeat(1000)}], "max_tokens": 500, "ignore_eos": true}),
    );
    assert_eq!(body.ok()["choices"][0]["finish_reason"], "length");
}

/// A prompt of the first tokens of the model, which has 99, none of which may come twice.
fn once_each(tokens: u32, more: Value) -> Answer {
    let prompt: Vec<u32> = (0..tokens).collect();
    let mut body = json!({"prompt": prompt, "max_tokens": 5, "no_repeat_ngram_size": 1, "ignore_eos": true, "seed": 1});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/completions", &body)
}

/// A client would ask again what is the server's fault.
#[test]
fn a_request_that_leaves_no_token_is_at_fault() {
    let answer = once_each(99, json!({}));
    assert_eq!(answer.status, 422, "{}", answer.text());
}

#[test]
fn a_text_without_a_next_token_is_given_and_costs_no_other() {
    let first: Vec<u32> = (0..96).collect();
    let body = once_each(0, json!({"prompt": [first, [1, 2]], "n": 2})).ok();
    for (choice, end) in [(0, json!("no_token")), (1, json!("no_token")), (2, Value::Null), (3, Value::Null)] {
        let reason = if end.is_null() { "length" } else { "stop" };
        let choice = &body["choices"][choice];
        assert_eq!((&choice["finish_reason"], &choice["glass_finish_reason"]), (&json!(reason), &end), "{body}");
    }
    assert_eq!(body["usage"]["completion_tokens"], 3 + 3 + 5 + 5);
    let chunks = once_each(96, json!({"stream": true})).chunks();
    let text: String = chunks.iter().filter_map(|chunk| chunk["choices"][0]["text"].as_str()).collect();
    assert_eq!(text, body["choices"][0]["text"].as_str().unwrap());
    assert_eq!(chunks.last().unwrap()["choices"][0]["glass_finish_reason"], "no_token");

    // Each protocol says so in its own place.
    for (path, asked, place) in [
        (
            "/v1/chat/completions",
            json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500}),
            "/choices/0",
        ),
        ("/v1/messages", json!({"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 500}), ""),
        ("/v1/responses", json!({"input": "Hi", "max_output_tokens": 500}), ""),
    ] {
        let mut body = json!({"no_repeat_ngram_size": 1, "ignore_eos": true});
        body.as_object_mut().unwrap().extend(asked.as_object().unwrap().clone());
        let answer = post(shared(), path, &body).ok();
        assert_eq!(answer.pointer(place).unwrap()["glass_finish_reason"], "no_token", "{path}: {answer}");
    }
}

#[test]
fn paths_methods_and_bodies_that_are_none() {
    let address = shared();
    assert_eq!(get(address, "/v1/nothing").status, 404);
    assert_eq!(get(address, "/v1/chat/completions").status, 405);
    assert_eq!(request(address, "POST", "/v1/models", &[], "").status, 405);
    for body in ["", "{", "[]", "null", "\u{0}", &"[".repeat(100_000)] {
        let answer = request(address, "POST", "/v1/chat/completions", &[], body);
        assert_eq!(
            (answer.status, &answer.json()["error"]["type"]),
            (400, &json!("invalid_request_error")),
            "{body:.20}"
        );
    }
    assert_eq!(get(address, "/v1/models/other").json()["error"]["code"], "model_not_found");
}

#[test]
fn no_answer_shows_a_path_of_the_machine() {
    let own = folder().canonicalize().unwrap();
    let own = own.to_str().unwrap();
    let address = shared();
    let mut answers: Vec<Answer> =
        ["/v1/models", "/health", "/metrics", "/", "/v1/nothing"].iter().map(|path| get(address, path)).collect();
    answers.push(post(address, "/v1/completions", &json!({"prompt": [98_000]})));
    answers.push(post(address, "/v1/embeddings", &json!({"input": ""})));
    answers.push(chat(json!({"messages": [{"role": "tool", "content": "{% raise %}"}]})));
    for answer in answers {
        assert!(!answer.text().contains(own) && !answer.text().contains("/weights/"), "{}", answer.text());
        assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
    }
}
