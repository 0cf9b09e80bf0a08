//! Conversations at a terminal.

use std::{fs, thread::sleep, time::Duration};

use rexpect::{process::WaitStatus, reader::Options, session::PtySession, spawn_with_options};
use serde_json::Value;

use crate::{
    chat::model,
    models::Copy,
    run::{command, text},
};

/// A terminal in which somebody talks with a model that never ends by itself, unless told to.
fn terminal(model: &Copy, options: &[&str]) -> PtySession {
    let path = model.path();
    let endless = [
        "--set",
        "eos_token_id=null",
        "--set",
        "max_position_embeddings=100000000",
    ];
    let args = [
        &["chat", &path, "--device", "flex", "--temperature", "0"],
        &endless[..],
        options,
    ];
    let mut command = command(&args.concat());
    command.env("TERM", "xterm");
    let options = Options::new()
        .timeout_ms(Some(60_000))
        .strip_ansi_escape_codes(true);
    let mut terminal = spawn_with_options(command, options).expect("a terminal");
    terminal
        .exp_string("/help says what there is")
        .expect("a greeting");
    terminal.exp_string("> ").expect("a prompt");
    terminal
}

fn exit_code(terminal: &PtySession) -> i32 {
    match terminal.process().wait().expect("it ends") {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_conversation_at_a_terminal() {
    let model = model();
    let file = model.file("saved.json");
    let mut terminal = terminal(&model, &["-n", "8"]);
    terminal.send_line("Hello").expect("sent");
    terminal
        .exp_string("cut off after 8 tokens")
        .expect("an answer");
    terminal.exp_string("> ").expect("a prompt");
    // A line that goes on, and the arrow that brings back what was said.
    terminal.send_line("two\\").expect("sent");
    terminal.send_line("lines").expect("sent");
    terminal
        .exp_string("cut off after 8 tokens")
        .expect("an answer");
    terminal.exp_string("> ").expect("a prompt");
    terminal.send("\x1b[A\x1b[A").expect("sent");
    terminal.flush().expect("sent");
    terminal.exp_string("Hello").expect("what was said first");
    terminal.send_line("!").expect("sent");
    terminal
        .exp_string("cut off after 8 tokens")
        .expect("an answer");
    terminal
        .send_line(&format!("/save {}", text(&file)))
        .expect("sent");
    terminal.exp_string("6 messages in").expect("saved");
    terminal.exp_string("> ").expect("a prompt");
    terminal.send_control('d').expect("sent");
    terminal.exp_eof().expect("the end");
    assert_eq!(exit_code(&terminal), 0);

    let saved: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
    assert_eq!(saved[0]["content"], "Hello");
    assert_eq!(saved[2]["content"], "two\nlines");
    assert_eq!(saved[4]["content"], "Hello!");
}

#[test]
fn ctrl_c_stops_the_answer_and_twice_at_an_empty_prompt_leaves() {
    let model = model();
    let mut terminal = terminal(&model, &["-n", "100000000"]);
    for said in ["Hello", "Again"] {
        terminal.send_line(said).expect("sent");
        // The line that was typed, and then the answer to it.
        terminal.exp_string(said).expect("an echo");
        sleep(Duration::from_millis(700));
        terminal.send_control('c').expect("sent");
        let answer = terminal.exp_string("glass: stopped").expect("it stops");
        assert!(answer.trim().len() > 20, "{answer:?}");
        terminal.exp_string("> ").expect("a prompt");
    }
    terminal.send_line("/stats").expect("sent");
    terminal
        .exp_string("4 messages, 0 of them")
        .expect("both turns are there");
    terminal.exp_string("(interrupted)").expect("how it ended");
    terminal.exp_string("> ").expect("a prompt");

    // What is being typed is thrown away, and nothing else.
    for _ in 0..3 {
        terminal.send("half a line").expect("sent");
        terminal.flush().expect("sent");
        terminal.exp_string("half a line").expect("an echo");
        terminal.send_control('c').expect("sent");
        terminal.exp_string("> ").expect("a prompt");
    }
    terminal.send_control('c').expect("sent");
    terminal.exp_string("once more leaves").expect("a warning");
    terminal.exp_string("> ").expect("a prompt");
    terminal.send_line("/system").expect("sent");
    terminal
        .exp_string("no system message")
        .expect("it goes on");
    terminal.exp_string("> ").expect("a prompt");
    terminal.send_control('c').expect("sent");
    terminal.exp_string("once more leaves").expect("a warning");
    terminal.exp_string("> ").expect("a prompt");
    terminal.send_control('c').expect("sent");
    terminal.exp_eof().expect("the end");
    assert_eq!(exit_code(&terminal), 130);
}
