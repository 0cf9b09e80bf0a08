//! Where the prompt comes from, and what is wrong with it.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::{
    models::{comma, copy, fixture, random_tiny},
    run::{Ran, command, fails, run, succeeds, text},
};

const OPTIONS: [&str; 6] = ["--device", "flex", "-n", "12", "--json", "--ignore-eos"];

fn args<'a>(model: &'a str, prompt: &[&'a str]) -> Vec<&'a str> {
    [&["generate", model], prompt, &OPTIONS].concat()
}

fn sequences(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()["sequences"].clone()
}

/// Runs with this on standard input.
fn piped(command: &mut Command, input: &[u8]) -> Ran {
    let mut file = tempfile::tempfile().expect("a temporary file");
    file.write_all(input).expect("written");
    std::io::Seek::rewind(&mut file).expect("rewound");
    run(command.stdin(Stdio::from(file)))
}

#[test]
fn every_way_to_give_a_prompt_gives_the_same() {
    let model = &random_tiny();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let direct = sequences(&succeeds(&args(model, &["-p", "to be"])));

    for (name, content) in [("plain", "to be"), ("newline", "to be\n"), ("windows", "to be\r\n")] {
        let path = folder.path().join(name);
        std::fs::write(&path, content).expect("written");
        let from_file = succeeds(&args(model, &["--prompt-file", &text(&path)]));
        assert_eq!(sequences(&from_file), direct, "{name}");
        let from_stdin = piped(&mut command(&args(model, &[])), content.as_bytes());
        assert_eq!(sequences(&from_stdin), direct, "{name}");
    }

    // Only one newline is nobody's.
    let two = piped(&mut command(&args(model, &[])), b"to be\n\n");
    assert_eq!(two.json()["prompt_tokens"], 7);
    assert_eq!(succeeds(&args(model, &["-p", "to be"])).json()["prompt_tokens"], 6);
}

#[test]
fn ids_need_no_tokenizer_and_give_the_same() {
    let tokenizer = copy(&random_tiny());
    // The built-in vocabulary is one character per token.
    let json = std::fs::read(tokenizer.file("tokenizer.json")).expect("readable");
    let json: Value = serde_json::from_slice(&json).expect("JSON");
    let mut ids = vec![1];
    for letter in "to be".chars() {
        let id = json["model"]["vocab"][letter.to_string()].as_u64();
        ids.push(u32::try_from(id.expect("a letter of the vocabulary")).expect("an id"));
    }
    let with = sequences(&succeeds(&args(&random_tiny(), &["-p", "to be"])));
    let ids = comma(&ids);
    let by_ids = sequences(&succeeds(&args(&random_tiny(), &["--ids", &ids])));
    assert_eq!(by_ids, with);
    let spaced = ids.replace(',', ", ");
    let by_ids = sequences(&succeeds(&args(&random_tiny(), &["--ids", &spaced])));
    assert_eq!(by_ids, with);

    tokenizer.remove("tokenizer.json");
    let without = sequences(&succeeds(&args(&tokenizer.path(), &["--ids", &ids])));
    assert_eq!(without[0]["ids"], with[0]["ids"]);
    assert_eq!(without[0]["text"], Value::Null);
}

#[test]
fn an_empty_prompt_begins_with_bos() {
    let model = &random_tiny();
    let empty = succeeds(&args(model, &["-p", ""]));
    assert_eq!(empty.json()["prompt_tokens"], 1);
    let bos = succeeds(&args(model, &["--ids", "1"]));
    assert_eq!(sequences(&empty), sequences(&bos));
    let nothing = piped(&mut command(&args(model, &[])), b"");
    assert_eq!(sequences(&nothing), sequences(&bos));
}

#[test]
fn an_empty_prompt_without_bos_is_refused() {
    let model = copy(&random_tiny());
    for name in ["config.json", "generation_config.json"] {
        model.edit_json(name, |fields| {
            fields.insert("bos_token_id".into(), Value::Null);
        });
    }
    model.edit_json("tokenizer.json", |fields| {
        fields.insert("post_processor".into(), Value::Null);
    });
    let path = &model.path();
    fails(&args(path, &["-p", ""]), &["the prompt has no tokens"]);
    let out = model.file("out.safetensors");
    fails(&["logits", path, "-p", "", "--device", "flex", "-o", &text(&out)], &["the prompt has no tokens"]);
    assert!(!out.exists());
    assert_eq!(succeeds(&args(path, &["-p", "hi"])).json()["prompt_tokens"], 2);
}

#[test]
fn unreadable_prompts() {
    let model = &random_tiny();
    let folder = tempfile::tempdir().expect("a temporary folder");
    let missing = text(&folder.path().join("nothing.txt"));
    fails(&args(model, &["--prompt-file", &missing]), &["cannot read", &missing]);
    let is_folder = text(folder.path());
    fails(&args(model, &["--prompt-file", &is_folder]), &["cannot read", &is_folder]);

    let path = folder.path().join("latin1.txt");
    std::fs::write(&path, b"caf\xe9").expect("written");
    fails(&args(model, &["--prompt-file", &text(&path)]), &["latin1.txt", "UTF-8"]);
    piped(&mut command(&args(model, &[])), b"caf\xe9").failed(&["standard input", "UTF-8"]);
}

#[test]
fn a_prompt_without_a_tokenizer() {
    let model = &fixture("llama-gqa");
    fails(&args(model, &["-p", "hi"]), &[model, "no tokenizer", "--ids"]);
    let broken = copy(&random_tiny());
    for content in ["{", "{}", "", "{\"model\": {\"type\": \"Oracle\"}}"] {
        broken.write("tokenizer.json", content);
        let path = broken.path();
        fails(&args(&path, &["-p", "hi"]), &["tokenizer.json", "not a tokenizer file"]);
    }
    broken.remove("tokenizer.json");
    broken.write("tokenizer.model", "sentencepiece");
    fails(&args(&broken.path(), &["-p", "hi"]), &["tokenizer.model", "save_pretrained"]);
}

#[test]
fn ids_out_of_the_vocabulary() {
    let model = &fixture("llama-gqa");
    fails(&args(model, &["--ids", "1,128,3"]), &["token id 128", "number 2", "vocabulary size 128"]);
    fails(&args(model, &["--ids", "4294967295"]), &["4294967295", "128"]);
    succeeds(&args(model, &["--ids", "127"]));
}

#[test]
fn a_prompt_beyond_the_context_is_said_by_how_much() {
    let model = &fixture("llama-gqa");
    let ids = |n: u32| comma(&(0..n).map(|id| id % 128).collect::<Vec<_>>());
    fails(
        &args(model, &["--ids", &ids(131)]),
        &["131 tokens", "3 more than the 128", "--set max_position_embeddings="],
    );
    // What it advises works.
    succeeds(&args(model, &["--ids", &ids(131), "--set", "max_position_embeddings=131"]));

    // A full context has room for the one token that is never read again.
    let ran = succeeds(&["generate", model, "--ids", &ids(128), "--device", "flex", "--json", "--ignore-eos"]);
    assert_eq!(ran.json()["generated_tokens"], json!(1));
    assert_eq!(ran.stderr, "");
    // To go past it is allowed when asked for, and said.
    let ran = succeeds(&args(model, &["--ids", &ids(120)]));
    assert_eq!(ran.json()["generated_tokens"], 12);
    ran.says(&["glass: warning: ", "context of 128", "room for 9"]);
}
