//! Conversations at a terminal.

use std::{fs, process::Stdio, thread::sleep, time::Duration};

use rexpect::{process::WaitStatus, reader::Options, session::PtySession, spawn_with_options};
use serde_json::Value;

use crate::{
    chat::model,
    models::Copy,
    run::{command, text},
};

/// Somebody who talks with a model that never ends an answer by itself.
struct Terminal(PtySession);

impl Terminal {
    fn open(model: &Copy, tokens: &str) -> Self {
        let mut command = command(&[
            "chat",
            &model.path(),
            "--device",
            "flex",
            "--temperature",
            "0",
            "--set",
            "eos_token_id=null",
            "--set",
            "max_position_embeddings=100000000",
            "-n",
            tokens,
        ]);
        command.env("TERM", "xterm").stdin(Stdio::inherit());
        let options = Options::new().timeout_ms(Some(60_000)).strip_ansi_escape_codes(true);
        let mut terminal = Self(spawn_with_options(command, options).expect("a terminal"));
        terminal.shows("/help says what there is");
        terminal.shows("> ");
        terminal
    }

    /// Keys, Enter not among them.
    fn types(&mut self, keys: &str) {
        self.0.send(keys).expect("sent");
        self.0.flush().expect("sent");
    }

    fn says(&mut self, line: &str) {
        self.0.send_line(line).expect("sent");
    }

    fn presses_control(&mut self, key: char) {
        self.0.send_control(key).expect("sent");
    }

    /// Waits until it does, and returns what came before.
    fn shows(&mut self, words: &str) -> String {
        self.0.exp_string(words).expect(words)
    }

    /// It ends, with this code.
    fn ends(mut self, code: i32) {
        self.0.exp_eof().expect("the end");
        match self.0.process().wait().expect("it ends") {
            WaitStatus::Exited(_, ended) => assert_eq!(ended, code),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_conversation_at_a_terminal() {
    let model = model();
    let file = model.file("saved.json");
    let mut terminal = Terminal::open(&model, "8");
    let answered = |terminal: &mut Terminal| {
        terminal.shows("cut off after 8 tokens");
        terminal.shows("> ");
    };
    terminal.says("Hello");
    answered(&mut terminal);
    terminal.says("two\\");
    terminal.says("lines");
    answered(&mut terminal);
    // The arrow goes up through both lines, and then to what was said before them.
    terminal.types("\x1b[A\x1b[A\x1b[A");
    terminal.shows("Hello");
    terminal.says("!");
    answered(&mut terminal);
    // What is pasted is sent when Enter is pressed, whatever is in it.
    terminal.types("\x1b[200~a\nb\x1b[201~");
    terminal.says("");
    answered(&mut terminal);
    terminal.says(&format!("/save {}", text(&file)));
    terminal.shows("8 messages in");
    terminal.shows("> ");
    terminal.presses_control('d');
    terminal.ends(0);

    let saved: Value = serde_json::from_slice(&fs::read(file).expect("readable")).expect("JSON");
    let said: Vec<_> = (0..8).step_by(2).map(|i| &saved[i]["content"]).collect();
    assert_eq!(said, ["Hello", "two\nlines", "Hello!", "a\nb"]);
}

#[test]
fn ctrl_c_stops_the_answer_and_twice_at_an_empty_prompt_leaves() {
    let model = model();
    let mut terminal = Terminal::open(&model, "100000000");
    for said in ["Hello", "Again"] {
        terminal.says(said);
        // The line that was typed, and then the answer to it.
        terminal.shows(said);
        sleep(Duration::from_millis(700));
        terminal.presses_control('c');
        let answer = terminal.shows("glass: stopped");
        assert!(answer.trim().len() > 20, "{answer:?}");
        terminal.shows("> ");
    }
    terminal.says("/stats");
    terminal.shows("4 messages, 0 of them");
    terminal.shows("(interrupted)");
    terminal.shows("> ");

    // What is being typed is thrown away, and nothing else.
    for _ in 0..3 {
        terminal.types("half a line");
        terminal.shows("half a line");
        terminal.presses_control('c');
        terminal.shows("> ");
    }
    let warned = |terminal: &mut Terminal| {
        terminal.presses_control('c');
        terminal.shows("once more leaves");
        terminal.shows("> ");
    };
    warned(&mut terminal);
    terminal.says("/system");
    terminal.shows("no system message");
    terminal.shows("> ");
    warned(&mut terminal);
    terminal.presses_control('c');
    terminal.ends(130);
}
