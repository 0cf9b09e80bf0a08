//! What a model thinks before it answers.

use glass_server::Server;
use serde_json::{Value, json};

use crate::{client::post, server::says};

/// Templates let a model begin its thoughts, or begin them themselves.
fn servers() -> [Server; 2] {
    let answer = "Hm, 1<2.\n\nSo\n</think>\n\nYes. </think> it is";
    [says("assistant:", &format!("<think>\n{answer}")), says("assistant:<think>\n", answer)]
}

const THOUGHT: &str = "Hm, 1<2.\n\nSo";
const ANSWER: &str = "Yes. </think> it is";

fn body(more: Value) -> Value {
    let mut body = json!({ "messages": [{"role": "user", "content": "Really?"}], "max_tokens": 200 });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

#[test]
fn a_chat_tells_thoughts_apart() {
    for server in servers() {
        let ask = |more: Value| post(server.address(), "/v1/chat/completions", &body(more));
        let whole = ask(json!({"logprobs": true})).ok();
        let message = &whole["choices"][0]["message"];
        assert_eq!((&message["reasoning_content"], &message["content"]), (&json!(THOUGHT), &json!(ANSWER)), "{whole}");
        let logprobs = whole["choices"][0]["logprobs"]["content"].as_array().unwrap();
        let tokens: String = logprobs.iter().map(|told| told["token"].as_str().unwrap()).collect();
        assert_eq!(tokens, ANSWER, "log-probabilities are those of the answer");
        let usage = &whole["usage"];
        let thoughts = usage["completion_tokens_details"]["reasoning_tokens"].as_u64().unwrap();
        assert!((THOUGHT.len() as u64..usage["completion_tokens"].as_u64().unwrap()).contains(&thoughts), "{usage}");

        let chunks = ask(json!({"stream": true})).chunks();
        let streamed = |field: &str| -> String {
            chunks.iter().filter_map(|chunk| chunk["choices"][0]["delta"][field].as_str()).collect()
        };
        assert_eq!((&*streamed("reasoning_content"), &*streamed("content")), (THOUGHT, ANSWER));

        let plain = ask(json!({"reasoning_format": "none"})).ok()["choices"][0]["message"].clone();
        assert!(plain["content"].as_str().unwrap().contains(&format!("{THOUGHT}\n</think>\n\n{ANSWER}")), "{plain}");
        assert!(plain.get("reasoning_content").is_none());
        assert_eq!(ask(json!({"reasoning_format": "aloud"})).json()["error"]["param"], "reasoning_format");
        // What is cut within thoughts has no answer; what is held to a schema has no thoughts.
        let cut = ask(json!({"max_tokens": 14})).ok()["choices"][0].clone();
        assert_eq!((&cut["message"]["content"], &cut["finish_reason"]), (&json!(""), &json!("length")));
        let form = json!({"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["Rome", "Oslo"]}}});
        let held = ask(json!({"response_format": form})).ok()["choices"][0]["message"].clone();
        assert!(held["content"].as_str().unwrap().len() == 6 && held.get("reasoning_content").is_none(), "{held}");
    }
}

#[test]
fn anthropics_messages_have_blocks_of_thinking() {
    for server in servers() {
        let ask = |more: Value| post(server.address(), "/v1/messages", &body(more));
        let whole = ask(json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})).ok();
        let thinking = json!({"type": "thinking", "thinking": THOUGHT, "signature": ""});
        assert_eq!(whole["content"], json!([thinking, {"type": "text", "text": ANSWER}]));
        let answer = ask(json!({"stream": true}));
        let events: Vec<Value> =
            answer.events().iter().map(|(_, data)| serde_json::from_str(data).expect("JSON")).collect();
        let joined =
            |field: &str| -> String { events.iter().filter_map(|event| event["delta"][field].as_str()).collect() };
        assert_eq!((&*joined("thinking"), &*joined("text")), (THOUGHT, ANSWER));
        let blocks = events.iter().filter(|event| event["type"] == "content_block_start");
        let kinds: Vec<&Value> = blocks.map(|event| &event["content_block"]["type"]).collect();
        assert_eq!(kinds, ["thinking", "text"]);
        let refused = ask(json!({"thinking": {"type": "sometimes"}}));
        assert_eq!((refused.status, refused.json()["error"]["type"].as_str()), (400, Some("invalid_request_error")));
    }
}

#[test]
fn responses_have_an_item_of_reasoning() {
    for server in servers() {
        let ask = |stream: bool| {
            post(
                server.address(),
                "/v1/responses",
                &json!({"input": "Really?", "max_output_tokens": 200, "stream": stream}),
            )
        };
        let whole = ask(false).ok();
        let output = &whole["output"];
        assert_eq!((&output[0]["type"], &output[1]["type"]), (&json!("reasoning"), &json!("message")), "{output}");
        assert_eq!(output[0]["content"], json!([{"type": "reasoning_text", "text": THOUGHT}]));
        assert_eq!(output[1]["content"][0]["text"], ANSWER);
        assert!(whole["usage"]["output_tokens_details"]["reasoning_tokens"].as_u64().unwrap() > 0);
        let events = ask(true).events();
        let named = |name: &str| -> Vec<Value> {
            let data = events.iter().filter(|(event, _)| event.as_deref() == Some(name));
            data.map(|(_, data)| serde_json::from_str(data).expect("JSON")).collect()
        };
        let thought: String =
            named("response.reasoning_text.delta").iter().map(|event| event["delta"].as_str().unwrap()).collect();
        assert_eq!(thought, THOUGHT);
        assert_eq!(named("response.reasoning_text.done")[0]["text"], THOUGHT);
        assert_eq!(named("response.completed")[0]["response"]["output"][1]["content"][0]["text"], ANSWER);
    }
}

#[test]
fn a_call_may_follow_thoughts() {
    let call = "<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Rome\"}}\n</tool_call>";
    let server = says("assistant:<think>\n", &format!("No <tool_call> yet\n</think>\n\n{call}"));
    let tool = json!({"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}});
    let ask = |more: Value| {
        let mut body = body(json!({"tools": [tool]}));
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        post(server.address(), "/v1/chat/completions", &body).ok()["choices"][0].clone()
    };
    let choice = ask(json!({}));
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
    assert_eq!(choice["message"]["reasoning_content"], "No <tool_call> yet");
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"city\": \"Rome\"}");
    let forced = ask(json!({"tool_choice": "required"}));
    assert_eq!(forced["message"]["tool_calls"][0]["function"]["name"], "weather");
    assert!(forced["message"].get("reasoning_content").is_none(), "{forced}");
}
