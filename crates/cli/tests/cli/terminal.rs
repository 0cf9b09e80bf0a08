//! A terminal at which somebody talks with a model.

use std::{
    io::Write,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use rexpect::{process::WaitStatus, reader::Options, session::PtySession, spawn_with_options};

use crate::{
    models::Copy,
    run::{PATIENCE, command},
};

/// Somebody who talks with a model that never ends an answer by itself.
pub struct Terminal(pub PtySession);

/// A conversation whose answers have so many tokens.
pub fn chat(model: &Copy, tokens: &str) -> Command {
    command(&[
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
    ])
}

impl Terminal {
    pub fn open(model: &Copy, tokens: &str) -> Self {
        let mut command = chat(model, tokens);
        command.env("TERM", "xterm");
        Self::begin(command, true)
    }

    /// A terminal of so many columns, which echoes, and of which everything is seen.
    pub fn of_size(chat: &Command, columns: usize, name: &str) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("stty echo rows 24 columns {columns}; exec \"$0\" \"$@\"")]);
        shell.arg(chat.get_program()).args(chat.get_args());
        for (name, value) in chat.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.env("TERM", name);
        Self::begin(shell, false)
    }

    pub fn begin(mut command: Command, plain: bool) -> Self {
        command.stdin(Stdio::inherit());
        let options = Options::new().timeout_ms(Some(PATIENCE.as_millis() as u64)).strip_ansi_escape_codes(plain);
        let mut terminal = Self(spawn_with_options(command, options).expect("a terminal"));
        terminal.shows("/help");
        terminal.shows("> ");
        terminal
    }

    /// Keys, Enter not among them.
    pub fn types(&mut self, keys: &str) {
        self.0.send(keys).expect("sent");
        self.0.flush().expect("sent");
    }

    pub fn says(&mut self, line: &str) {
        self.0.send_line(line).expect("sent");
    }

    pub fn presses_control(&mut self, key: char) {
        self.0.send_control(key).expect("sent");
    }

    /// Waits until it does, and returns what came before.
    pub fn shows(&mut self, words: &str) -> String {
        self.0.exp_string(words).expect(words)
    }

    /// Waits until an answer that does not end is under way: for more than anybody types. Returns it.
    pub fn goes_on(&mut self) -> String {
        let (_, shown) = self.0.exp_regex("(?s).{2000}").expect("an answer");
        shown
    }

    /// It ends with one more Ctrl-C. Nothing shows that the one before was heard, and two at once may count as one.
    pub fn leaves_by_control_c(self) {
        let start = Instant::now();
        loop {
            // Who has ended hears nothing.
            let _ = self.0.process().get_file_handle().and_then(|mut keys| Ok(keys.write_all(b"\x03")?));
            sleep(Duration::from_millis(100));
            match self.0.process().status() {
                Some(WaitStatus::StillAlive) => assert!(start.elapsed() < PATIENCE, "it stays"),
                ended => break assert!(matches!(ended, Some(WaitStatus::Exited(_, 130))), "{ended:?}"),
            }
        }
    }

    /// It ends, with this code; what it showed before.
    pub fn ends(mut self, code: i32) -> String {
        let rest = self.0.exp_eof().expect("the end");
        match self.0.process().wait().expect("it ends") {
            WaitStatus::Exited(_, ended) => assert_eq!(ended, code),
            other => panic!("{other:?}"),
        }
        rest
    }
}
