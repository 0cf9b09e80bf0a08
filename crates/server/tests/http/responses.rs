//! `/v1/responses`.

use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::shared,
};

fn ask(more: Value) -> Answer {
    let mut body =
        json!({"model": "tiny", "input": "Hi", "instructions": "Be brief.", "max_output_tokens": 20, "seed": 7});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/responses", &body)
}

fn events(answer: &Answer) -> Vec<Value> {
    let events = answer.events().into_iter().enumerate().map(|(number, (name, data))| {
        let data: Value = serde_json::from_str(&data).unwrap();
        assert_eq!((data["type"].as_str(), &data["sequence_number"]), (name.as_deref(), &json!(number)));
        data
    });
    events.collect()
}

#[test]
fn a_response_and_its_stream_say_the_same() {
    let body = ask(json!({})).ok();
    assert_eq!((&body["object"], &body["store"]), (&json!("response"), &json!(false)));
    let text = body["output"][0]["content"][0]["text"].as_str().unwrap();
    let cut = body["usage"]["output_tokens"] == 20;
    assert_eq!(body["status"], if cut { "incomplete" } else { "completed" });
    assert_eq!(body["output"][0]["status"], body["status"]);
    let streamed = ask(json!({"stream": true}));
    let events = events(&streamed);
    let kinds: Vec<&str> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(
        kinds[..4],
        ["response.created", "response.in_progress", "response.output_item.added", "response.content_part.added"]
    );
    let end = if cut { "response.incomplete" } else { "response.completed" };
    assert_eq!(
        kinds[kinds.len() - 4..],
        ["response.output_text.done", "response.content_part.done", "response.output_item.done", end]
    );
    let joined: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
    assert_eq!(joined, text);
    let last = &events[events.len() - 1]["response"];
    assert_eq!((&last["output"][0]["content"], &last["usage"]), (&body["output"][0]["content"], &body["usage"]));
}

#[test]
fn calls_and_formats() {
    let tool = json!({"type": "function", "name": "f", "parameters": {"type": "object", "properties": {"x": {"enum": [1, 2]}},
                      "required": ["x"], "additionalProperties": false}});
    let more = json!({"tools": [tool], "tool_choice": "required", "max_output_tokens": 80});
    let body = ask(more.clone()).ok();
    let call = &body["output"][0];
    assert!(call["type"] == "function_call" && call["name"] == "f", "{body}");
    assert!(serde_json::from_str::<Value>(call["arguments"].as_str().unwrap()).unwrap()["x"].is_u64());
    let mut streamed = more;
    streamed["stream"] = true.into();
    let answer = ask(streamed);
    let events = events(&answer);
    let done = events.iter().find(|event| event["type"] == "response.function_call_arguments.done").unwrap();
    assert_eq!(done["arguments"], call["arguments"]);
    let format = json!({"format": {"type": "json_schema", "name": "n", "schema": {"enum": ["a", "b"]}}});
    let held = ask(json!({"text": format})).ok();
    assert!(["\"a\"", "\"b\""].contains(&held["output"][0]["content"][0]["text"].as_str().unwrap()));
}

#[test]
fn nothing_is_stored() {
    for (more, param) in [
        (json!({"previous_response_id": "resp_1"}), "previous_response_id"),
        (json!({"store": true}), "store"),
        (json!({"truncation": "auto"}), "truncation"),
        (json!({"tools": [{"type": "web_search"}]}), "tools[0].type"),
    ] {
        let answer = ask(more);
        assert_eq!((answer.status, answer.json()["error"]["param"].as_str()), (400, Some(param)));
    }
}
