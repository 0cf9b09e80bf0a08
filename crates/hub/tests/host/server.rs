//! A hub of one model on this machine, healthy or broken in several ways.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

pub const NAME: &str = "some-org/some.model";
/// What the model was called once.
pub const OLD_NAME: &str = "some-org/old.model";
pub const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

#[derive(Clone, Copy)]
pub enum Fault {
    Status(u16),
    /// Closes the connection without an answer.
    Drop,
    /// Announces the whole length and closes after half of it.
    HalfBody,
    /// Announces no length and closes after half of it.
    HalfWithoutLength,
    /// Answers a request for the rest of a file with all of it, and announces no length.
    IgnoreRange,
    /// Half of the file, then silence.
    Stall,
    /// Success, but with a login page.
    Html,
}

#[derive(Default)]
pub struct State {
    pub files: BTreeMap<String, Vec<u8>>,
    /// A fault and the part of a request line it befalls.
    pub fault: Option<(Fault, &'static str)>,
    pub sizes_listed: bool,
    /// Where the weights are, if not here.
    pub storage: Option<String>,
    /// Where all other requests are sent on to.
    pub moved: Option<String>,
    /// Answers a request that carries credentials with an error, as storage with signed addresses does.
    pub refuses_credentials: bool,
    requests: Vec<String>,
    closed: bool,
}

pub struct Server {
    pub address: String,
    state: Arc<Mutex<State>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    pub fn new(files: &[(&str, Vec<u8>)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State {
            files: files.iter().map(|(name, bytes)| (name.to_string(), bytes.clone())).collect(),
            sizes_listed: true,
            ..State::default()
        }));
        let (own, base) = (state.clone(), address.clone());
        let thread = thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if own.lock().unwrap().closed {
                    break;
                }
                let (state, base) = (own.clone(), base.clone());
                // A client that goes away early is part of the game.
                thread::spawn(move || drop(answer(stream, &state, &base)));
            }
        });
        Self { address, state, thread: Some(thread) }
    }

    pub fn set(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
    }

    pub fn fail(&self, fault: Fault, on: &'static str) {
        self.set(|state| state.fault = Some((fault, on)));
    }

    pub fn heal(&self) {
        self.set(|state| state.fault = None);
    }

    pub fn requests(&self) -> Vec<String> {
        self.state.lock().unwrap().requests.clone()
    }

    /// Whether any file of that name was asked for.
    pub fn served(&self, file: &str) -> bool {
        self.requests().iter().any(|line| line.contains(&format!("/{file} ")))
    }

    /// From here on connections are refused.
    pub fn shut(&mut self) {
        self.set(|state| state.closed = true);
        drop(TcpStream::connect(self.address.trim_start_matches("http://")));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shut();
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>, base: &str) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let request = lines.next().transpose()?.unwrap_or_default();
    let mut range = None;
    let mut token = String::new();
    for line in lines {
        let line = line?;
        let Some((key, value)) = line.split_once(": ") else {
            break;
        };
        match key.to_ascii_lowercase().as_str() {
            "range" => {
                range = value
                    .strip_prefix("bytes=")
                    .and_then(|range| range.split_once('-'))
                    .map(|(a, b)| (a.to_owned(), b.to_owned()))
            }
            "authorization" => token = format!(" [{value}]"),
            _ => {}
        }
    }
    let (files, fault, sizes_listed, storage, moved) = {
        let mut state = state.lock().unwrap();
        state.requests.push(format!("{request}{token}"));
        let mut fault = state.fault.filter(|(_, on)| request.contains(on)).map(|(fault, _)| fault);
        if state.refuses_credentials && !token.is_empty() {
            fault = Some(Fault::Status(400));
        }
        let storage = state.storage.clone().unwrap_or(base.to_owned());
        (state.files.clone(), fault, state.sizes_listed, storage, state.moved.clone())
    };
    let mut send = |head: &str, length: Option<usize>, body: &[u8]| {
        let length = length.map_or(String::new(), |length| format!("Content-Length: {length}\r\n"));
        write!(stream, "HTTP/1.1 {head}\r\n{length}Connection: close\r\n\r\n")?;
        stream.write_all(body)
    };
    match fault {
        Some(Fault::Drop) => return Ok(()),
        Some(Fault::Status(code)) => {
            return send(&format!("{code} Broken\r\nX-Error-Message: told so"), Some(0), &[]);
        }
        _ => {}
    }
    let path = request.split(' ').nth(1).unwrap_or_default();
    let elsewhere = if path.contains(OLD_NAME) {
        Some(path.replace(OLD_NAME, NAME))
    } else {
        moved.map(|address| format!("{address}{path}"))
    };
    if let Some(address) = elsewhere {
        let head = format!("307 Temporary Redirect\r\nLocation: {address}");
        return send(&head, Some(0), &[]);
    }
    if let Some(revision) = path.strip_prefix(&format!("/api/models/{NAME}/revision/")) {
        let siblings: Vec<String> = files
            .iter()
            .map(|(name, bytes)| match sizes_listed {
                true => format!(r#"{{"rfilename":"{name}","size":{}}}"#, bytes.len()),
                false => format!(r#"{{"rfilename":"{name}"}}"#),
            })
            .collect();
        let json = format!(r#"{{"sha":"{COMMIT}","siblings":[{}]}}"#, siblings.join(","));
        let body = match fault {
            Some(Fault::Html) => "<html>log in</html>",
            _ => &json,
        };
        let known = ["main?blobs=true", "v1?blobs=true"].contains(&revision) || revision.starts_with(COMMIT);
        return match known {
            true => send("200 OK\r\nContent-Type: application/json", Some(body.len()), body.as_bytes()),
            false => send("404 Not Found\r\nX-Error-Message: Invalid rev id: nope", Some(0), &[]),
        };
    }
    let resolve = format!("/{NAME}/resolve/{COMMIT}/");
    let file = path.strip_prefix(&resolve).or(path.strip_prefix("/cdn/")).unwrap_or_default();
    let Some(bytes) = files.get(file) else {
        return send("404 Not Found", Some(0), &[]);
    };
    let hub_headers = format!("X-Repo-Commit: {COMMIT}\r\nETag: \"tag-{}\"", file.replace('/', "-"));
    // Weights lie on another server, as on the real hub.
    if file.ends_with(".safetensors") && path.starts_with(&resolve) {
        let head =
            format!("302 Found\r\n{hub_headers}\r\nX-Linked-Etag: \"tag-{file}\"\r\nLocation: {storage}/cdn/{file}");
        return send(&head, Some(0), &[]);
    }
    let html = b"<html>log in</html>".to_vec();
    let bytes = if matches!(fault, Some(Fault::Html)) { &html } else { bytes };
    let (start, end) = match &range {
        Some((start, end)) => (start.parse().unwrap(), end.parse().map_or(bytes.len(), |last: usize| last + 1)),
        None => (0, bytes.len()),
    };
    if start >= bytes.len() {
        return send("416 Range Not Satisfiable", Some(0), &[]);
    }
    let part = &bytes[start..end];
    let half = &part[..part.len() / 2];
    let head =
        format!("206 Partial Content\r\n{hub_headers}\r\nContent-Range: bytes {start}-{}/{}", end - 1, bytes.len());
    match fault {
        // The first byte alone is how the length is asked for.
        Some(Fault::HalfBody) if part.len() > 1 => send(&head, Some(part.len()), half),
        Some(Fault::HalfWithoutLength) if part.len() > 1 => send(&head, None, half),
        Some(Fault::IgnoreRange) if start > 0 => send(&format!("200 OK\r\n{hub_headers}"), None, bytes),
        Some(Fault::Stall) if part.len() > 1 => {
            send(&head, Some(part.len()), half)?;
            // Until the client has gone.
            stream.set_read_timeout(Some(Duration::from_secs(120)))?;
            stream.read(&mut [0]).map(drop)
        }
        _ => send(&head, Some(part.len()), part),
    }
}
