//! Inputs that `glass train` refuses, in one line and before it writes anything.

use std::fs;

use crate::{
    run::{fails, refused, text},
    train::{Desk, SHORT, trains},
};

/// A few steps; each test adds one mistake.
const FEW: &str = "--steps 2 --batch 2 --context 16";

/// Fails with these words, and leaves no file.
fn fails_and_writes_nothing(desk: &Desk, args: &[String], words: &[&str]) {
    let before = desk.names("");
    fails(args, words);
    assert_eq!(desk.names(""), before, "{args:?}");
}

#[test]
fn bad_texts_are_refused() {
    let tiny = format!("{FEW} --preset tiny --device flex");
    for (content, words) in [
        (&b""[..], &["text.txt", "is empty"][..]),
        (b"To be", &["the text has 4 tokens to train on, and 17 are needed", "--context"]),
        (b"caf\xe9 au lait", &["text.txt", "not UTF-8 at byte 3"]),
    ] {
        let desk = Desk::new();
        fs::write(desk.path("text.txt"), content).expect("written");
        fails_and_writes_nothing(&desk, &desk.train(&tiny), words);
    }
    let desk = Desk::new();
    let none = tiny.clone() + " --held-out 0.00001";
    fails_and_writes_nothing(&desk, &desk.train(&none), &["1 tokens to measure with"]);
    fs::remove_file(desk.path("text.txt")).expect("removed");
    fails_and_writes_nothing(&desk, &desk.train(&tiny), &["text.txt: does not exist"]);
    fs::create_dir(desk.path("text.txt")).expect("made");
    fails_and_writes_nothing(&desk, &desk.train(&tiny), &["text.txt: is a folder"]);
}

#[test]
fn bad_options_are_refused() {
    let desk = Desk::new();
    for (options, words) in [
        ("--steps 0", &["--steps must be at least 1"][..]),
        ("--batch 0", &["--batch"]),
        ("--context 0", &["--context"]),
        ("--accumulate 0", &["--accumulate"]),
        ("--eval-every 0", &["--eval-every"]),
        ("--save-every 0", &["--save-every"]),
        ("--learning-rate nan", &["--learning-rate must be above 0"]),
        ("--learning-rate=-1", &["--learning-rate must be above 0"]),
        ("--learning-rate inf", &["--learning-rate"]),
        ("--min-learning-rate 5", &["--min-learning-rate must be from 0 to the learning rate"]),
        ("--warmup-steps 1001", &["--warmup-steps must not be more than the steps"]),
        ("--weight-decay=-1", &["--weight-decay"]),
        ("--clip nan", &["--clip"]),
        ("--beta1 1", &["--beta1"]),
        ("--beta2 nan", &["--beta2"]),
        ("--dropout 1", &["--dropout must be from 0 to below 1"]),
        ("--held-out 1", &["--held-out"]),
        ("--context 5401", &["5400 tokens to train on, and 5402 are needed"]),
        ("--tokenizer nosuchfile", &["no tokenizer file \"nosuchfile\"", "bpe:512"]),
        (
            "--preset huge",
            &["no preset huge", "tiny, tiny-window, tiny-mamba, tiny-samba, tiny-retnet, small, small-window"],
        ),
        ("--config nosuch.json", &["nosuch.json", "no such file"]),
        ("--set vocab_size=5", &["vocab_size of the config is 5"]),
        ("--set colour=5", &["colour=5", "no such field"]),
        ("--set attention_dropout=2", &["attention_dropout = 2: must be a probability"]),
        ("--set attention_dropout=x", &["attention_dropout = \"x\": must be a probability"]),
        ("--set initializer_range=-1", &["initializer_range = -1: must be a number that is not negative"]),
        ("--preset tiny-mamba --set attention_dropout=0.1", &["nothing attends in this family"]),
        ("--set max_position_embeddings=200", &["--context is 256, more than the 200 positions"]),
    ] {
        let args = desk.train(&format!("{options} --device flex"));
        fails_and_writes_nothing(&desk, &args, words);
    }
    let args = desk.train("--device nosuch");
    fails_and_writes_nothing(&desk, &args, &["nosuch", "flex"]);
}

#[test]
fn missing_and_conflicting_options_are_refused() {
    let desk = Desk::new();
    let model = desk.model();
    refused(&["train"], &["--text", "--output"]);
    refused(&["train", "-o", &model], &["--text"]);
    refused(&["train", "--text", "x"], &["--output"]);
    for (shape, other) in [
        ("--preset tiny", "--config config.json"),
        ("--from model", "--preset tiny"),
        ("--from model", "--tokenizer char"),
    ] {
        let both = desk.train(&format!("{shape} {other}"));
        refused(&both, &["cannot be used with", "--"]);
    }
    for (option, value) in [
        ("-o", "new"),
        ("--seed", "5"),
        ("--from", "model"),
        ("--dtype", "bf16"),
        ("--preset", "tiny"),
        ("--config", "config.json"),
        ("--tokenizer", "char"),
        ("--set", "sliding_window=5"),
    ] {
        let args = ["train", "--resume", &model, option, value];
        refused(&args, &["--resume <DIR>", "cannot be used with"]);
    }
    for tokenizer in ["bpe:3", "bpe:many"] {
        let args = desk.train(&format!("--tokenizer {tokenizer}"));
        refused(&args, &["--tokenizer", tokenizer]);
    }
    assert_eq!(desk.names(""), ["text.txt"]);
}

#[test]
fn unwritable_folders_are_refused() {
    let desk = Desk::new();
    let file = text(&desk.path("text.txt"));
    let full = desk.path("full");
    fs::create_dir(&full).expect("made");
    fs::write(full.join("dear.txt"), "dear").expect("written");
    for (folder, words) in [
        (text(&full), &["full is not empty"][..]),
        (text(&desk.path("no/such/model")), &["no/such/model", "does not exist"]),
        (file.clone(), &["text.txt is a file"]),
        (format!("{file}/model"), &["text.txt/model"]),
    ] {
        let options = format!("{FEW} --preset tiny --device flex");
        let mut args = desk.train(&options);
        args[4] = folder;
        fails_and_writes_nothing(&desk, &args, words);
    }
    assert_eq!(desk.names("full"), ["dear.txt"]);
}

#[test]
fn resume_refuses_damage_and_another_text() {
    let desk = Desk::new();
    let model = desk.model();
    let resume = ["train", "--resume", &model, "--device", "flex"].map(String::from);
    fails_and_writes_nothing(&desk, &resume, &["model: holds no checkpoint to resume from"]);
    fs::create_dir(desk.path("model")).expect("made");
    fails_and_writes_nothing(&desk, &resume, &["model: holds no checkpoint to resume from"]);

    trains(&desk.train(SHORT));
    let metrics = desk.read("model/metrics.jsonl");
    let text_there = desk.path("text.txt");
    let learned = desk.read("text.txt");
    fs::write(&text_there, learned.replacen("king", "dean", 1)).expect("written");
    fails(&resume, &["text.txt: is not the text that the run in", "--text"]);
    fs::remove_file(&text_there).expect("removed");
    fails(&resume, &["text.txt: does not exist"]);

    // The same text in another place.
    let moved = desk.path("moved.txt");
    fs::write(&moved, learned).expect("written");
    let found = [&resume[..], &["--text".into(), text(&moved)]].concat();
    trains(&found).says(&["resuming after step 40", "trained 40 steps"]);
    assert_eq!(desk.read("model/metrics.jsonl"), metrics);

    let state = desk.path("model/training/step-40/state.json");
    let weights = desk.path("model/training/step-40/model.safetensors");
    let bytes = fs::read(&weights).expect("readable");
    fs::write(&weights, &bytes[..bytes.len() / 2]).expect("written");
    fails(&found, &["step-40", "model.safetensors"]);
    fs::write(&weights, bytes).expect("written");
    fs::write(&state, "{}").expect("written");
    fails(&found, &["state.json", "is not a state that this version wrote"]);
    assert_eq!(desk.read("model/metrics.jsonl"), metrics);
}
