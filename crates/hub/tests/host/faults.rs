//! Downloads that break, and what the next run makes of what they left.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use glass_hub::{HubProgress, resolve};
use tempfile::TempDir;

use super::server::{COMMIT, Fault, NAME, Server};
use super::{Seen, assert_absent, assert_says, assert_whole, get, get_seen, one_line, options, repository, weights};

/// Each fault gives one line, leaves nothing that looks whole, and is forgotten once the server is well.
#[test]
fn broken_then_healthy() {
    let url = "/resolve/0123456789abcdef0123456789abcdef01234567/model.safetensors";
    let cases: [(Fault, &'static str, &[&str]); 11] = [
        (Fault::HalfBody, "/cdn/", &["download of model.safetensors broke off", "run again"]),
        (Fault::HalfWithoutLength, "/cdn/", &["model.safetensors came with", "thrown away", "run again"]),
        (Fault::Status(404), "/cdn/", &["not found (HTTP 404)", url]),
        (Fault::Status(401), "/resolve/", &["access refused (HTTP 401)", "licence", "HF_TOKEN"]),
        (Fault::Status(403), "/cdn/", &["access refused (HTTP 403)", url, "/some-org/some.model and set"]),
        (Fault::Status(401), "/api/", &["access refused (HTTP 401: told so)", "check the name"]),
        (Fault::Status(500), "/cdn/", &["the server failed (HTTP 500)", "try again later"]),
        (Fault::Status(503), "/api/", &["the server failed (HTTP 503: told so)", "/api/models/"]),
        (Fault::Drop, "/cdn/", &["download of model.safetensors broke off"]),
        (Fault::Html, "config.json", &["config.json came with 19 bytes where the hub has 22"]),
        (Fault::Html, "/api/", &["did not answer as a Hugging Face hub", "HF_ENDPOINT"]),
    ];
    thread::scope(|scope| {
        for (fault, on, parts) in cases {
            scope.spawn(move || {
                let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
                let options = options(&server, cache.path());
                server.fail(fault, on);
                let message = get(&options).unwrap_err();
                assert_says(&message, &[&[NAME], parts].concat());
                assert_absent(cache.path(), "model.safetensors");
                server.heal();
                assert_whole(&get(&options).unwrap());
            });
        }
    });
}

#[test]
fn json_that_is_none_is_thrown_away() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    server.set(|state| state.sizes_listed = false);
    server.fail(Fault::Html, "config.json");
    assert_says(&get(&options).unwrap_err(), &["config.json came as something that is not JSON", "proxy"]);
    assert_absent(cache.path(), "config.json");
    server.heal();
    assert_whole(&get(&options).unwrap());
}

#[test]
fn without_listed_sizes_the_announced_length_counts() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    server.set(|state| state.sizes_listed = false);
    server.fail(Fault::HalfWithoutLength, "/cdn/");
    assert_says(&get(&options).unwrap_err(), &["model.safetensors came with"]);
    assert_absent(cache.path(), "model.safetensors");
    server.heal();
    assert_whole(&get(&options).unwrap());
}

#[test]
fn a_silent_server_is_given_up() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let mut options = options(&server, cache.path());
    options.patience = Duration::from_secs(3);
    server.fail(Fault::Stall, "/cdn/");
    assert_says(&get(&options).unwrap_err(), &["no data of model.safetensors for 3 s", "run again"]);
    assert_absent(cache.path(), "model.safetensors");
    options.patience = Duration::from_secs(30);
    server.heal();
    assert_whole(&get(&options).unwrap());
}

#[test]
fn parts_left_behind() {
    let part_path = |cache: &Path| {
        let blobs = cache.join("models--some-org--some.model/blobs");
        fs::create_dir_all(&blobs).unwrap();
        blobs.join(format!("{COMMIT}-model.safetensors.part"))
    };
    let whole = weights("w", 100_000);
    let too_long = [&whole[..], b"x"].concat();
    for (left, fault) in [
        (&whole[..70_000], None),
        (&whole[..], None),
        (&too_long[..], None),
        (&whole[..70_000], Some((Fault::IgnoreRange, "/cdn/"))),
    ] {
        for sizes_listed in [true, false] {
            let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
            fs::write(part_path(cache.path()), left).unwrap();
            server.set(|state| (state.fault, state.sizes_listed) = (fault, sizes_listed));
            assert_whole(&get(&options(&server, cache.path())).unwrap());
            assert!(!part_path(cache.path()).exists());
        }
    }
}

#[test]
fn a_link_without_its_blob_is_fetched_again() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let folder = get(&options).unwrap();
    fs::remove_file(fs::canonicalize(folder.join("model.safetensors")).unwrap()).unwrap();
    assert_whole(&get(&options).unwrap());
    // A file cut short behind the cache's back is noticed when the hub is asked.
    let blob = fs::canonicalize(folder.join("model.safetensors")).unwrap();
    fs::write(blob, "short").unwrap();
    fs::remove_file(folder.join("tokenizer.json")).unwrap();
    assert_whole(&get(&options).unwrap());
}

/// What another revision brought is not fetched again.
#[test]
fn a_blob_that_is_there() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let folder = get(&options).unwrap();
    fs::remove_file(folder.join("model.safetensors")).unwrap();
    let mut seen = Seen::default();
    assert_whole(&get_seen(None, &options, &mut seen).unwrap());
    assert!(seen.files.is_empty(), "{:?}", seen.files);
}

/// Two processes that fetch the same model share one download.
#[test]
fn a_second_process_waits() {
    let (server, cache) = (Server::new(&repository()), TempDir::new().unwrap());
    let options = options(&server, cache.path());
    let repo = cache.path().join("models--some-org--some.model");
    fs::create_dir_all(&repo).unwrap();
    let lock = fs::File::create(repo.join(".lock")).unwrap();
    lock.lock().unwrap();
    let (warn, warned) = mpsc::channel();
    let second = thread::spawn(move || {
        let folder = resolve(NAME, None, &options, &mut |event| {
            if let HubProgress::Warning(line) = event {
                warn.send(line.to_owned()).unwrap();
            }
        });
        folder.map_err(one_line)
    });
    assert!(warned.recv().unwrap().contains("another process"));
    // Time for what must not happen.
    thread::sleep(Duration::from_millis(100));
    assert_eq!(server.requests().len(), 1, "only the listing was asked for");
    drop(lock);
    assert_whole(&second.join().unwrap().unwrap());
    assert!(warned.recv().is_err(), "it said no more");
}
