//! Ctrl-C, and readers that go away.

use std::{
    fs,
    io::Read,
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::Instant,
};

use serde_json::{Value, json};

use crate::{
    models::{fixture, random_tiny},
    run::{PATIENCE, Ran, command, met_in_its_middle, text},
};

/// More tokens than anybody waits for.
const ENDLESS: [&str; 5] = ["-n", "100000000", "--ignore-eos", "--device", "flex"];

fn endless() -> Command {
    command(&[&["generate", &random_tiny(), "-p", "hi"], &ENDLESS[..]].concat())
}

fn start(command: &mut Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("glass starts")
}

/// Reads until these words have come.
fn wait_for(reader: &mut impl Read, words: &str) -> String {
    let mut text = String::new();
    let mut byte = [0];
    while !text.contains(words) {
        assert_eq!(reader.read(&mut byte).expect("readable"), 1, "only {text:?} came");
        text.push(char::from(byte[0]));
    }
    text
}

fn interrupt(child: &Child) {
    let id = libc::pid_t::try_from(child.id()).expect("a process id");
    // SAFETY: the child was not waited for yet, so that the id is its own.
    assert_eq!(unsafe { libc::kill(id, libc::SIGINT) }, 0);
}

/// How it ended, which must be soon; `stdout` and `stderr` are what it had already said.
fn end(child: Child, stdout: String, stderr: String) -> Ran {
    let start = Instant::now();
    let output = child.wait_with_output().expect("it ends");
    assert!(start.elapsed() < PATIENCE, "{:?}", start.elapsed());
    let ran = Ran {
        code: output.status.code(),
        stdout: stdout + &String::from_utf8_lossy(&output.stdout),
        stderr: stderr + &String::from_utf8_lossy(&output.stderr),
    };
    ran.has_no_panic();
    ran
}

#[test]
fn ctrl_c_ends_a_text_where_it_is() {
    let mut child = start(&mut endless());
    let mut letters = [0; 20];
    let stdout = child.stdout.as_mut().expect("piped");
    stdout.read_exact(&mut letters).expect("some text");
    interrupt(&child);
    let ran = end(child, String::from_utf8_lossy(&letters).into(), String::new());
    assert_eq!(ran.code, Some(130), "{ran:?}");
    assert!(ran.stdout.len() > 20 && ran.stdout.ends_with('\n'), "{ran:?}");
    ran.says(&["(interrupted)"]);
    assert!(!ran.stderr.contains("error"), "{ran:?}");
}

#[test]
fn ctrl_c_still_gives_the_json_of_what_there_is() {
    let ids = met_in_its_middle(|wait| {
        let mut child = start(endless().arg("--json"));
        // That is said when the model is loaded.
        let said = wait_for(child.stderr.as_mut().expect("piped"), "may be noise\n");
        sleep(wait);
        interrupt(&child);
        let ran = end(child, String::new(), said);
        assert_eq!(ran.code, Some(130), "{ran:?}");
        let json = ran.json();
        let sequence = &json["sequences"][0];
        assert_eq!(sequence["finish_reason"], "interrupted");
        let ids = sequence["ids"].as_array().expect("a list").len();
        assert_eq!(json["generated_tokens"], ids);
        (ids > 0).then_some(ids)
    });
    assert!(ids < 100_000_000);
}

#[test]
fn ctrl_c_gives_the_perplexity_of_what_was_scored() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("long.txt");
    fs::write(&file, "to be or not to be\n".repeat(100_000)).expect("written");
    let (model, file) = (random_tiny(), text(&file));
    let args = ["--text", &file, "--window", "1025", "--device", "flex", "--json"];
    let json = met_in_its_middle(|wait| {
        let mut child = start(&mut command(&[&["eval", "perplexity", &model], &args[..]].concat()));
        // That is said when scoring begins.
        let said = wait_for(child.stderr.as_mut().expect("piped"), "badly\n");
        sleep(wait);
        interrupt(&child);
        let ran = end(child, String::new(), said);
        assert_eq!(ran.code, Some(130), "{ran:?}");
        ran.says(&["(interrupted)"]);
        let json = ran.json();
        assert_eq!(json["interrupted"], true);
        (json["tokens"] != 0).then_some(json)
    });
    let tokens = json["tokens"].as_u64().expect("a number");
    assert!(tokens < 1_899_999, "{tokens}");
    assert!(json["mean_nll"].is_f64());
}

#[test]
fn ctrl_c_gives_what_was_found_until_then() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let picture = folder.path().join("map.svg");
    let (model, plot) = (random_tiny(), text(&picture));
    let args = ["--length", "1030", "--trials", "1000000", "--device", "flex", "--json", "--plot", &plot, "--force"];
    let json = met_in_its_middle(|wait| {
        let mut child = start(&mut command(&[&["eval", "needle", &model], &args[..]].concat()));
        // That is said when the search begins.
        let said = wait_for(child.stderr.as_mut().expect("piped"), "alone\n");
        sleep(wait);
        interrupt(&child);
        let ran = end(child, String::new(), said);
        assert_eq!(ran.code, Some(130), "{ran:?}");
        ran.says(&["(interrupted)"]);
        let json = ran.json();
        assert_eq!(json["interrupted"], true);
        (json["runs"][0]["cells"][0]["trials"] != 0).then_some(json)
    });
    let cells = json["runs"][0]["cells"].as_array().expect("cells");
    assert!((1..1_000_000).contains(&cells[0]["trials"].as_u64().expect("a number")));
    assert!(cells[0]["found"].is_f64());
    assert_eq!((&cells[4]["trials"], &cells[4]["found"]), (&0.into(), &Value::Null));
    assert!(picture.is_file());
}

#[test]
fn ctrl_c_ends_logits_and_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let [input, output] = ["input.json", "out"].map(|name| folder.path().join(name));
    let model = fixture("llama-gqa");
    let args = ["logits", &model, "--ids-file", &text(&input), "--device", "flex", "-o", &text(&output), "--force"];
    met_in_its_middle(|wait| {
        // The pass takes seconds; longer where it was over before anybody could stop it.
        let length = 30 * wait.as_millis() as usize;
        fs::write(&input, json!({ "input_ids": [vec![7; length]] }).to_string()).expect("written");
        let mut child = start(&mut command(&args));
        let said = wait_for(child.stderr.as_mut().expect("piped"), "of 128\n");
        interrupt(&child);
        let ran = end(child, String::new(), said);
        if ran.code == Some(0) {
            fs::remove_file(&output).expect("it was written");
            return None;
        }
        assert_eq!(ran.code, Some(130), "{ran:?}");
        Some(())
    });
    assert_eq!(fs::read_dir(folder.path()).expect("readable").count(), 1);
}

#[test]
fn ctrl_c_ends_the_waiting_for_a_hub_that_does_not_answer() {
    let home = tempfile::tempdir().expect("a temporary folder");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let endpoint = format!("http://{}", listener.local_addr().expect("an address"));
    let child = start(
        command(&["generate", "org/name", "-p", "hi", "--device", "flex"])
            .env("HF_HOME", home.path())
            .env("HF_ENDPOINT", endpoint),
    );
    // Somebody is waiting at the other end from here on.
    let connection = listener.accept().expect("a connection");
    interrupt(&child);
    let ran = end(child, String::new(), String::new());
    assert_eq!((ran.code, &*ran.stderr), (Some(130), ""));
    drop(connection);
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let mut child = start(&mut endless());
    let mut stdout = child.stdout.take().expect("piped");
    stdout.read_exact(&mut [0; 5]).expect("some text");
    drop(stdout);
    let ran = end(child, String::new(), String::new());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stderr.contains("error"), "{ran:?}");

    let model = random_tiny();
    for args in [&["info", &model][..], &["devices"], &["--help"]] {
        let mut child = start(&mut command(args));
        drop(child.stdout.take());
        let ran = end(child, String::new(), String::new());
        assert_eq!((ran.code, &*ran.stderr), (Some(0), ""), "{args:?}");
    }
}

#[test]
fn nobody_has_to_read_standard_error() {
    let model = random_tiny();
    let mut child = start(&mut command(&["generate", &model, "-p", "hi", "-n", "5", "--device", "flex"]));
    drop(child.stderr.take());
    let ran = end(child, String::new(), String::new());
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.len() > 1, "{ran:?}");

    let mut child = start(&mut command(&["info", "/nothing/here"]));
    drop(child.stderr.take());
    assert_eq!(end(child, String::new(), String::new()).code, Some(1));
}
