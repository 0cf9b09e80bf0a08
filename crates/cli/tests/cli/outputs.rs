//! One rule for all outputs: what exists is not overwritten without --force.

use std::{
    fs,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{
    models::{WEIGHTS, copy, fixture, random_tiny, read},
    run::{command, fails, refused, run, succeeds, text},
};

const OLDER: &str = "something older";

/// A folder with an input for every command, and a file and a folder that are there already.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        desk.write("older", OLDER);
        fs::create_dir(desk.path("model")).expect("made");
        desk.write("model/dear.txt", OLDER);
        desk.write("text.txt", &"ROMEO:\nBut, soft! what light through yonder window breaks?\n".repeat(40));
        desk.write("prompts.jsonl", "{\"prompt\": \"ROMEO:\"}\n");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.path(name), content).expect("written");
    }

    /// The arguments of a command, with the paths of this folder in place of `@name`.
    fn args(&self, line: &str) -> Vec<String> {
        let word = |word: &str| match word.strip_prefix('@') {
            Some(name) => text(&self.path(name)),
            None if word == "MODEL" => random_tiny(),
            None => word.to_owned(),
        };
        line.split(' ').map(word).collect()
    }

    fn holds(&self, name: &str, content: &str) -> bool {
        fs::read(self.path(name)).is_ok_and(|bytes| bytes == content.as_bytes())
    }
}

const FILES: [&str; 5] = [
    "logits MODEL -p ROMEO: --device flex -o @older",
    "eval perplexity MODEL --text @text.txt --max-tokens 40 --by-position --device flex --plot @older",
    "eval needle MODEL --length 32 --depth 0.5 --trials 1 --device flex --plot @older",
    "bench MODEL --device flex --prompt 4 --gen 2 --repeat 1 --plot @older",
    "batch MODEL --prompts @prompts.jsonl -n 4 --device flex -o @older",
];

#[test]
fn files_are_overwritten_with_force_alone() {
    for line in FILES {
        let desk = Desk::new();
        let args = desk.args(line);
        fails(&args, &["older", "--force"]);
        assert!(desk.holds("older", OLDER), "{line}");
        succeeds(&[args, vec!["--force".into()]].concat());
        assert!(!desk.holds("older", OLDER), "{line}");
        assert!(fs::metadata(desk.path("older")).expect("there").len() > OLDER.len() as u64, "{line}");
    }
}

/// The folder's own files stay, whatever the command: it replaces a model, and nothing else.
#[test]
fn folders_are_written_over_with_force_alone() {
    for line in [
        "convert MODEL -o @model",
        "quantize MODEL --dtype q8 -o @model",
        "train --text @text.txt --preset tiny --steps 2 --batch 1 --context 16 --device flex -o @model",
    ] {
        let desk = Desk::new();
        let args = desk.args(line);
        fails(&args, &["model is not empty", "--force"]);
        assert_eq!(fs::read_dir(desk.path("model")).expect("readable").count(), 1, "{line}");
        let forced = [args, vec!["--force".into()]].concat();
        succeeds(&forced);
        assert!(desk.holds("model/dear.txt", OLDER), "{line}");
        // Nothing of the model that was there is left, or it would be read as a part of the new one.
        desk.write("model/model-00001-of-00002.safetensors", OLDER);
        desk.write("model/chat_template.jinja", OLDER);
        succeeds(&forced);
        assert!(!desk.path("model/model-00001-of-00002.safetensors").exists(), "{line}");
        assert!(!desk.path("model/chat_template.jinja").exists(), "{line}");
        succeeds(&["generate", &text(&desk.path("model")), "-p", "ROMEO:", "-n", "2", "--device", "flex"]);
    }
}

#[test]
fn a_run_that_is_overwritten_does_not_resume() {
    let desk = Desk::new();
    let line = "train --text @text.txt --preset tiny --batch 1 --context 16 --device flex --force -o @model --steps";
    let train = |steps: &str| succeeds(&[desk.args(line), vec![steps.into()]].concat());
    train("5");
    train("2");
    let metrics = fs::read_to_string(desk.path("model/metrics.jsonl")).expect("readable");
    assert!(!metrics.contains("\"step\":5"), "{metrics}");
    let resume = ["train", "--resume", &text(&desk.path("model")), "--device", "flex"].map(String::from);
    run(&mut command(&resume)).says(&["after step 2"]);
    refused(&[&resume[..], &["--force".into()]].concat(), &["--force", "cannot be used with"]);
}

/// Results are compared again and again; a model's weights are no such result.
#[test]
fn logits_replace_logits_and_say_so() {
    let desk = Desk::new();
    let args = desk.args("logits MODEL -p ROMEO: --device flex -o @logits");
    succeeds(&args);
    let first = fs::read(desk.path("logits")).expect("readable");
    run(&mut command(&desk.args("logits MODEL -p JULIET: --device flex -o @logits"))).says(&["earlier glass logits"]);
    assert_ne!(fs::read(desk.path("logits")).expect("readable"), first);
    let weights = fs::read(Path::new(&random_tiny()).join("model.safetensors")).expect("readable");
    fs::write(desk.path("logits"), &weights).expect("written");
    fails(&args, &["logits", "--force"]);
    assert_eq!(fs::read(desk.path("logits")).expect("readable"), weights);
}

/// There is nothing in it that could be lost.
#[test]
fn an_empty_file_is_filled() {
    let desk = Desk::new();
    desk.write("older", "");
    succeeds(&desk.args("logits MODEL -p ROMEO: --device flex -o @older"));
    assert!(read(&desk.path("older")).contains_key("logits"));
}

#[test]
fn standard_output_and_devices_are_written_as_they_are() {
    let desk = Desk::new();
    let whole = |args: &[String], to: &Path| {
        let output = command(args).output().expect("glass starts");
        assert!(output.status.success(), "{output:?}");
        fs::write(to, output.stdout).expect("written");
        read(to).contains_key("logits")
    };
    let line = "logits MODEL -p ROMEO: --device flex -o";
    for place in if cfg!(unix) { &["-", "/dev/stdout"][..] } else { &["-"] } {
        let args = [desk.args(line), vec![(*place).into()]].concat();
        assert!(whole(&args, &desk.path("out")), "{place}");
    }
    if cfg!(unix) {
        succeeds(&[desk.args(line), vec!["/dev/null".into()]].concat());
    }
    let batch = [desk.args("batch MODEL --prompts @prompts.jsonl -n 4 --device flex -o"), vec!["-".into()]].concat();
    assert_eq!(succeeds(&batch).stdout.lines().count(), 1);
}

/// The device itself must not be replaced. By way of a link, so that a failure of this test costs only the link.
#[cfg(target_os = "linux")]
#[test]
fn a_full_device_is_one_line_and_costs_no_table() {
    let desk = Desk::new();
    let link = desk.path("full");
    std::os::unix::fs::symlink("/dev/full", &link).expect("a link");
    for line in &FILES[1..4] {
        let ran = run(&mut command(&desk.args(&line.replace("@older", "@full"))));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.lines().count() > 3, "{ran:?}");
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(last.starts_with("glass: error: cannot write ") && last.contains("full"), "{ran:?}");
        assert!(fs::symlink_metadata(&link).expect("there").is_symlink());
    }
}

/// What cannot be written is called as it was given.
#[cfg(target_os = "linux")]
#[test]
fn a_gguf_file_that_cannot_be_written_is_named() {
    let desk = Desk::new();
    std::os::unix::fs::symlink("/dev/full", desk.path("full.gguf")).expect("a link");
    let ran = run(&mut command(&desk.args("quantize MODEL --format q8_0 -o @full.gguf")));
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
    let last = ran.stderr.lines().last().unwrap_or_default();
    assert!(last.starts_with("glass: error: cannot write ") && last.contains("full.gguf: No space left"), "{ran:?}");
}

#[test]
fn folders_are_not_written_to_standard_output() {
    let desk = Desk::new();
    for line in [
        "convert MODEL -o -",
        "quantize MODEL --dtype q4 -o /dev/stdout",
        "train --text @text.txt --device flex -o -",
        "man -o -",
    ] {
        fails(&desk.args(line), &["is standard output, and this writes a folder: give its name"]);
        assert!(!Path::new("-").exists(), "{line}");
    }
}

/// A link stays a link, and the file that it names is written.
#[cfg(unix)]
#[test]
fn files_behind_links_are_written() {
    let desk = Desk::new();
    for (link, target) in [("to-older", "older"), ("to-new", "new")] {
        std::os::unix::fs::symlink(target, desk.path(link)).expect("a link");
        let args = desk.args(&format!("logits MODEL -p ROMEO: --device flex --force -o @{link}"));
        succeeds(&args);
        assert!(fs::symlink_metadata(desk.path(link)).expect("there").is_symlink());
        assert!(read(&desk.path(target)).contains_key("logits"));
    }
}

#[test]
fn places_that_cannot_be_are_refused_before_the_model_is_read() {
    let desk = Desk::new();
    let model = copy(&fixture("llama-gqa"));
    model.truncate(WEIGHTS, 1000);
    for (place, words) in [
        ("model", "is a folder"),
        ("none/out", "its folder does not exist"),
        ("none/", "is the name of a folder"),
        ("older", "exists: give another name, or --force"),
        (&*"x".repeat(300), "cannot write"),
    ] {
        let place = format!("{}/{place}", text(desk.0.path()));
        let args = ["logits", &model.path(), "--ids", "1", "--device", "flex", "-o", &place];
        fails(&args, &[words]);
    }
}

/// Whatever may be overwritten.
#[test]
fn what_is_read_is_not_written_over() {
    let desk = Desk::new();
    let long = "ROMEO:\nBut, soft! what light through yonder window breaks?\n".repeat(40);
    desk.write("ids.json", "{\"input_ids\": [[1, 2, 3]]}");
    desk.write("model/metrics.jsonl", &long);
    for (line, input, words) in [
        ("batch MODEL --prompts @prompts.jsonl -n 4 -o @prompts.jsonl", "prompts.jsonl", "the prompts are read from"),
        ("logits MODEL --ids-file @ids.json -o @ids.json", "ids.json", "the ids are read from"),
        ("eval perplexity MODEL --text @text.txt --by-position --plot @text.txt", "text.txt", "the text is read from"),
        (
            "eval needle MODEL --haystack @text.txt --length 32 --plot @text.txt",
            "text.txt",
            "the haystack is read from",
        ),
        ("train --text @model/metrics.jsonl --preset tiny --steps 2 -o @model", "model/metrics.jsonl", "write over it"),
    ] {
        let before = fs::read_to_string(desk.path(input)).expect("readable");
        fails(&[desk.args(line), vec!["--device".into(), "flex".into(), "--force".into()]].concat(), &[words]);
        assert!(desk.holds(input, &before), "{line}");
    }
    let model = copy(&random_tiny());
    let weights = format!("{}/{WEIGHTS}", model.path());
    fails(&["logits", &model.path(), "--ids", "1", "--force", "-o", &weights], &["the model is read from"]);
}
