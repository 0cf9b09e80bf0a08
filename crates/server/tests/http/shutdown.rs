//! The end.

use std::{thread, time::Duration};

use glass_server::{Limits, Trust};
use serde_json::{Value, json};

use crate::{
    client::{Answer, Coming, PATIENCE},
    server::{ENDLESS, endless, options, start},
};

fn body(tokens: usize) -> Value {
    json!({
        "prompt": "a", "messages": [{"role": "user", "content": "a"}], "max_tokens": tokens, "ignore_eos": true,
        "stream": true,
    })
}

/// What a stream of each kind hears when the server ends with this grace once both have begun.
fn end(server: glass_server::Server, grace: Duration, tokens: usize) -> (Answer, String) {
    let address = server.address();
    let mut stream = Coming::post(address, "/v1/completions", &body(tokens));
    let mut other = Coming::post(address, "/v1/messages", &body(tokens));
    stream.says("\"text\":");
    other.says("content_block_delta");
    let streams = thread::spawn(move || (stream.rest(), other.rest().text().to_owned()));
    server.stop(grace);
    streams.join().unwrap()
}

#[test]
fn what_runs_may_end() {
    let server = start(Trust::default(), Limits::default(), options());
    let (stream, other) = end(server, PATIENCE, 200);
    let chunks = stream.chunks();
    assert_eq!(chunks.last().unwrap()["choices"][0]["finish_reason"], "length");
    assert!(other.contains("message_stop"));
}

#[test]
fn what_does_not_end_hears_an_error_in_its_stream() {
    let (stream, other) = end(endless(Limits::default(), options()), Duration::ZERO, ENDLESS);
    let chunks = stream.chunks();
    let error = &chunks.last().unwrap()["error"];
    assert!(error["message"].is_string(), "{chunks:?}");
    assert!(other.contains("event: error\n") && other.contains("overloaded_error"), "{other}");
}
