//! Runs `glass` and judges how it ended.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use assert_cmd::cargo::cargo_bin;
use serde_json::Value;

/// How long a test waits for what must come: it is never a measure of speed.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Repeats what must be met in its middle, where nothing tells when that is: each try waits twice as long as the one before,
/// until one gives something.
pub fn met_in_its_middle<T>(mut attempt: impl FnMut(Duration) -> Option<T>) -> T {
    let mut wait = Duration::from_millis(200);
    loop {
        if let Some(met) = attempt(wait) {
            return met;
        }
        assert!(wait < PATIENCE, "it was not met");
        wait *= 2;
    }
}

/// What a run left.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// `glass` with these arguments and nothing on standard input, blind to what the tester's shell has set.
pub fn command<A: AsRef<str>>(args: &[A]) -> Command {
    let mut command = Command::new(cargo_bin("glass"));
    command.args(args.iter().map(AsRef::as_ref));
    command.stdin(Stdio::null());
    for name in [
        "GLASS_API_KEY",
        "GLASS_DEVICE",
        "GLASS_DTYPE",
        "GLASS_KERNELS",
        "GLASS_MODEL",
        "RUST_BACKTRACE",
        "HF_ENDPOINT",
        "HF_HOME",
        "HF_HUB_CACHE",
        "HF_TOKEN",
        "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "http_proxy",
        "https_proxy",
        "all_proxy",
        "NO_COLOR",
        "CLICOLOR",
        "CLICOLOR_FORCE",
    ] {
        command.env_remove(name);
    }
    // What is typed in tests is nobody's to remember.
    command.env("GLASS_HISTORY", "off");
    command
}

pub fn run(command: &mut Command) -> Ran {
    let output = command.output().expect("glass starts");
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8(output.stdout).expect("text on standard output"),
        stderr: String::from_utf8(output.stderr).expect("text on standard error"),
    };
    ran.has_no_panic();
    ran
}

/// A run that succeeds.
pub fn succeeds<A: AsRef<str>>(args: &[A]) -> Ran {
    let ran = run(&mut command(args));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}

/// A run that fails with one line on standard error, which has all these words, and nothing on standard output.
pub fn fails<A: AsRef<str>>(args: &[A], words: &[&str]) -> Ran {
    let ran = run(&mut command(args));
    ran.failed(words);
    ran
}

/// A run that clap refuses.
pub fn refused<A: AsRef<str>>(args: &[A], words: &[&str]) {
    let ran = run(&mut command(args));
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.stdout, "", "{ran:?}");
    assert!(ran.stderr.starts_with("error: "), "{ran:?}");
    ran.says(words);
}

impl Ran {
    pub fn failed(&self, words: &[&str]) {
        assert_eq!(self.code, Some(1), "{self:?}");
        assert_eq!(self.stdout, "", "{self:?}");
        assert_eq!(self.stderr.lines().count(), 1, "{self:?}");
        assert!(self.stderr.starts_with("glass: error: "), "{self:?}");
        self.says(words);
    }

    /// These words are on standard error.
    pub fn says(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is not in {}", self.stderr);
        }
    }

    pub fn has_no_panic(&self) {
        assert_ne!(self.code, Some(101), "{self:?}");
        assert!(!self.stderr.contains("panicked"), "{self:?}");
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.stdout))
    }
}

pub fn text(path: &Path) -> String {
    path.to_str().expect("a path that is text").to_owned()
}
