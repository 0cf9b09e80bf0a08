//! `glass serve`, started and ended as a user does it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    time::{Duration, Instant},
};

use crate::{
    models::random_tiny,
    run::{command, fails},
};

/// A server that runs, and what it said.
struct Serving {
    child: Child,
    line: String,
}

impl Serving {
    fn start(args: &[&str], key: Option<&str>) -> Self {
        let mut command = command(&[&["serve", "--port", "0", "--device", "flex"], args].concat());
        command.envs(key.map(|key| ("GLASS_API_KEY", key)));
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("glass starts");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
        Self { child, line }
    }

    /// What a request gets, as it comes over the wire.
    fn ask(&self, head: &str, body: &str) -> String {
        let address = self.line.split('/').nth(2).expect("an address");
        let mut stream = TcpStream::connect(address).expect("a connection");
        let length = body.len();
        let text = format!(
            "{head} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
        );
        stream.write_all(text.as_bytes()).expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    }

    /// How it ends with this signal, which must be soon: its code and standard error.
    fn end(mut self, signal: libc::c_int) -> (Option<i32>, String) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: the child was not waited for yet, so that the id is its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
        let start = Instant::now();
        let status = self.child.wait().expect("it ends");
        assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("text");
        (status.code(), said)
    }
}

#[test]
fn one_line_says_where_and_a_signal_ends_it() {
    for (signal, code) in [(libc::SIGTERM, 0), (libc::SIGINT, 130)] {
        let serving = Serving::start(&[], None);
        assert!(serving.line.contains("/v1 serves shakespeare-window"), "{}", serving.line);
        let body = "{\"messages\": [{\"role\": \"user\", \"content\": \"Good morrow.\"}], \"max_tokens\": 8}";
        let answer = serving.ask("POST /v1/chat/completions", body);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("\"assistant\""), "{answer}");
        let (ended, said) = serving.end(signal);
        assert_eq!(ended, Some(code), "{said}");
        assert!(said.contains("running requests have 30 s to end"), "{said}");
    }
}

#[test]
fn models_without_a_template_go_on_with_texts() {
    let serving = Serving::start(&[&random_tiny(), "--alias", "other"], Some("0123456789abcdef"));
    assert!(serving.line.contains("serves random-tiny"), "{}", serving.line);
    assert!(serving.ask("GET /v1/models", "").starts_with("HTTP/1.1 401 "));
    let keyed = |path: &str| format!("{path}?x=1 HTTP/1.1\r\nx-api-key: 0123456789abcdef\r\nx:");
    let answer = serving.ask(&keyed("POST /v1/completions"), "{\"prompt\": \"Once\", \"model\": \"other\"}");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let chat =
        serving.ask(&keyed("POST /v1/chat/completions"), "{\"messages\": [{\"role\": \"user\", \"content\": \"Hi\"}]}");
    assert!(chat.starts_with("HTTP/1.1 422 ") && chat.contains("no chat template"), "{chat}");
    serving.end(libc::SIGTERM);
}

#[test]
fn what_would_be_open_or_taken_is_refused() {
    fails(&["serve", "--host", "0.0.0.0", "--port", "0"], &["0.0.0.0", "--api-key-file", "--insecure"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port().to_string();
    fails(&["serve", "--port", &port], &[&port, "--port"]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let keys = folder.path().join("keys.txt");
    std::fs::write(&keys, "short\n").expect("written");
    fails(&["serve", "--api-key-file", keys.to_str().expect("text")], &["keys.txt", "line 1"]);
    fails(&["serve", "--api-key-file", "no-such-file"], &["no-such-file"]);
}
