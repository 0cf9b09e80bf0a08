//! Functions that the model calls. A model of chance calls none of itself, so calls are forced; what it would write of itself is
//! tested where answers are read.

use serde_json::{Value, json};

use crate::{
    client::{Answer, post},
    server::{says, shared},
};

fn ask(choice: Value, more: Value) -> Answer {
    let parameters = json!({"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
                            "additionalProperties": false});
    let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": parameters}});
    let mut body = json!({"messages": [{"role": "user", "content": "Weather?"}], "seed": 3, "max_tokens": 100,
                          "tools": [tool("weather"), tool("time")], "tool_choice": choice});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    post(shared(), "/v1/chat/completions", &body)
}

#[test]
fn a_forced_call_satisfies_the_functions_schema() {
    for (choice, names) in [
        (json!({"type": "function", "function": {"name": "weather"}}), &["weather"][..]),
        (json!("required"), &["weather", "time"][..]),
    ] {
        let body = ask(choice, json!({})).ok();
        let choice = &body["choices"][0];
        assert_eq!(choice["finish_reason"], "tool_calls", "{body}");
        assert_eq!(choice["message"]["content"], Value::Null);
        let call = &choice["message"]["tool_calls"][0];
        assert!(names.contains(&call["function"]["name"].as_str().unwrap()));
        let arguments: Value = serde_json::from_str(call["function"]["arguments"].as_str().unwrap()).unwrap();
        assert!(["Rome", "Oslo"].contains(&arguments["city"].as_str().unwrap()), "{arguments}");
        assert_eq!(call["id"].as_str().unwrap().len(), 9);
    }
}

#[test]
fn nothing_ends_a_forced_call_but_its_json() {
    for (param, value) in [("stop", json!(["Rome", "Oslo"])), ("ignore_eos", json!(true))] {
        let refused = ask(json!("required"), json!({param: value}));
        assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!(param)));
        assert_eq!(ask(json!("auto"), json!({param: value, "max_tokens": 2})).status, 200, "{param}");
    }
}

#[test]
fn a_streamed_call_comes_in_pieces() {
    let choice = json!({"type": "function", "function": {"name": "time"}});
    let chunks = ask(choice, json!({"stream": true})).chunks();
    let deltas: Vec<&Value> = chunks
        .iter()
        .map(|chunk| &chunk["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| !call.is_null())
        .collect();
    assert!(deltas[0]["id"].is_string() && deltas[0]["function"]["name"] == "time");
    assert!(deltas.iter().all(|call| call["index"] == 0) && deltas[1..].iter().all(|call| call.get("id").is_none()));
    let arguments: String = deltas.iter().map(|call| call["function"]["arguments"].as_str().unwrap()).collect();
    assert!(deltas.len() > 3, "arguments come as they grow");
    assert!(serde_json::from_str::<Value>(&arguments).unwrap()["city"].is_string());
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "tool_calls");
}

#[test]
fn calls_and_their_results_are_a_part_of_the_talk() {
    let messages = json!([
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "123456789", "type": "function", "function": {"name": "weather", "arguments": "{\"city\": \"Rome\"}"}}]},
        {"role": "tool", "tool_call_id": "123456789", "content": "Sun"},
    ]);
    let body = ask(json!("none"), json!({"messages": messages, "max_tokens": 4})).ok();
    assert!(body["choices"][0]["message"].get("tool_calls").is_none());
    let auto = ask(json!("auto"), json!({"max_tokens": 4})).ok();
    assert_ne!(auto["choices"][0]["finish_reason"], "tool_calls");
    let refused = ask(json!("auto"), json!({"response_format": {"type": "json_object"}}));
    assert_eq!((refused.status, &refused.json()["error"]["param"]), (400, &json!("response_format")));
}

/// What a model writes of itself is held to the schema of a strict function, from the mark of the call on.
#[test]
fn a_strict_function_holds_calls_that_nobody_forced() {
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Paris\"}}\n</tool_call>";
    let server = says("assistant:", &format!("Wait. {call}"));
    let parameters = json!({"type": "object", "properties": {"city": {"enum": ["Rome", "Oslo"]}}, "required": ["city"],
                            "additionalProperties": false});
    for (strict, cities) in [(false, &["Paris"][..]), (true, &["Rome", "Oslo"])] {
        let tool =
            json!({"type": "function", "function": {"name": "weather", "parameters": parameters, "strict": strict}});
        let body = json!({"messages": [{"role": "user", "content": "Weather?"}], "tools": [tool], "max_tokens": 120});
        let choice = post(server.address(), "/v1/chat/completions", &body).ok()["choices"][0].clone();
        assert!(choice["message"]["content"].as_str().unwrap().starts_with("Wait."), "{choice}");
        let function = &choice["message"]["tool_calls"][0]["function"];
        assert_eq!(function["name"], "weather", "{choice}");
        let arguments: Value = serde_json::from_str(function["arguments"].as_str().unwrap()).unwrap();
        assert!(cities.contains(&arguments["city"].as_str().unwrap()), "{strict}: {choice}");
    }
}
