//! `glass serve`, started and ended as a user does it.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Stdio},
    time::Instant,
};

use crate::{
    models::{fixture, random_tiny},
    run::{PATIENCE, command, fails},
};

/// A server that runs, and what it said.
struct Serving {
    child: Child,
    line: String,
}

impl Serving {
    fn start(args: &[&str], key: Option<&str>) -> Self {
        let port = if args.contains(&"--port") { &[][..] } else { &["--port", "0"] };
        let mut command = command(&[&["serve", "--device", "flex"], port, args].concat());
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

    fn signal(&mut self, signal: libc::c_int) {
        let id = libc::pid_t::try_from(self.child.id()).expect("a process id");
        // SAFETY: the child was not waited for yet, so that the id is its own.
        assert_eq!(unsafe { libc::kill(id, signal) }, 0);
    }

    /// How it ends with this signal, which must be soon: its code and standard error.
    fn end(mut self, signal: libc::c_int) -> (Option<i32>, String) {
        self.signal(signal);
        let start = Instant::now();
        let status = self.child.wait().expect("it ends");
        assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
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

#[test]
fn what_is_planned_is_said() {
    let said = |args: &[&str]| Serving::start(args, None).end(libc::SIGTERM).1;
    let model = fixture("llama-gqa");
    let whole = said(&[&model, "--parallel", "3", "--context", "1000"]);
    assert!(whole.contains("--context 1000 is more than the model's context: texts have 128 tokens"), "{whole}");
    assert!(whole.contains("texts of up to 128 tokens, 3 at once\n"), "{whole}");
    let planned = whole.lines().find(|line| line.contains("keys and values may take")).expect("it is said");
    let bytes: f64 = planned.split_whitespace().nth(6).expect("a number").parse().expect("a number");
    // Half of it holds one text, not two.
    let half = said(&[&model, "--parallel", "3", "--memory", &format!("{}kB", bytes / 2.0)]);
    assert!(half.contains("128 tokens, 1 at once, or up to 3 shorter ones"), "{half}");
    fails(
        &["serve", "-q", &model, "--device", "flex", "--port", "0", "--memory", "1kB"],
        &["128 tokens", "no text fits", "--memory"],
    );
}

/// `/dev/full` is a disk without room.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_logs_keeps_nobody_from_being_served() {
    let model = random_tiny();
    let full = || Stdio::from(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("there"));
    let body = "{\"prompt\": \"Once\", \"max_tokens\": 3, \"a surprise\": 1}";
    let start = || command(&["serve", &model, "--port", "0", "--device", "flex"]);
    let mut child = start().stdout(full()).stderr(Stdio::piped()).spawn().expect("glass starts");
    let mut said = BufReader::new(child.stderr.as_mut().expect("piped")).lines().map(|line| line.expect("text"));
    let line = said.find(|line| line.contains("/v1 serves")).expect("the address, elsewhere");
    assert!(line.contains("cannot write to standard output"), "{line}");
    drop(said);
    let serving = Serving { child, line };
    assert!(serving.ask("POST /v1/completions", body).starts_with("HTTP/1.1 200 "));
    assert_eq!(serving.end(libc::SIGTERM).0, Some(0));

    let mut child = start().stdout(Stdio::piped()).stderr(full()).spawn().expect("glass starts");
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().expect("piped")).read_line(&mut line).expect("a line");
    let mut serving = Serving { child, line };
    for _ in 0..2 {
        assert!(serving.ask("POST /v1/completions", body).starts_with("HTTP/1.1 200 "));
    }
    serving.signal(libc::SIGTERM);
    assert_eq!(serving.child.wait().expect("it ends").code(), Some(0));
}

#[test]
fn after_a_kill_it_starts_again_at_the_same_port() {
    let mut serving = Serving::start(&[&random_tiny()], None);
    let address = serving.line.split('/').nth(2).expect("an address").to_owned();
    // Somebody is in the middle of an answer.
    let mut asks = TcpStream::connect(&address).expect("a connection");
    let body = "{\"prompt\": \"a\", \"max_tokens\": 900, \"ignore_eos\": true, \"stream\": true}";
    let length = body.len();
    write!(asks, "POST /v1/completions HTTP/1.1\r\nhost: {address}\r\ncontent-length: {length}\r\n\r\n{body}")
        .expect("written");
    asks.read_exact(&mut [0; 12]).expect("the beginning");
    serving.signal(libc::SIGKILL);
    serving.child.wait().expect("it ends");
    let port = address.rsplit(':').next().expect("a port");
    let serving = Serving::start(&[&random_tiny(), "--port", port], None);
    assert!(serving.ask("GET /health", "").starts_with("HTTP/1.1 200 "), "{}", serving.line);
    serving.end(libc::SIGTERM);
}
