//! HTTP by hand, so that a test can say exactly what goes over the wire.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long a test waits for what must come: it is never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Waits until it is so.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("UTF-8")
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body, which must be a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{}", self.text());
        self.json()
    }

    /// Events of a stream: their names and data.
    pub fn events(&self) -> Vec<(Option<String>, String)> {
        assert_eq!(self.status, 200, "{}", self.text());
        let blocks = self.text().split("\n\n").filter(|block| !block.is_empty() && !block.starts_with(':'));
        let field = |block: &str, name: &str| {
            block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned))
        };
        blocks.map(|block| (field(block, "event"), field(block, "data").expect("data"))).collect()
    }

    /// The data of a stream of OpenAI's, without its end, which must be there.
    pub fn chunks(&self) -> Vec<Value> {
        let mut data: Vec<String> = self.events().into_iter().map(|(_, data)| data).collect();
        assert_eq!(data.pop().as_deref(), Some("[DONE]"), "{}", self.text());
        data.iter().map(|data| serde_json::from_str(data).expect("JSON")).collect()
    }
}

pub fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("set");
    stream
}

/// An answer that is read while it comes.
pub struct Coming {
    stream: TcpStream,
    bytes: Vec<u8>,
}

impl Coming {
    pub fn post(address: SocketAddr, path: &str, body: &Value) -> Self {
        let mut stream = connect(address);
        stream.write_all(head(address, "POST", path, &[], &body.to_string()).as_bytes()).expect("written");
        Self { stream, bytes: Vec::new() }
    }

    /// Waits until these words are there.
    pub fn says(&mut self, words: &str) {
        let mut buffer = [0; 4096];
        while !self.bytes.windows(words.len()).any(|window| window == words.as_bytes()) {
            let count = self.stream.read(&mut buffer).expect("read");
            assert!(count > 0, "it ended without {words:?}: {}", String::from_utf8_lossy(&self.bytes));
            self.bytes.extend_from_slice(&buffer[..count]);
        }
    }

    /// All of it, when it has ended.
    pub fn rest(mut self) -> Answer {
        self.stream.read_to_end(&mut self.bytes).expect("read");
        parse(&self.bytes)
    }
}

/// Sends bytes as they are, and reads the answer to its end.
pub fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = connect(address);
    stream.write_all(bytes).expect("written");
    read(stream)
}

pub fn read(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("read");
    parse(&bytes)
}

pub fn parse(bytes: &[u8]) -> Answer {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.unwrap_or_else(|| panic!("no head: {:?}", String::from_utf8_lossy(bytes)));
    let head = std::str::from_utf8(&bytes[..end]).expect("UTF-8");
    let mut lines = head.lines();
    let status =
        lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok()).expect("a status");
    let headers = lines.filter_map(|line| line.split_once(": ")).map(|(key, value)| (key.to_owned(), value.to_owned()));
    let mut answer = Answer { status, headers: headers.collect(), body: bytes[end + 4..].to_vec() };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = dechunked(&answer.body);
    }
    answer
}

fn dechunked(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").expect("a size");
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..end]).expect("digits"), 16).expect("a size");
        if size == 0 {
            return body;
        }
        body.extend_from_slice(&rest[end + 2..end + 2 + size]);
        rest = &rest[end + 2 + size + 2..];
    }
}

pub fn get(address: SocketAddr, path: &str) -> Answer {
    request(address, "GET", path, &[], "")
}

pub fn post(address: SocketAddr, path: &str, body: &Value) -> Answer {
    request(address, "POST", path, &[], &body.to_string())
}

pub fn request(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    raw(address, head(address, method, path, headers, body).as_bytes())
}

/// A request as it goes over the wire.
pub fn head(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> String {
    let mut text = format!("{method} {path} HTTP/1.1\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| *name == "host") {
        text += &format!("host: {address}\r\n");
    }
    for (name, value) in headers {
        text += &format!("{name}: {value}\r\n");
    }
    text + "\r\n" + body
}
