//! `/v1/chat/completions`.

use serde_json::{Value, json};

use crate::{
    client::{Answer, post, request},
    server::shared,
};

const PATH: &str = "/v1/chat/completions";

fn chat(more: Value) -> Value {
    let mut body = json!({ "model": "tiny", "messages": [{"role": "user", "content": "Say something."}], "seed": 7,
                           "max_tokens": 24 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

fn ask(more: Value) -> Answer {
    post(shared(), PATH, &chat(more))
}

#[test]
fn an_answer_is_as_openai_says_it() {
    let body = ask(json!({})).ok();
    assert_eq!((&body["object"], &body["model"]), (&json!("chat.completion"), &json!("tiny")));
    let choice = &body["choices"][0];
    assert_eq!(choice["message"]["role"], "assistant");
    assert!(["stop", "length"].contains(&choice["finish_reason"].as_str().unwrap()));
    let usage = &body["usage"];
    assert!(usage["completion_tokens"].as_u64().unwrap() <= 24);
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["prompt_tokens"].as_u64().unwrap() + usage["completion_tokens"].as_u64().unwrap()
    );
    assert!(usage["prompt_tokens_details"]["cached_tokens"].is_u64());
    assert!(body["timings"]["predicted_ms"].as_f64().unwrap() >= 0.0);
    // The same seed, the same text; as parts, under an alias, under the other name of the limit.
    let parts = json!({"messages": [{"role": "user", "content": [{"type": "text", "text": "Say something."}]}],
                       "model": "org/tiny", "max_tokens": null, "max_completion_tokens": 24});
    assert_eq!(ask(parts).ok()["choices"][0]["message"], choice["message"]);
    assert_ne!(ask(json!({"seed": 8})).ok()["choices"][0]["message"], choice["message"]);
}

#[test]
fn a_stream_is_the_answer_in_pieces() {
    let whole = ask(json!({})).ok();
    let answer = ask(json!({"stream": true, "stream_options": {"include_usage": true}}));
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let chunks = answer.chunks();
    let (usage, chunks) = chunks.split_last().unwrap();
    assert_eq!(usage["choices"], json!([]));
    assert_eq!(usage["usage"]["completion_tokens"], whole["usage"]["completion_tokens"]);
    assert!(chunks.iter().all(|chunk| chunk["usage"].is_null() && chunk["id"] == usage["id"]));
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant", "the role comes first");
    let (last, texts) = chunks.split_last().unwrap();
    assert_eq!(last["choices"][0]["delta"], json!({}), "the reason comes alone");
    assert_eq!(last["choices"][0]["finish_reason"], whole["choices"][0]["finish_reason"]);
    let text: String = texts.iter().map(|chunk| chunk["choices"][0]["delta"]["content"].as_str().unwrap()).collect();
    assert_eq!(text, whole["choices"][0]["message"]["content"]);
    assert!(texts.len() > 5 && texts.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    let without = ask(json!({"stream": true})).chunks();
    assert!(without.iter().all(|chunk| chunk.get("usage").is_none() && chunk["choices"] != json!([])));
}

#[test]
fn several_answers_are_those_of_seeds_in_a_row() {
    let three = ask(json!({"n": 3})).ok();
    let texts: Vec<&Value> =
        three["choices"].as_array().unwrap().iter().map(|choice| &choice["message"]["content"]).collect();
    for (index, text) in texts.iter().enumerate() {
        assert_eq!(ask(json!({"seed": 7 + index})).ok()["choices"][0]["message"]["content"], **text);
    }
    let chunks = ask(json!({"n": 3, "stream": true})).chunks();
    for (index, text) in texts.iter().enumerate() {
        let own = chunks.iter().map(|chunk| &chunk["choices"][0]).filter(|choice| choice["index"] == index);
        let streamed: String = own.filter_map(|choice| choice["delta"]["content"].as_str()).collect();
        assert_eq!(streamed, text.as_str().unwrap());
    }
}

#[test]
fn log_probabilities_are_of_every_token() {
    let body = ask(json!({"logprobs": true, "top_logprobs": 3})).ok();
    let content = body["choices"][0]["logprobs"]["content"].as_array().unwrap();
    let text: String = content.iter().map(|token| token["token"].as_str().unwrap()).collect();
    assert_eq!(text, body["choices"][0]["message"]["content"]);
    for token in content {
        let top = token["top_logprobs"].as_array().unwrap();
        let best: Vec<f64> = top.iter().map(|token| token["logprob"].as_f64().unwrap()).collect();
        assert!(top.len() == 3 && best.is_sorted_by(|a, b| a >= b) && token["logprob"].as_f64().unwrap() <= best[0]);
        assert_eq!(token["bytes"], json!(token["token"].as_str().unwrap().as_bytes()));
    }
    let chunks = ask(json!({"logprobs": true, "stream": true})).chunks();
    let streamed: usize =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["logprobs"]["content"].as_array()).map(Vec::len).sum();
    assert_eq!(streamed, content.len());
}

#[test]
fn stop_strings_biases_and_limits() {
    let greedy = ask(json!({"temperature": 0})).ok();
    let text = greedy["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    assert_eq!(greedy["choices"][0]["finish_reason"], "length");
    let stop: String = text.chars().skip(3).take(2).collect();
    let stopped = ask(json!({"temperature": 0, "stop": stop})).ok();
    assert_eq!(stopped["choices"][0]["finish_reason"], "stop");
    assert_eq!(stopped["choices"][0]["message"]["content"], text[..text.find(&stop).unwrap()]);
    // What clients of llama-server send by default.
    let usual = json!({"samplers": ["top_k", "temperature"], "repeat_last_n": 64, "temperature": 0});
    assert_eq!(ask(usual).ok()["choices"][0]["message"]["content"], text);
    // A token that is forbidden is not there, and one that is forced is.
    let tokens = post(shared(), "/tokenize", &json!({"content": "Q"})).ok();
    let forced = ask(json!({"logit_bias": {tokens["tokens"][0].to_string(): 100}, "max_tokens": 5})).ok();
    assert_eq!(forced["choices"][0]["message"]["content"], "QQQQQ");
}

#[test]
fn json_is_held_to_its_schema() {
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer", "minimum": 0, "maximum": 9}, "b": {"enum": ["x", "y"]}},
        "required": ["a", "b"], "additionalProperties": false});
    let format = json!({"type": "json_schema", "json_schema": {"name": "point", "schema": schema, "strict": true}});
    let body = ask(json!({"response_format": format, "max_tokens": 60})).ok();
    assert_eq!(body["choices"][0]["finish_reason"], "stop", "{body}");
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    let value: Value = serde_json::from_str(text).unwrap();
    assert!(value["a"].as_u64().unwrap() <= 9 && ["x", "y"].contains(&value["b"].as_str().unwrap()));
    let null = ask(json!({"response_format": {"type": "json_object", "schema": {"type": "null"}}})).ok();
    assert_eq!(null["choices"][0]["message"]["content"], "null", "llama-server's form of a schema");
    let object = ask(json!({"response_format": {"type": "json_object"}, "max_tokens": 12, "temperature": 0})).ok();
    assert!(object["choices"][0]["message"]["content"].as_str().unwrap().starts_with('{'));
}

/// What a last message of the assistant begins, the model goes on with: as if it had written that itself.
#[test]
fn a_last_message_of_the_assistant_goes_on() {
    let user = json!({"role": "user", "content": "Say something."});
    let text = ask(json!({"temperature": 0})).ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let at = text.char_indices().nth(4).unwrap().0;
    let begun = json!([user, {"role": "assistant", "content": text[..at], "prefix": true}]);
    let on = |more: Value| {
        let mut asked = json!({"temperature": 0, "messages": begun, "max_tokens": 6});
        asked.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        ask(asked)
    };
    let content = |answer: Answer| answer.ok()["choices"][0]["message"]["content"].as_str().unwrap().to_owned();
    let goes_on = content(on(json!({})));
    assert!(!goes_on.is_empty() && text[at..].starts_with(&goes_on), "{text:?} {goes_on:?}");
    assert_eq!(content(on(json!({"continue_final_message": true, "add_generation_prompt": false}))), goes_on);
    let turns = |more: Value| on(more).ok()["usage"]["prompt_tokens"].as_u64().unwrap();
    let new_turn = turns(json!({"continue_final_message": false})) - turns(json!({}));
    assert_eq!(new_turn, "assistant:".len() as u64, "a new turn, where that is asked for");
    let held = on(json!({"response_format": {"type": "json_object"}}));
    assert!(content(held).starts_with('{'), "JSON begins anew");
}

#[test]
fn paths_with_two_slashes_are_those_with_one() {
    let answer = request(shared(), "POST", "//v1//chat/completions", &[], &chat(json!({})).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
}
