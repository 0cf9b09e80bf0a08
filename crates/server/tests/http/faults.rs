//! Clients that are slow, broken or gone.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use glass_server::{Limits, Trust};
use serde_json::json;

use crate::{
    client::{connect, get, head, post, raw, read, request},
    server::{options, shared, start},
};

/// Limits that a test can wait for.
fn impatient() -> Limits {
    let short = Duration::from_millis(400);
    Limits { header_time: short, body_time: short, connections: 8, ..Limits::default() }
}

/// What comes until the server closes; it must, within some seconds.
fn until_closed(mut stream: TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
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

#[test]
fn who_says_nothing_or_too_slowly_is_not_waited_for() {
    let server = start(Trust::default(), impatient(), options());
    let address = server.address();
    until_closed(connect(address));
    // A byte at a time.
    let mut slow = connect(address);
    let began = Instant::now();
    for byte in b"GET /health HTTP/1.1\r\nhost: localhost\r\nx: ".iter().cycle() {
        if slow.write_all(&[*byte]).is_err() || began.elapsed() > Duration::from_secs(8) {
            break;
        }
        thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() < Duration::from_secs(8));
    // Half a body.
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
    until_closed(gone);
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
    let sent = (0..100).take_while(|_| stream.write_all(&piece).is_ok()).count();
    assert!(sent < 40, "{sent} MiB were taken");
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
    let open: Vec<TcpStream> = (0..4).map(|_| connect(address)).collect();
    // They are counted once the server has seen them.
    thread::sleep(Duration::from_millis(200));
    let refused = read(connect(address));
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    drop(open);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(get(address, "/health").status, 200);
}

#[test]
fn a_thousand_connections_one_after_the_other_leave_nothing() {
    let address = shared();
    for _ in 0..1000 {
        drop(connect(address));
    }
    let answers = (0..50).map(|_| get(address, "/health").status);
    assert!(answers.filter(|status| *status == 200).count() > 40);
}

#[test]
fn who_leaves_frees_the_place() {
    let server = start(Trust::default(), Limits::default(), options());
    let address = server.address();
    let body = json!({"prompt": "a", "max_tokens": 1000, "ignore_eos": true, "stream": true}).to_string();
    for _ in 0..3 {
        let mut stream = connect(address);
        stream.write_all(head(address, "POST", "/v1/completions", &[], &body).as_bytes()).unwrap();
        let mut first = [0; 300];
        stream.read_exact(&mut first).unwrap();
        drop(stream);
    }
    // Without a stream, too: the answer has not even begun.
    let whole = json!({"prompt": "a", "max_tokens": 1000, "ignore_eos": true}).to_string();
    let mut stream = connect(address);
    stream.write_all(head(address, "POST", "/v1/completions", &[], &whole).as_bytes()).unwrap();
    thread::sleep(Duration::from_millis(50));
    drop(stream);
    let began = Instant::now();
    while numbers(address, "glass_running_texts") > 0 || numbers(address, "glass_abandoned_requests_total") < 3 {
        assert!(began.elapsed() < Duration::from_secs(10), "a place is taken by nobody");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_full_queue_says_when_to_come_again() {
    let one = std::num::NonZeroUsize::MIN;
    let server = start(
        Trust::default(),
        Limits::default(),
        glass_server::engine::ServiceOptions { parallel: one, queue: 1, ..options() },
    );
    let address = server.address();
    let body = json!({"prompt": "a", "max_tokens": 1000, "ignore_eos": true, "stream": true}).to_string();
    let busy: Vec<TcpStream> = (0..2)
        .map(|_| {
            let mut stream = connect(address);
            stream.write_all(head(address, "POST", "/v1/completions", &[], &body).as_bytes()).unwrap();
            let mut first = [0; 12];
            stream.read_exact(&mut first).unwrap();
            stream
        })
        .collect();
    let refused = request(address, "POST", "/v1/completions", &[], "{\"prompt\": \"a\"}");
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(
        refused.header("retry-after").is_some_and(|seconds| seconds.parse::<u32>().is_ok_and(|seconds| seconds >= 1))
    );
    drop(busy);
}

#[test]
fn a_silent_stream_shows_signs_of_life() {
    let one = std::num::NonZeroUsize::MIN;
    let limits = Limits { ping: Duration::from_millis(30), ..Limits::default() };
    let server = start(Trust::default(), limits, glass_server::engine::ServiceOptions { parallel: one, ..options() });
    let address = server.address();
    let body = |tokens: usize| json!({"prompt": "a", "max_tokens": tokens, "ignore_eos": true, "stream": true});
    let first = thread::spawn(move || post(address, "/v1/completions", &body(1000)));
    thread::sleep(Duration::from_millis(30));
    let waited = post(address, "/v1/completions", &body(2));
    assert!(waited.text().contains(": ping\n\n"), "{}", waited.text());
    assert_eq!(first.join().unwrap().status, 200);
}
