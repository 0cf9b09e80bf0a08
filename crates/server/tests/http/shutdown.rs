//! The end.

use std::{thread, time::Duration};

use glass_server::{Limits, Trust};
use serde_json::json;

use crate::{
    client::{Answer, post},
    server::{options, start},
};

/// What a stream hears when the server ends with this grace.
fn end(grace: Duration, tokens: usize) -> (Answer, String) {
    let server = start(Trust::default(), Limits::default(), options());
    let address = server.address();
    let ask = |path: &'static str, body| thread::spawn(move || post(address, path, &body));
    let stream =
        ask("/v1/completions", json!({"prompt": "a", "max_tokens": tokens, "ignore_eos": true, "stream": true}));
    let messages = json!([{"role": "user", "content": "a"}]);
    let other =
        ask("/v1/messages", json!({"messages": messages, "max_tokens": tokens, "ignore_eos": true, "stream": true}));
    thread::sleep(Duration::from_millis(100));
    server.stop(grace);
    (stream.join().unwrap(), other.join().unwrap().text().to_owned())
}

#[test]
fn what_runs_may_end() {
    let (stream, other) = end(Duration::from_secs(60), 200);
    let chunks = stream.chunks();
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(other.contains("message_stop"));
}

#[test]
fn what_does_not_end_hears_an_error_in_its_stream() {
    let (stream, other) = end(Duration::ZERO, 1000);
    let chunks = stream.chunks();
    let error = &chunks.last().unwrap()["error"];
    assert!(error["message"].is_string(), "{chunks:?}");
    assert!(other.contains("event: error\n") && other.contains("overloaded_error"), "{other}");
}
