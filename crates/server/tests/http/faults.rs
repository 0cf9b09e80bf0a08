//! Clients that are slow, broken or gone.

use std::{
    io::{Read, Write},
    iter,
    net::{Shutdown, SocketAddr, TcpStream},
    num::NonZeroUsize,
    time::Duration,
};

use glass_server::{Limits, Trust, engine::ServiceOptions};
use serde_json::{Value, json};

use crate::{
    client::{Coming, connect, get, head, post, raw, read, request, until},
    server::{ENDLESS, endless, options, shared, start},
};

/// A time that a test can wait for, and nobody who means well needs.
const SHORT: Duration = Duration::from_millis(400);

/// What comes until the server closes, which it must.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) => return bytes,
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return bytes,
            Err(error) => panic!("the connection stays open: {error}"),
        }
    }
}

fn numbers(address: SocketAddr, name: &str) -> u64 {
    let answer = get(address, "/metrics");
    let line = answer.text().lines().find(|line| line.starts_with(&format!("{name} "))).map(str::to_owned);
    line.unwrap().rsplit(' ').next().unwrap().parse().unwrap()
}

/// A request for a text that does not end, or for one of so many tokens.
fn text(tokens: usize) -> Value {
    json!({"prompt": "a", "max_tokens": tokens, "ignore_eos": true, "stream": true})
}

fn one_place(queue: usize) -> ServiceOptions {
    ServiceOptions { parallel: NonZeroUsize::MIN, queue, ..options() }
}

/// Whether somebody who comes now is served.
fn is_served(address: SocketAddr) -> bool {
    let Ok(mut stream) = TcpStream::connect(address) else { return false };
    let mut answer = Vec::new();
    // Who is refused may hear only that the connection is closed.
    let _ = stream.write_all(head(address, "GET", "/health", &[], "").as_bytes());
    let _ = stream.read_to_end(&mut answer);
    answer.starts_with(b"HTTP/1.1 200 ")
}

#[test]
fn what_takes_too_long_to_understand_is_not_waited_for() {
    let limits = Limits { work_time: Duration::ZERO, ..Limits::default() };
    let server = start(Trust::default(), limits, options());
    // More than can be encoded while the thread that waits is held up.
    let text = "once upon a time ".repeat(1 << 16);
    for (path, body) in [
        ("/tokenize", json!({"content": text})),
        ("/v1/completions", json!({"prompt": text, "max_tokens": 1})),
        ("/v1/chat/completions", json!({"messages": [{"role": "user", "content": text}], "stream": true})),
    ] {
        let answer = post(server.address(), path, &body);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{path}: {}", answer.text());
        assert!(answer.text().contains("too long to read the request"), "{path}: {}", answer.text());
    }
    // What is asked without a body still is.
    assert!(is_served(server.address()));
}

#[test]
fn who_says_nothing_or_too_slowly_is_not_waited_for() {
    let limits = Limits { header_time: SHORT, ..Limits::default() };
    let server = start(Trust::default(), limits, options());
    until_closed(connect(server.address()));
    // A byte at a time, for as long as the server takes them.
    let mut slow = connect(server.address());
    let mut bytes = b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ".iter().chain(iter::repeat(&b'x'));
    until("a byte at a time is taken for ever", || bytes.next().is_some_and(|byte| slow.write_all(&[*byte]).is_err()));
}

#[test]
fn half_a_request_is_not_waited_for() {
    let server = start(Trust::default(), Limits { body_time: SHORT, ..Limits::default() }, options());
    let address = server.address();
    let mut half = connect(address);
    half.write_all(
        head(address, "POST", "/v1/completions", &[], &"x".repeat(100)).strip_suffix("xxxxx").unwrap().as_bytes(),
    )
    .unwrap();
    let answer = String::from_utf8(until_closed(half)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    // Half a request, and gone.
    let mut gone = connect(address);
    gone.write_all(b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100\r\n\r\n{").unwrap();
    gone.shutdown(Shutdown::Write).unwrap();
    let answer = String::from_utf8(until_closed(gone)).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let chunks = b"POST /v1/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n{}";
    let mut broken = connect(address);
    broken.write_all(chunks).unwrap();
    let answer = String::from_utf8(until_closed(broken)).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("broke off"), "{answer}");
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn garbage_is_an_error_or_nothing() {
    let address = shared();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET / HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\n!\r\n\r\n",
        &[0; 300],
    ] {
        let mut stream = connect(address);
        stream.write_all(bytes).unwrap();
        let _ = stream.shutdown(Shutdown::Write);
        let answer = until_closed(stream);
        assert!(answer.is_empty() || answer.starts_with(b"HTTP/1.1 400 "), "{:?}", String::from_utf8_lossy(&answer));
    }
    let long = "x".repeat(100_000);
    let mut stream = connect(address);
    let _ = stream.write_all(format!("GET /health HTTP/1.1\r\nhost: localhost\r\nx: {long}\r\n\r\n").as_bytes());
    let answer = String::from_utf8(until_closed(stream)).unwrap();
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431 "), "{answer}");
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn a_hundred_megabytes_are_not_read() {
    let address = shared();
    let announced = raw(
        address,
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 104857600\r\n\r\n",
    );
    assert_eq!((announced.status, &announced.json()["error"]["type"]), (413, &json!("invalid_request_error")));
    // In pieces, of which nobody knows how many come.
    let mut stream = connect(address);
    stream
        .write_all(b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n")
        .unwrap();
    let piece = [format!("{:x}\r\n", 1 << 20).as_bytes(), &vec![b'x'; 1 << 20], b"\r\n"].concat();
    // More than the buffers of any system between the two.
    let sent = (0..1000).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 100, "{sent} MiB were taken");
    let anthropic = raw(
        address,
        b"POST /v1/messages HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\ncontent-length: 104857600\r\n\r\n",
    );
    assert_eq!(anthropic.json()["error"]["type"], "request_too_large");
}

#[test]
fn one_connection_too_many_hears_so() {
    let server = start(Trust::default(), Limits { connections: 4, ..Limits::default() }, options());
    let address = server.address();
    // They are counted once they have been answered.
    let open: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(b"GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
            stream.read_exact(&mut [0; 12]).unwrap();
            stream
        })
        .collect();
    let refused = read(connect(address));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    // Who asks before hearing it hears it, too.
    assert_eq!(get(address, "/health").status, 503);
    drop(open);
    until("the places stay taken", || is_served(address));
}

#[test]
fn ten_thousand_connections_leave_nothing() {
    let limits = Limits { connections: 64, ..Limits::default() };
    let server = start(Trust::default(), limits, options());
    let address = server.address();
    // One after the other, and more at once than there is room for. The system holds some that nobody has taken yet: more
    // would wait for a second each.
    for _ in 0..100 {
        for _ in 0..80 {
            drop(connect(address));
        }
        until("places are taken by nobody", || is_served(address));
    }
    for _ in 0..20 {
        let open: Vec<TcpStream> = (0..100).map(|_| connect(address)).collect();
        drop(open);
        until("places are taken by nobody", || is_served(address));
    }
    let open: Vec<TcpStream> = (0..60).map(|_| connect(address)).collect();
    until("there is no room for as many as there should be", || is_served(address));
    drop(open);
}

#[test]
fn who_leaves_frees_the_place() {
    let server = endless(Limits::default(), options());
    let address = server.address();
    for _ in 0..3 {
        Coming::post(address, "/v1/completions", &text(ENDLESS)).says("\"text\":");
    }
    let abandoned = |count| numbers(address, "glass_abandoned_requests_total") == count;
    until("three places are taken by nobody", || abandoned(3));
    // Without a stream, too: the answer has not even begun.
    let whole = json!({"prompt": "a", "max_tokens": ENDLESS, "ignore_eos": true});
    let stream = Coming::post(address, "/v1/completions", &whole);
    until("it does not begin", || numbers(address, "glass_running_texts") == 1);
    drop(stream);
    until("a place is taken by nobody", || abandoned(4) && numbers(address, "glass_running_texts") == 0);
}

#[test]
fn who_does_not_read_is_not_waited_for() {
    let server = endless(Limits { write_time: SHORT, ..Limits::default() }, options());
    let address = server.address();
    // Much for every token, so that the buffers between the two are full soon.
    let much = json!({
        "messages": [{"role": "user", "content": "a"}], "max_tokens": ENDLESS, "ignore_eos": true, "stream": true,
        "logprobs": true, "top_logprobs": 20,
    });
    let mut reader = Coming::post(address, "/v1/chat/completions", &much);
    reader.says("\"logprobs\":");
    until("its text is written for nobody", || numbers(address, "glass_abandoned_requests_total") == 1);
    drop(reader);
}

/// What a request asks to be built from a few lines may be large beyond any memory: it is built as far as it is needed.
#[test]
fn schemas_that_grow_are_answered() {
    let both = |next: Value| json!({"anyOf": [next.clone(), next]});
    let mut defs: Vec<(String, Value)> =
        (0..30).map(|i| (format!("a{i}"), both(json!({"$ref": format!("#/$defs/a{}", i + 1)})))).collect();
    defs.push(("a30".to_owned(), json!({"type": "integer"})));
    let defs: Value = defs.into_iter().collect::<serde_json::Map<_, _>>().into();
    let deep = (0..60).fold(json!({"type": "boolean"}), |items, _| json!({"type": "array", "items": items}));
    for schema in [
        json!({"$defs": defs, "$ref": "#/$defs/a0"}),
        json!({"type": "string", "pattern": "^(((a{1,99}){1,99}){1,99}){1,99}$"}),
        json!({"type": "string", "pattern": "^(.*a.{300}b.{300})*$"}),
        json!({"type": "string", "minLength": 1_000_000, "maxLength": 10_000_000}),
        json!({"type": "array", "items": {"type": "null"}, "minItems": 100_000, "maxItems": 1_000_000}),
        deep,
    ] {
        let format = json!({"type": "json_schema", "json_schema": {"name": "grows", "schema": schema}});
        let body = json!({"messages": [{"role": "user", "content": "a"}], "max_tokens": 5, "response_format": format});
        let answer = request(shared(), "POST", "/v1/chat/completions", &[], &body.to_string());
        assert_eq!(answer.status, 200, "{schema}: {}", answer.text());
    }
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let server = endless(Limits::default(), one_place(1));
    let address = server.address();
    let busy = [(); 2].map(|()| {
        let mut stream = Coming::post(address, "/v1/completions", &text(ENDLESS));
        stream.says("HTTP/1.1 200 ");
        stream
    });
    let refused = request(address, "POST", "/v1/completions", &[], "{\"prompt\": \"a\"}");
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(
        refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds >= 1))
    );
    drop(busy);
}

#[test]
fn a_silent_stream_shows_signs_of_life() {
    let limits = Limits { ping: Duration::from_millis(30), ..Limits::default() };
    let server = endless(limits, one_place(1));
    let address = server.address();
    let mut first = Coming::post(address, "/v1/completions", &text(ENDLESS));
    first.says("\"text\":");
    let mut waits = Coming::post(address, "/v1/completions", &text(2));
    waits.says(": ping\n\n");
    drop(first);
    assert_eq!(waits.rest().chunks().last().unwrap()["choices"][0]["finish_reason"], "length");
}
