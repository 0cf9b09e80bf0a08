//! Models from the hub, served by a small HTTP server of these tests.

mod contents;
mod credentials;
mod faults;
mod gguf;
mod options;
mod server;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use glass_checkpoint::Files;
use glass_hub::{HubError, HubOptions, HubProgress, resolve};
use tempfile::TempDir;

use self::server::{COMMIT, Fault, NAME, Server};

/// A safetensors file with one `U8` vector.
fn weights(name: &str, length: usize) -> Vec<u8> {
    let header = format!(r#"{{"{name}":{{"dtype":"U8","shape":[{length}],"data_offsets":[0,{length}]}}}}"#);
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend((0..length).map(|i| (i % 251) as u8));
    file
}

fn repository() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("config.json", br#"{"model_type":"llama"}"#.to_vec()),
        ("tokenizer.json", br#"{"version":"1.0"}"#.to_vec()),
        ("generation_config.json", b"{}".to_vec()),
        ("model.safetensors", weights("w", 100_000)),
        ("pytorch_model.bin", b"never needed".to_vec()),
        ("README.md", b"# never needed".to_vec()),
    ]
}

#[derive(Default)]
struct Seen {
    /// Each start of a file: its name, its length, and the bytes that came to disk.
    files: Vec<(String, u64, u64)>,
    warnings: Vec<String>,
}

impl Seen {
    fn see(&mut self, event: HubProgress) {
        match event {
            HubProgress::Start(file, bytes) => self.files.push((file.to_owned(), bytes, 0)),
            HubProgress::Advance(bytes) => self.files.last_mut().unwrap().2 += bytes,
            HubProgress::Warning(message) => self.warnings.push(message.to_owned()),
        }
    }
}

fn options(server: &Server, cache: &Path) -> HubOptions {
    HubOptions {
        endpoint: server.address.clone(),
        cache: Some(cache.to_owned()),
        own: None,
        token: None,
        offline: false,
        patience: Duration::from_secs(30),
    }
}

fn get(options: &HubOptions) -> Result<PathBuf, String> {
    get_seen(None, options, &mut Seen::default())
}

fn get_seen(revision: Option<&str>, options: &HubOptions, seen: &mut Seen) -> Result<PathBuf, String> {
    let folder = resolve(NAME, revision, options, &mut |event| seen.see(event));
    let folder = folder.map_err(one_line)?;
    for (index, (file, bytes, arrived)) in seen.files.iter().enumerate() {
        let again = seen.files[index + 1..].iter().any(|(other, ..)| other == file);
        assert!(again || bytes == arrived, "{file}: {arrived} of {bytes} bytes");
    }
    Ok(folder)
}

fn one_line(error: HubError) -> String {
    let message = error.to_string();
    assert!(!message.contains('\n'), "more than one line: {message}");
    message
}

#[track_caller]
fn assert_says(message: &str, parts: &[&str]) {
    for part in parts {
        assert!(message.contains(part), "no {part:?} in: {message}");
    }
}

#[track_caller]
fn assert_whole(folder: &Path) {
    for file in ["config.json", "tokenizer.json", "generation_config.json", "model.safetensors"] {
        let expected = repository().into_iter().find(|(name, _)| *name == file).unwrap().1;
        assert!(fs::read(folder.join(file)).unwrap() == expected, "{file} differs");
    }
    assert_eq!(Files::open(folder).unwrap().total_bytes(), 100_000);
}

/// Nothing of `file` can be taken for the whole: no snapshot has it.
#[track_caller]
fn assert_absent(cache: &Path, file: &str) {
    let path = cache.join("models--some-org--some.model/snapshots").join(COMMIT).join(file);
    assert!(path.symlink_metadata().is_err(), "{} is there", path.display());
}

#[test]
fn fetched_once_then_cached_without_network() {
    let (mut server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    let mut seen = Seen::default();
    let folder = get_seen(None, &options, &mut seen).unwrap();
    assert_whole(&folder);
    assert_eq!(seen.files.len(), 4);
    let bytes = weights("w", 100_000).len() as u64;
    assert!(seen.files.contains(&("model.safetensors".to_owned(), bytes, bytes)));
    assert!(!server.served("pytorch_model.bin") && !server.served("README.md"));
    assert!(!server.served("chat_template.jinja"), "the listing says that there is none");

    let before = server.requests().len();
    assert_eq!(get(&options).unwrap(), folder);
    assert_eq!(server.requests().len(), before, "the cache needs no request");
    server.shut();
    assert_eq!(get(&options).unwrap(), folder);
    options.offline = true;
    assert_eq!(get(&options).unwrap(), folder);
    assert_eq!(get_seen(Some(COMMIT), &options, &mut seen).unwrap(), folder);
    assert!(seen.warnings.is_empty());
}

#[test]
fn shards_come_with_their_index() {
    let index = br#"{"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}"#;
    let mut files = repository();
    files.retain(|(name, _)| *name != "model.safetensors");
    files.push(("model.safetensors.index.json", index.to_vec()));
    files.push(("m-1.safetensors", weights("a", 10)));
    files.push(("m-2.safetensors", weights("b", 20)));
    let (server, cache) = (Server::new(&files), TempDir::new().unwrap());
    let options = options(&server, cache.path());

    server.fail(Fault::Status(404), "/m-2.safetensors");
    assert_says(&get(&options).unwrap_err(), &["not found (HTTP 404)", "/m-2.safetensors"]);
    server.heal();
    assert_eq!(Files::open(&get(&options).unwrap()).unwrap().total_bytes(), 30);

    server.set(|state| drop(state.files.remove("m-2.safetensors")));
    let other = TempDir::new().unwrap();
    let lacking = HubOptions { cache: Some(other.path().to_owned()), ..options };
    assert_says(&get(&lacking).unwrap_err(), &[NAME, "no m-2.safetensors, although its"]);
}

#[test]
fn revisions() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let mut seen = Seen::default();
    assert_whole(&get_seen(Some("v1"), &options, &mut seen).unwrap());
    let message = get_seen(Some("nope"), &options, &mut seen).unwrap_err();
    assert_says(&message, &["some-org/some.model@nope: not found (HTTP 404: Invalid rev id: nope)", "revision"]);
    for bad in ["", "../main", "a b", "/x", "x/", "--flag", "a?b"] {
        let message = get_seen(Some(bad), &options, &mut seen).unwrap_err();
        assert_says(&message, &[&format!("revision {bad:?} is not")]);
    }
}

#[test]
fn folders_and_what_looks_like_one() {
    let folder = TempDir::new().unwrap();
    let cacheless = HubOptions {
        endpoint: "http://127.0.0.1:9".to_owned(),
        cache: None,
        own: None,
        token: None,
        offline: false,
        patience: Duration::from_secs(1),
    };
    let ask = |model: &str, revision| resolve(model, revision, &cacheless, &mut |_| ()).map_err(one_line);
    let path = folder.path().to_str().unwrap();
    assert_eq!(ask(path, None).unwrap(), folder.path());
    assert_says(&ask(path, Some("main")).unwrap_err(), &["revision \"main\" given with the local model", path]);
    for absent in ["./a", "../a/b", "/a/b", "~/a", "a/b/c", "a\\b", "a", "", "a/", "a/..", "-a/b", "a/b\nc"] {
        assert_says(&ask(absent, None).unwrap_err(), &["no such folder", "org/name"]);
    }
    assert_says(&ask(NAME, None).unwrap_err(), &["set HF_HOME"]);
}

#[test]
fn no_network_and_no_cache() {
    let (mut server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    server.shut();
    let message = get(&options).unwrap_err();
    assert_says(&message, &[NAME, "not in the cache", &server.address, "cannot be reached", "local folder"]);
    options.offline = true;
    assert_says(&get(&options).unwrap_err(), &["HF_HUB_OFFLINE is set", "does not hold it", "local folder"]);
    options.offline = false;
    options.endpoint = "hub.example".to_owned();
    assert_says(&get(&options).unwrap_err(), &["\"hub.example\"", "HF_ENDPOINT"]);
}
