//! Commands whose output is quoted.

use std::{
    env, fs,
    os::unix::fs::symlink,
    path::Path,
    process::{Command, Stdio},
};

use assert_cmd::cargo::cargo_bin;

use super::{
    none,
    page::{Block, pages},
    printed::agree,
    repository, writes,
};
use crate::run::command;

/// Each `console` block, those of one page in one folder, which shows the repository's weights and docs.
#[test]
fn quoted_commands_print_what_is_quoted() {
    let mut faults = Vec::new();
    let mut commands = 0;
    for page in pages() {
        let shell = Shell::open();
        let mut text = page.text.clone();
        for block in page.blocks() {
            if block.language != "console" {
                continue;
            }
            for (command, quoted) in session(&block) {
                commands += 1;
                let printed = shell.run(&command);
                let (quoted, lines) = (trimmed(&quoted), trimmed(&printed));
                if agree(&quoted, &lines) {
                    continue;
                }
                faults.push(format!("{}: $ {command}\n{printed}", page.at(block.line)));
                let old = format!("$ {command}\n{}", as_block(&quoted));
                let new = format!("$ {command}\n{}", as_block(&lines));
                text = text.replacen(&old, &new, 1);
            }
        }
        if writes() && text != page.text {
            fs::write(repository().join(&page.path), text).expect("a page");
        }
    }
    assert!(commands > 10, "commands are missing: {commands}");
    none(faults);
}

/// The commands of a block, and what is quoted behind each.
fn session(block: &Block) -> Vec<(String, String)> {
    let mut session: Vec<(String, String)> = Vec::new();
    for line in &block.lines {
        match (line.strip_prefix("$ "), session.last_mut()) {
            (Some(command), _) => session.push((command.to_owned(), String::new())),
            (None, Some((command, quoted))) => {
                if command.ends_with('\\') && quoted.is_empty() {
                    *command = format!("{command}\n{line}");
                } else {
                    *quoted += &format!("{line}\n");
                }
            }
            (None, None) => panic!("a console block begins with a command: {line}"),
        }
    }
    session
}

/// Lines without blanks at their ends, and without blank lines at the end of all.
fn trimmed(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    while lines.last().is_some_and(|line| line.is_empty()) {
        lines.pop();
    }
    lines
}

fn as_block(lines: &[&str]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// A folder to run commands in.
pub struct Shell(tempfile::TempDir);

impl Shell {
    pub fn open() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let root = fs::canonicalize(repository()).expect("the repository");
        for name in ["docs", "weights"] {
            symlink(root.join(name), folder.path().join(name)).expect("a link");
        }
        symlink(cargo_bin("glass"), folder.path().join("glass")).expect("a link");
        Self(folder)
    }

    /// What a command prints, standard error included, on the device that every machine has.
    pub fn run(&self, line: &str) -> String {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("exec 2>&1\n{}", on_flex(line))]);
        // The environment of the other tests' commands.
        for (name, value) in command::<&str>(&[]).get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        let path = env::var("PATH").unwrap_or_default();
        shell.env("PATH", format!("{}:{path}", Path::display(self.0.path())));
        let output = shell.current_dir(self.0.path()).stdin(Stdio::null()).output().expect("a shell");
        String::from_utf8(output.stdout).expect("text")
    }
}

/// Texts are those of `flex`; `auto` may be a GPU.
fn on_flex(line: &str) -> String {
    let computes = ["generate", "batch", "search", "chat", "logits", "eval perplexity", "eval needle"];
    let mut line = line.to_owned();
    for name in computes {
        let command = format!("glass {name} ");
        if !line.contains("--device") {
            line = line.replace(&command, &format!("{command}--device flex "));
        }
    }
    line
}
