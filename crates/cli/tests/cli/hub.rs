//! A hub name where there is no hub.

use std::net::TcpListener;

use crate::{
    models::random_tiny,
    run::{command, fails, run},
};

#[test]
fn an_endpoint_that_nobody_listens_at() {
    let home = tempfile::tempdir().expect("a temporary folder");
    // A port that was free a moment ago, and that nothing listens at.
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    for args in [&["generate", "org/name", "-p", "hi", "--device", "flex"][..], &["info", "org/name"]] {
        let ran = run(command(args).env("HF_HOME", home.path()).env("HF_ENDPOINT", &endpoint));
        ran.failed(&["org/name", &endpoint, "cannot be reached", "HF_ENDPOINT", "local folder"]);
    }
}

#[test]
fn offline_only_the_cache_counts() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let ran = run(command(&["generate", "org/name", "-p", "hi", "--device", "flex"])
        .env("HF_HOME", home.path())
        .env("HF_HUB_OFFLINE", "1"));
    let cache = home.path().join("hub").display().to_string();
    ran.failed(&["org/name", "HF_HUB_OFFLINE", &cache]);
}

#[test]
fn an_endpoint_that_is_no_address() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let ran = run(command(&["info", "org/name"]).env("HF_HOME", home.path()).env("HF_ENDPOINT", "nowhere"));
    ran.failed(&["\"nowhere\"", "HF_ENDPOINT"]);
}

#[test]
fn names_and_revisions() {
    fails(&["info", "nothing-here"], &["\"nothing-here\"", "no such folder", "org/name"]);
    fails(&["info", "/nothing/here"], &["/nothing/here", "no such folder"]);
    fails(&["info", "org/name", "--revision", "../x"], &["revision", "../x"]);
    let model = random_tiny();
    fails(&["info", &model, "--revision", "main"], &["\"main\"", &model, "drop it"]);
    let file = format!("{model}/config.json");
    fails(&["info", &file], &[&file, "is a file", "folder"]);
}

#[test]
fn secrets_are_not_printed() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let mut info = crate::run::command(&["info", "org/name"]);
    info.env("HF_HOME", home.path()).env("HF_ENDPOINT", "http://user:secret@127.0.0.1:1");
    let ran = crate::run::run(&mut info);
    ran.failed(&["http://***@127.0.0.1:1 cannot be reached"]);
    assert!(!ran.stderr.contains("secret"), "{ran:?}");
    crate::run::run(info.env("HF_TOKEN", "t\u{f6}ken")).failed(&["the token of HF_TOKEN"]);
}
