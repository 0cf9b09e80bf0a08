//! `/v1/messages`.

use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::shared,
};

fn ask(more: Value) -> Answer {
    let mut body = json!({"model": "tiny", "max_tokens": 20, "seed": 7, "system": "Be brief.",
                          "messages": [{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/messages", &body)
}

/// The events of a stream, which name themselves twice.
fn events(answer: &Answer) -> Vec<Value> {
    let events = answer.events().into_iter().map(|(name, data)| {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!(data["type"].as_str(), name.as_deref());
        data
    });
    events.collect()
}

#[test]
fn a_message_is_as_anthropic_says_it() {
    let body = ask(json!({})).ok();
    assert_eq!((&body["type"], &body["role"]), (&json!("message"), &json!("assistant")));
    assert!(["end_turn", "max_tokens"].contains(&body["stop_reason"].as_str().unwrap()));
    let usage = &body["usage"];
    assert!(usage["input_tokens"].is_u64() && usage["cache_read_input_tokens"].is_u64());
    let streamed = ask(json!({"stream": true}));
    let events = events(&streamed);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds[..3], ["message_start", "ping", "content_block_start"]);
    assert_eq!(kinds[kinds.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    let text: String = events.iter().filter_map(|event| event["delta"]["text"].as_str()).collect();
    assert_eq!(text, body["content"][0]["text"]);
    assert_eq!(events[events.len() - 2]["delta"]["stop_reason"], body["stop_reason"]);
}

#[test]
fn stop_sequences_are_told() {
    let text = ask(json!({"temperature": 0})).ok()["content"][0]["text"].as_str().unwrap().to_owned();
    let stop: String = text.chars().skip(2).take(2).collect();
    for stops in [json!([stop]), json!(["\u{1}never", stop])] {
        let body = ask(json!({"temperature": 0, "stop_sequences": stops})).ok();
        assert_eq!((&body["stop_reason"], &body["stop_sequence"]), (&json!("stop_sequence"), &json!(stop)));
    }
}

#[test]
fn tokens_are_counted_without_an_answer() {
    let messages = json!([{"role": "user", "content": "Hi"}]);
    let counted = post(
        shared(),
        "/v1/messages/count_tokens",
        &json!({"model": "tiny", "messages": messages, "system": "Be brief."}),
    );
    let usage = ask(json!({})).ok()["usage"].clone();
    let read = usage["input_tokens"].as_u64().unwrap() + usage["cache_read_input_tokens"].as_u64().unwrap();
    assert_eq!(counted.ok()["input_tokens"], read);
}

#[test]
fn a_forced_call_is_a_block_of_its_own() {
    let tools = json!([{"name": "f", "input_schema": {"type": "object", "properties": {"x": {"enum": [1, 2]}}, "required": ["x"],
                        "additionalProperties": false}}]);
    let more = json!({"tools": tools, "tool_choice": {"type": "tool", "name": "f"}, "max_tokens": 80});
    let body = ask(more.clone()).ok();
    assert_eq!(body["stop_reason"], "tool_use", "{body}");
    let block = &body["content"][0];
    assert!(block["type"] == "tool_use" && [1, 2].contains(&block["input"]["x"].as_u64().unwrap()));
    let mut streamed = more;
    streamed["stream"] = true.into();
    let answer = ask(streamed);
    let events = events(&answer);
    let json: String = events.iter().filter_map(|event| event["delta"]["partial_json"].as_str()).collect();
    assert!(serde_json::from_str::<Value>(&json).unwrap()["x"].is_u64());
}

#[test]
fn a_schema_is_honoured_beside_another_config() {
    let held = json!({"type": "json_schema", "schema": {"type": "null"}});
    for more in [
        json!({"output_config": {"effort": "low", "format": held}}),
        json!({"output_config": {"effort": "low"}, "output_format": held}),
    ] {
        assert_eq!(ask(more.clone()).ok()["content"][0]["text"], "null", "{more}");
    }
    let both = ask(json!({"output_format": held, "output_config": {"format": held}}));
    assert_eq!(both.status, 400, "{}", both.text());
}

#[test]
fn errors_have_anthropics_body() {
    for (more, status, kind) in [
        (json!({"max_tokens": null}), 400, "invalid_request_error"),
        (json!({"model": "other"}), 404, "not_found_error"),
        (json!({"thinking": {"type": "enabled", "budget_tokens": 1000}}), 400, "invalid_request_error"),
    ] {
        let answer = ask(more);
        let body = answer.json();
        assert_eq!((answer.status, &body["type"], &body["error"]["type"]), (status, &json!("error"), &json!(kind)));
    }
}
