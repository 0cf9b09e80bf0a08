//! What `glass` says of itself: short and long help, examples, completions, manual pages.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use assert_cmd::cargo::cargo_bin;
use tempfile::TempDir;

use crate::{
    models::{copy, random_tiny},
    run::{Ran, command, fails, refused, run, succeeds},
};

/// What takes minutes, or a GPU, or a run that another example would have to start. It is parsed all the same.
const NOT_RUN: [&str; 8] = [
    "glass train --text input.txt -o my-first",
    "glass train --text input.txt -o my-second --preset tiny --tokenizer bpe:300 --steps 2000",
    "glass train --resume my-first",
    "glass bench",
    "glass generate org/name -p \"Once\" --device wgpu:0",
    "glass serve org/name",
    "glass serve org/name --parallel 32 --context 4096",
    "glass serve org/name --host 0.0.0.0 --api-key-file keys.txt",
];

/// The columns of a terminal, without the margin of an example.
const COLUMNS: usize = 94;

/// The words of every command, those without commands of their own first; `glass` itself is the empty one.
fn commands() -> (Vec<String>, Vec<String>) {
    let (mut leaves, mut branches) = (Vec::new(), Vec::new());
    let mut open = vec![String::new()];
    while let Some(path) = open.pop() {
        let names = section(&help(&path, "--help"), "Commands:");
        let names = names.iter().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        let names = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
        let below: Vec<String> = names.map(|name| format!("{path} {name}").trim().to_owned()).collect();
        if below.is_empty() {
            leaves.push(path)
        } else {
            branches.push(path)
        }
        open.extend(below);
    }
    assert!(leaves.len() >= 15 && branches.len() == 2, "{leaves:?} {branches:?}");
    (leaves, branches)
}

fn help(path: &str, option: &str) -> String {
    let mut args: Vec<&str> = path.split_whitespace().collect();
    args.push(option);
    succeeds(&args).stdout
}

/// The lines below a heading.
fn section(help: &str, heading: &str) -> Vec<String> {
    let lines = help.lines().skip_while(|line| *line != heading).skip(1);
    lines.take_while(|line| line.is_empty() || line.starts_with(' ')).map(str::to_owned).collect()
}

/// The command lines of the examples in a long help.
fn examples(path: &str) -> Vec<String> {
    let lines = section(&help(path, "--help"), "Examples:");
    lines.iter().filter_map(|line| line.strip_prefix("      ")).map(str::to_owned).collect()
}

#[test]
fn every_command_has_three_examples() {
    let (leaves, _) = commands();
    for path in [&leaves[..], &[String::new()]].concat() {
        let examples = examples(&path);
        assert_eq!(examples.len(), 3, "glass {path}: add its examples to args/examples.rs: {examples:?}");
        // A longer one would be broken into lines, and could not be copied.
        assert!(examples.iter().all(|line| line.len() <= COLUMNS), "{examples:?}");
        let own = format!("glass {path}");
        assert!(examples.iter().any(|line| line.starts_with(own.trim())), "{examples:?}");
    }
}

/// Every option stands under a heading, save those that all commands have; the short help fits a screen, and the long one
/// has all of it.
#[test]
fn help_is_short_and_long() {
    let (leaves, branches) = commands();
    for path in leaves.iter().chain(&branches) {
        let (short, long) = (help(path, "-h"), help(path, "--help"));
        assert!(short.lines().count() <= 60, "glass {path} -h has {} lines", short.lines().count());
        assert!(!short.contains("Examples:"), "{short}");
        let options = section(&short, "Options:");
        let options = options.iter().filter(|line| line.trim_start().starts_with('-'));
        let known = ["-q, --quiet", "-h, --help", "-V, --version"];
        for line in options {
            assert!(known.iter().any(|name| line.trim_start().starts_with(name)), "glass {path}: no heading: {line}");
        }
        let flags = |help: &str| super::docs::flags(help);
        assert!(flags(&short).is_subset(&flags(&long)), "glass {path}");
    }
}

/// A folder with everything that the examples name.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        let verse = "ROMEO:\nBut, soft! what light through yonder window breaks?\n";
        desk.write("text.txt", verse);
        desk.write("input.txt", &verse.repeat(60));
        desk.write("prompts.jsonl", "{\"prompt\": \"ROMEO:\"}\n{\"prompt_ids\": [1, 2, 3]}\n");
        desk.write("ids.json", "{\"input_ids\": [[1, 2], [3, 4]]}");
        desk.write(
            "talk.json",
            "[{\"role\": \"user\", \"content\": \"Hello\"}, {\"role\": \"assistant\", \"content\": \"Hi\"}]",
        );
        for folder in [".local/share/bash-completion/completions", ".zfunc", ".config/fish/completions"] {
            fs::create_dir_all(desk.path(folder)).expect("made");
        }
        for folder in ["org/name", "path/to/model"] {
            let model = copy(&random_tiny());
            model.write("chat_template.jinja", "{% for m in messages %}{{ m.content }}\n{% endfor %}");
            fs::create_dir_all(desk.path(folder)).expect("made");
            for entry in fs::read_dir(model.path()).expect("readable") {
                let file = entry.expect("readable").path();
                let name = file.file_name().expect("a name");
                fs::copy(&file, desk.path(folder).join(name)).expect("copied");
            }
        }
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    /// Runs a line in a shell at this desk.
    fn run(&self, line: &str) -> Ran {
        let shell = command::<&str>(&[]);
        let program = cargo_bin("glass");
        let folder = program.parent().expect("a folder").to_owned();
        let path = env::var_os("PATH").unwrap_or_default();
        let folders = [folder].into_iter().chain(env::split_paths(&path));
        // The page is read, even where there is no `man`.
        let line = line.replace("| man -l -", "| cat");
        let mut at_desk = std::process::Command::new("sh");
        at_desk.args(["-c", &line]).current_dir(self.0.path()).stdin(std::process::Stdio::null());
        at_desk.envs(shell.get_envs().filter_map(|(name, value)| Some((name, value?))));
        shell.get_envs().filter(|(_, value)| value.is_none()).for_each(|(name, _)| {
            at_desk.env_remove(name);
        });
        at_desk.env("HOME", self.0.path()).env("PATH", env::join_paths(folders).expect("a path"));
        run(&mut at_desk)
    }
}

#[cfg(unix)]
#[test]
fn examples_run() {
    let (mut leaves, _) = commands();
    leaves.push(String::new());
    let mut not_run = 0;
    for line in leaves.iter().flat_map(|path| examples(path)) {
        let desk = Desk::new();
        if NOT_RUN.contains(&&*line) {
            not_run += 1;
            let ran = desk.run(&format!("{line} --help"));
            assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        } else {
            let ran = desk.run(&line);
            assert_eq!(ran.code, Some(0), "{line}: {ran:?}");
        }
    }
    assert_eq!(not_run, NOT_RUN.len());
}

#[test]
fn version_names_burn_and_devices() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../Cargo.lock");
    let lock = fs::read_to_string(lock).expect("readable");
    let burn = lock.split("[[package]]").find(|package| package.contains("name = \"burn\"\n")).expect("burn");
    let version = burn.lines().find_map(|line| line.strip_prefix("version = ")).expect("its version");
    let long = succeeds(&["--version"]).stdout;
    assert!(long.contains(&format!("\nburn {}\n", version.trim_matches('"'))), "{long}");
    assert!(long.contains("\ndevices flex, ndarray, wgpu"), "{long}");
    assert_eq!(succeeds(&["-V"]).stdout.lines().count(), 1);
}

#[test]
fn completions_know_commands_and_options() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = succeeds(&["completions", shell]).stdout;
        for word in ["generate", "perplexity", "max-new-tokens", "quiet"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        assert!(!script.contains("bench-subject"), "{shell}");
    }
    refused(&["completions", "cmd"], &["cmd", "bash, elvish, fish, powershell, zsh"]);
}

#[test]
fn there_is_a_page_for_every_command() {
    let (leaves, branches) = commands();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let to = folder.path().join("new/man1").to_str().expect("text").to_owned();
    succeeds(&["man", "-o", &to]).says(&["glass: wrote"]);
    for path in leaves.iter().chain(&branches) {
        let name = format!("glass {path}").trim().replace(' ', "-");
        let page = fs::read_to_string(Path::new(&to).join(format!("{name}.1"))).expect("a page");
        assert!(page.contains(".SH NAME") && page.contains(&name.replace('-', "\\-")), "{page}");
        assert_eq!(page.contains(".SH EXAMPLES"), leaves.contains(path) || path.is_empty(), "{name}");
        let words: Vec<&str> = ["man"].into_iter().chain(path.split_whitespace()).collect();
        assert_eq!(succeeds(&words).stdout, page);
    }
    assert_eq!(fs::read_dir(&to).expect("readable").count(), leaves.len() + branches.len());
    fails(&["man", "-o", &to], &["glass.1 exists", "--force"]);
    succeeds(&["man", "-o", &to, "--force"]);
    fails(&["man", "fly"], &["no command \"fly\"", "generate"]);
}
