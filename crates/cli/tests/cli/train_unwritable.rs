//! Runs of `glass train` that cannot write: they resume, or start anew, whatever failed at any moment.

use std::{
    fs,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
};

use serde_json::json;

use crate::{
    run::{Ran, command, text},
    train::{Desk, trains},
};

/// Its weights, moments, metrics and plot are small files of different sizes.
const RUN: &str = "--steps 300 --batch 1 --context 8 --eval-every 100 --save-every 150 --device flex";

/// A desk with a tiny shape, and the command that trains it into a folder whose name a shell would split.
fn desk() -> (Desk, Vec<String>, PathBuf) {
    let desk = Desk::new();
    let config = json!({
        "model_type": "llama", "vocab_size": 280, "hidden_size": 8, "intermediate_size": 16, "num_hidden_layers": 1,
        "num_attention_heads": 2, "num_key_value_heads": 1, "max_position_embeddings": 64, "tie_word_embeddings": true,
    });
    fs::write(desk.path("shape.json"), config.to_string()).expect("written");
    let model = desk.path("my model");
    let mut args = desk.train(&format!("{RUN} --config shape --tokenizer bpe:280"));
    for (option, value) in [("-o", &model), ("--config", &desk.path("shape.json"))] {
        let place = args.iter().position(|arg| arg == option).expect("it is there");
        args[place + 1] = text(value);
    }
    (desk, args, model)
}

/// Runs with files of at most so many blocks. A write beyond fails, or ends the process in its midst.
fn run_within(blocks: usize, kills: bool, args: &[String]) -> (ExitStatus, Ran) {
    let glass = command(args);
    let trap = if kills { "" } else { "trap '' XFSZ; " };
    let script = format!("{trap}ulimit -c 0; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(glass.get_program())
        .args(glass.get_args())
        .output()
        .expect("a shell starts");
    let ran = Ran {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into(),
        stderr: String::from_utf8_lossy(&output.stderr).into(),
    };
    ran.has_no_panic();
    (output.status, ran)
}

fn has_begun(model: &Path) -> bool {
    let entries = fs::read_dir(model.join("training")).into_iter().flatten();
    entries.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("step-"))
}

#[test]
fn whatever_cannot_be_written_the_run_goes_on() {
    let (whole_desk, args, whole) = desk();
    trains(&args);
    let files = ["model.safetensors", "config.json", "tokenizer.json", "loss.svg"];
    let result = |model: &PathBuf| files.map(|name| fs::read(model.join(name)).expect("a file of the result"));
    let steps = |model: &PathBuf| {
        let metrics = fs::read_to_string(model.join("metrics.jsonl")).expect("metrics");
        // Without the seconds.
        metrics.lines().map(|line| line.split(",\"seconds\"").next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    let mut failed = String::new();
    let mut began = [0, 0];
    for blocks in [0, 1, 2, 4, 8, 12, 16, 20, 28, 32, 48, 64, 100] {
        for kills in [false, true] {
            let (desk, args, model) = desk();
            let (status, ran) = run_within(blocks, kills, &args);
            let case = format!("{blocks} blocks, killed: {kills}: {ran:?}");
            let resumes = has_begun(&model);
            if status.success() {
                assert_eq!(steps(&model), steps(&whole), "{case}");
                continue;
            }
            began[usize::from(resumes)] += 1;
            if kills {
                assert_eq!(status.signal(), Some(libc::SIGXFSZ), "{case}");
            } else {
                let last = ran.stderr.lines().last().unwrap_or_default();
                assert!(status.code() == Some(1) && last.starts_with("glass: error: "), "{case}");
                let resume = format!("glass train --resume '{}' --device flex", model.display());
                assert_eq!(last.contains(&resume), resumes, "{case}");
                // What had not begun leaves nothing.
                assert!(resumes || !model.exists(), "{case}");
                failed += last;
            }
            let again = match resumes {
                true => ["train", "--resume", &text(&model), "--device", "flex"].map(String::from).to_vec(),
                false => args,
            };
            trains(&again);
            assert_eq!(steps(&model), steps(&whole), "{case}");
            assert!(result(&model)[..3] == result(&whole)[..3], "{case}");
            assert_eq!(desk.names("my model"), whole_desk.names("my model"), "{case}");
        }
    }
    assert!(began.iter().all(|&count| count > 2), "{began:?}");
    // The limits met every kind of file.
    for file in ["config.json", "tokenizer.json", "model.safetensors", "metrics.jsonl"] {
        assert!(failed.contains(file), "{file} in {failed}");
    }
}

/// The result that was not saved with the last checkpoint is saved when the run resumes.
#[test]
fn a_complete_run_without_its_model_gets_it() {
    let (_desk, args, model) = desk();
    trains(&args);
    let weights = fs::read(model.join("model.safetensors")).expect("weights");
    let resume = ["train", "--resume", &text(&model), "--device", "flex"].map(String::from);
    for damage in [Some(&b"old"[..]), None] {
        match damage {
            Some(bytes) => fs::write(model.join("model.safetensors"), bytes).expect("written"),
            None => fs::remove_file(model.join("model.safetensors")).expect("removed"),
        }
        trains(&resume);
        assert!(fs::read(model.join("model.safetensors")).expect("weights") == weights);
    }
}

/// A folder that is somebody's is never taken for the leftovers of a start.
#[test]
fn other_folders_are_left_alone() {
    let (desk, args, model) = desk();
    fs::create_dir_all(model.join("training")).expect("made");
    fs::write(model.join("config.json"), "{}").expect("written");
    let ran = crate::run::run(&mut command(&args));
    ran.failed(&["my model", "not empty"]);
    assert_eq!(desk.names("my model"), ["config.json", "training"]);
}
