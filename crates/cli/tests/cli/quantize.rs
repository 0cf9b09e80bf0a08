//! `glass quantize`, and models in few bits wherever a model can be given.

use std::{fs, path::Path};

use tempfile::TempDir;

use crate::{
    models::{fixture, random_tiny, read},
    run::{fails, refused, succeeds, text},
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder")
}

fn shipped(name: &str) -> String {
    text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights").join(name))
}

fn nats(args: &[&str]) -> f64 {
    let ran = succeeds(&[&["eval", "perplexity"], args, &["--device", "flex", "--json"]].concat());
    ran.json()["mean_nll"].as_f64().expect("a number")
}

/// Fewer bits say less, and not much less; saved or made while loading is the same.
#[test]
fn a_trained_model_in_eight_and_four_bits() {
    let folder = folder();
    let story = folder.path().join("text");
    let words = "ROMEO:\nWhat, shall I speak of that which makes me weep?\n\nJULIET:\nGood night, and think of me.\n";
    fs::write(&story, words.repeat(4)).expect("written");
    let story = &text(&story);
    let model = &shipped("shakespeare-window");
    let whole = nats(&[model, "--text", story]);
    let mut bytes = fs::metadata(Path::new(model).join("model.safetensors")).expect("there").len();
    for (bits, allowed) in [("8", 0.005), ("4", 0.2)] {
        let target = folder.path().join(bits);
        let ran = succeeds(&["quantize", model, "--dtype", &format!("q{bits}"), "-o", &text(&target)]);
        assert_eq!(ran.stdout, "");
        ran.says(&["glass: wrote ", &format!("in {bits} bits"), "glass: cost: "]);
        let saved = nats(&[&text(&target), "--text", story]);
        assert_eq!(saved, nats(&[model, "--text", story, "--dtype", &format!("q{bits}")]));
        assert!((saved - whole).abs() < allowed, "{bits} bits: {saved} nats, {whole} before");
        let now = fs::metadata(target.join("model.safetensors")).expect("there").len();
        assert!(now < bytes * 2 / 3 && saved != whole, "{now} bytes after {bytes}");
        bytes = now;
    }
}

/// A file that has no key for a window is measured with the window that it is to be loaded with.
#[test]
fn the_cost_of_a_file_is_that_of_its_format() {
    let folder = folder();
    let file = text(&folder.path().join("w.gguf"));
    let ran = succeeds(&["quantize", &shipped("shakespeare-window"), "--format", "q8_0", "-o", &file]);
    ran.says(&["--set sliding_window=64", "glass: cost: "]);
    let cost = ran.stderr.split("cost: ").nth(1).and_then(|cost| cost.split(' ').next()).expect("a cost");
    assert!(cost.parse::<f64>().expect("a number").abs() < 0.01, "{cost}");
}

#[test]
fn every_command_takes_a_quantized_model() {
    let folder = folder();
    let target = text(&folder.path().join("q"));
    succeeds(&["quantize", &fixture("llama-sharded"), "--dtype", "q4", "-o", &target, "--max-shard-size", "20kB"]);
    let ids = ["--ids", "1,5,9,2", "--device", "flex"];
    succeeds(&[&["generate", &target, "-n", "4"], &ids[..]].concat());
    let out = text(&folder.path().join("logits.safetensors"));
    succeeds(&[&["logits", &target, "-o", &out], &ids[..]].concat());
    assert!(read(Path::new(&out)).contains_key("logits"));
    let info = succeeds(&["info", &target, "--json"]).json();
    assert_eq!(info["quantized_bits"], serde_json::json!([4, 8]));
    assert!(info["weight_bytes"].as_u64() < Some(4 * info["parameters"].as_u64().expect("a number")));
    succeeds(&["info", &target])
        .stdout
        .lines()
        .find(|line| line.contains("matrices in 4 and 8 bits"))
        .expect("it says so");
    let slow = succeeds(&[&["generate", &target, "-n", "2", "--kernels", "plain"], &ids[..]].concat());
    slow.says(&["glass: warning: matrices in few bits are dequantized for every product"]);
    // Exit code 0: no row is struck out.
    let rows = ["--prompt", "8", "--gen", "4", "--repeat", "1", "--format", "jsonl"];
    let bench = succeeds(&[&["bench", &target, "--device", "flex"], &rows[..]].concat());
    let row: serde_json::Value = serde_json::from_str(bench.stdout.trim()).expect("a row");
    let read = row["bytes_per_token"].as_u64().expect("a number");
    assert!(Some(read) < info["weight_bytes"].as_u64(), "{read} bytes: {row}");
    // Written again it is the same model.
    let again = text(&folder.path().join("again"));
    succeeds(&["convert", &target, "-o", &again]);
    let other = text(&folder.path().join("other.safetensors"));
    succeeds(&[&["logits", &again, "-o", &other], &ids[..]].concat());
    assert!(fs::read(&out).expect("readable") == fs::read(&other).expect("readable"));
}

#[test]
fn what_cannot_be_quantized() {
    let folder = folder();
    let target = text(&folder.path().join("q"));
    let model = &fixture("llama-gqa");
    succeeds(&["quantize", model, "--dtype", "q8", "-o", &target]);
    let again = text(&folder.path().join("again"));
    fails(&["quantize", &target, "--dtype", "q4", "-o", &again], &["in few bits already"]);
    fails(&["generate", &target, "--ids", "1", "--dtype", "q4"], &["in few bits already"]);
    fails(&["quantize", model, "--dtype", "q4", "-o", &target], &["is not empty"]);
    fails(&["quantize", model, "--dtype", "q4", "-o", model], &["the folder the model is read from"]);
    refused(&["quantize", model, "--dtype", "q5", "-o", &again], &["give q8 or q4"]);
    refused(&["quantize", model, "-o", &again], &["--dtype"]);
    fails(&["convert", &target, "--dtype", "f16", "-o", &again], &["stored as I", "leave --dtype out"]);
    assert!(!Path::new(&again).exists());
}

#[test]
fn a_gguf_file_is_written_whole_or_not_at_all() {
    let folder = folder();
    let model = &random_tiny();
    let file = text(&folder.path().join("x.gguf"));
    let write = |format: &str, more: &[&str]| -> Vec<String> {
        let args = [&["quantize", model, "--format", format, "-o", &file][..], more].concat();
        args.into_iter().map(str::to_owned).collect()
    };
    for (format, types) in
        [("q4_k_m", "in Q5_0"), ("Q8_0", "in Q8_0"), ("iq4_xs", "in IQ4_NL"), ("bf16", "in BF16"), ("f32", "in F32")]
    {
        succeeds(&write(format, &["--force"])).says(&["glass: wrote", types]);
        assert!(fs::read(&file).expect("readable").starts_with(b"GGUF"), "{format}");
    }
    let before = fs::read(&file).expect("readable");
    fails(&write("q4_0", &[]), &["exists: give another name, or --force"]);
    assert!(fs::read(&file).expect("readable") == before);

    let other = text(&folder.path().join("folder"));
    fails(&["quantize", model, "--format", "q4_0", "-o", &other], &["--format is for GGUF files", "--dtype q8 or q4"]);
    fails(
        &["quantize", model, "--dtype", "q4", "-o", &text(&folder.path().join("y.gguf"))],
        &["needs --format: q4_k_m"],
    );
    refused(&["quantize", model, "--format", "q4_k", "-o", &file], &["give q4_k_m, q5_k_m"]);
    refused(&write("q4_0", &["--dtype", "q4"]), &["--dtype"]);
    refused(&write("q4_0", &["--max-shard-size", "1GB"]), &["--max-shard-size"]);
    // A family without an architecture there, and a rotation without words.
    fails(
        &["quantize", &fixture("families/arcee"), "--format", "q4_0", "-o", &other_file(&folder)],
        &["model_type arcee"],
    );
    fails(&["quantize", &fixture("extra/extra-dynamic"), "--format", "q4_0", "-o", &other_file(&folder)], &["dynamic"]);
    let names: Vec<_> =
        fs::read_dir(folder.path()).expect("readable").map(|entry| entry.expect("one").file_name()).collect();
    assert_eq!(names, ["x.gguf"]);
}

fn other_file(folder: &TempDir) -> String {
    text(&folder.path().join("other.gguf"))
}
