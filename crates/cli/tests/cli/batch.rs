//! `glass batch`: a file of prompts in, a file of texts out, whatever happens in between.

use std::{fs, path::PathBuf};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    models::{copy, fixture, random_tiny},
    run::{Ran, command, run, text},
};

/// A folder with a file of prompts.
struct Prompts {
    folder: TempDir,
}

impl Prompts {
    fn new(lines: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::write(folder.path().join("prompts.jsonl"), lines).expect("written");
        Self { folder }
    }

    fn output(&self) -> PathBuf {
        self.folder.path().join("out.jsonl")
    }

    /// `glass batch MODEL --prompts ... --batch 2 -o ...` on flex.
    fn run(&self, model: &str, more: &[&str]) -> Ran {
        let prompts = text(&self.folder.path().join("prompts.jsonl"));
        let output = text(&self.output());
        let args = ["batch", model, "--prompts", &prompts, "--batch", "2", "-o", &output, "--device", "flex"];
        run(&mut command(&[&args[..], more].concat()))
    }

    fn rows(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.output()).expect("an output");
        assert!(text.is_empty() || text.ends_with('\n'), "{text}");
        text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
    }
}

const FIVE: &str = r#"{"prompt": "ROMEO:"}
{"id": "second", "prompt": "What is it that she said to you?"}

{"prompt_ids": [1, 5, 6, 7]}
{"id": 77, "prompt": ""}
{"prompt": "x"}
"#;

/// What `glass generate` says of one of them alone.
fn alone(model: &str, prompt: &Value, more: &[&str]) -> Value {
    let ids = prompt["prompt_ids"].as_array().map(|ids| {
        let ids: Vec<String> = ids.iter().map(Value::to_string).collect();
        ids.join(",")
    });
    let given = match &ids {
        Some(ids) => ["--ids", ids],
        None => ["-p", prompt["prompt"].as_str().expect("a text")],
    };
    let args = [&["generate", model, "--json", "--device", "flex"][..], &given, more];
    let ran = run(&mut command(&args.concat()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()["sequences"][0].clone()
}

#[test]
fn batch_continues_each_prompt_as_generate_does() {
    let model = random_tiny();
    for more in [
        &["-n", "25", "--temperature", "0"][..],
        &["-n", "25", "--temperature", "0.9", "--seed", "3"],
        &["-n", "9", "--ignore-eos", "--cache", "ring:8"],
        &["-n", "3", "--temperature", "0", "--logprobs", "2"],
    ] {
        let prompts = Prompts::new(FIVE);
        let ran = prompts.run(&model, more);
        assert_eq!((ran.code, &*ran.stdout), (Some(0), ""), "{ran:?}");
        ran.says(&["glass: 5 prompts, "]);
        let rows = prompts.rows();
        let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
        // Where there is none, it is the number of the line.
        assert_eq!(ids, [&json!(1), &json!("second"), &json!(4), &json!(77), &json!(6)]);
        for row in &rows {
            let expected = alone(&model, row, more);
            for field in ["ids", "text", "finish_reason"] {
                assert_eq!(row[field], expected[field], "{field} {more:?}");
            }
            let score = |row: &Value| row["score"].as_f64().expect("a number");
            assert!((score(row) - score(&expected)).abs() < 1e-3);
            let tokens = |row: &Value| row["logprobs"].as_array().map(Vec::len);
            assert_eq!(tokens(row), tokens(&expected));
        }
    }
}

#[test]
fn batch_without_output_writes_to_standard_output() {
    let prompts = Prompts::new(FIVE);
    let model = fixture("llama-gqa");
    let file = text(&prompts.folder.path().join("prompts.jsonl"));
    let args = ["batch", &model, "--prompts", &file, "--batch", "3", "-n", "4", "--device", "flex"];
    let ran = run(&mut command(&args));
    // A model without a tokenizer takes ids alone.
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let rows: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((rows.len(), &rows[0]["id"]), (1, &json!(4)));
    assert_eq!(rows[0]["text"], Value::Null);
    ran.says(&["line 1: ", "line 2: ", "line 5: ", "line 6: ", "tokenizer.json"]);
    ran.says(&["4 of 5 prompts were not continued"]);
}

#[test]
fn bad_line_is_named_and_stops_no_other() {
    let prompts = Prompts::new(
        "{\"prompt\": \"a\"}\n{\"prompt\": \"b\"\nnonsense\n{\"prompt\": 7}\n{\"prompt_ids\": [5000]}\n\
         {\"id\": 1, \"prompt\": \"c\"}\n{\"prompt\": \"d\", \"color\": \"red\"}\n{\"prompt\": \"e\"}\n\
         [1]\n{}\n{\"prompt\": \"a\", \"prompt_ids\": [1]}\n{\"prompt_ids\": \"1\"}\n{\"prompt_ids\": [1, -2]}\n\
         {\"prompt_ids\": [4294967296]}\n{\"id\": 1.5, \"prompt\": \"a\"}\n{\"id\": [1], \"prompt\": \"a\"}\n",
    );
    let model = random_tiny();
    let ran = prompts.run(&model, &["-n", "3"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&[
        "line 2: is not JSON",
        "line 3: is not JSON",
        "line 4: its prompt is not a string",
        "line 5: token id 5000",
        "line 6: its id 1 is that of line 1 too",
        "line 7: has a field \"color\"",
        "line 9: is not an object",
        "line 10: has neither prompt nor prompt_ids",
        "line 11: has both prompt and prompt_ids",
        "line 12: its prompt_ids are not a list",
        "line 13: -2 is not a token id",
        "line 14: 4294967296 is not a token id (a whole number from 0 to 4294967295)",
        "line 15: its id 1.5 is neither",
        "line 16: its id [1] is neither",
        "glass: 2 prompts, 6 new tokens",
        "glass: error: 14 of 16 prompts were not continued",
    ]);
    for line in ran.stderr.lines() {
        assert!(line.starts_with("glass: "), "{line}");
    }
    let rows = prompts.rows();
    let ids: Vec<&Value> = rows.iter().map(|row| &row["id"]).collect();
    assert_eq!(ids, [1, 8]);
}

#[test]
fn rerun_skips_prompts_that_the_output_has() {
    let prompts = Prompts::new(FIVE);
    let model = random_tiny();
    let more = ["-n", "12", "--temperature", "0"];
    prompts.run(&model, &more);
    let whole = fs::read(prompts.output()).expect("an output");
    let rows = prompts.rows();

    let ran = prompts.run(&model, &more);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["5 of 5 prompts were done before"]);
    assert_eq!(fs::read(prompts.output()).expect("an output"), whole);

    // Cut off anywhere, as a kill does, it ends as it was.
    let lines: Vec<usize> = (0..whole.len()).filter(|&i| whole[i] == b'\n').collect();
    for end in [0, 1, 5, lines[0], lines[0] + 1, lines[1] + 30, lines[4] - 1, lines[4]] {
        fs::write(prompts.output(), &whole[..end]).expect("written");
        let ran = prompts.run(&model, &more);
        assert_eq!(ran.code, Some(0), "{end}: {ran:?}");
        let now = prompts.rows();
        assert_eq!(now.len(), rows.len(), "{end}");
        for (now, then) in now.iter().zip(&rows) {
            // The last digits of a score depend on the batch.
            for field in ["id", "prompt", "prompt_ids", "ids", "text", "finish_reason"] {
                assert_eq!(now[field], then[field], "{end}");
            }
        }
        let by_half = end > 0 && !lines.contains(&end) && !lines.contains(&(end - 1));
        assert_eq!(ran.stderr.contains("by half"), by_half, "{end}: {ran:?}");
    }

    // A line between them changes the numbers of those behind it, whose prompts are then other ones.
    let more_lines = format!("{{\"prompt\": \"new\"}}\n{FIVE}");
    fs::write(prompts.folder.path().join("prompts.jsonl"), more_lines).expect("written");
    let ran = prompts.run(&model, &more);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["line 1: its id 1 stands in line 1 of the output with another prompt"]);
    assert_eq!(prompts.rows().len(), 8);
}

#[test]
fn killed_run_is_resumed() {
    let lines: String =
        (0..40).map(|number| format!("{{\"id\": \"p{number}\", \"prompt\": \"number {number}\"}}\n")).collect();
    let prompts = Prompts::new(&lines);
    let model = random_tiny();
    let more = ["-n", "150", "--temperature", "0", "--ignore-eos"];
    let args = [
        "batch",
        &model,
        "--prompts",
        &text(&prompts.folder.path().join("prompts.jsonl")),
        "--batch",
        "2",
        "-o",
        &text(&prompts.output()),
        "--device",
        "flex",
    ];
    let mut child =
        command(&[&args[..], &more].concat()).stderr(std::process::Stdio::null()).spawn().expect("glass starts");
    // Killed as soon as something is there; where it has ended before, it is resumed all the same.
    while child.try_wait().expect("a child").is_none()
        && fs::metadata(prompts.output()).map_or(0, |meta| meta.len()) == 0
    {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    child.kill().expect("killed");
    child.wait().expect("it ended");
    let ran = prompts.run(&model, &more);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let rows = prompts.rows();
    let ids: Vec<&str> = rows.iter().filter_map(|row| row["id"].as_str()).collect();
    let expected: Vec<String> = (0..40).map(|number| format!("p{number}")).collect();
    assert_eq!(ids, expected);
    for row in rows.iter().step_by(13) {
        assert_eq!(row["ids"], alone(&model, row, &more)["ids"]);
    }
}

#[test]
fn files_of_another_kind_are_left_alone() {
    let model = random_tiny();
    for lines in ["", "\n\n  \n"] {
        Prompts::new(lines).run(&model, &[]).failed(&["has no prompts"]);
    }
    for content in
        ["my notes\n", "my notes", "{\"id\":1}\n", "{\"id\":1,\"prompt\":\"a\",\"finish_reason\":\"eos\"}\n{}\n"]
    {
        let prompts = Prompts::new(FIVE);
        fs::write(prompts.output(), content).expect("written");
        let ran = prompts.run(&model, &[]);
        ran.failed(&["nothing that this command writes"]);
        let now = fs::read_to_string(prompts.output()).expect("an output");
        assert_eq!(now, content);
    }
    let prompts = Prompts::new(FIVE);
    fs::create_dir(prompts.output()).expect("a folder");
    prompts.run(&model, &[]).failed(&["out.jsonl"]);
    fs::remove_file(prompts.folder.path().join("prompts.jsonl")).expect("removed");
    prompts.run(&model, &[]).failed(&["cannot read"]);
}

/// What does not depend on the prompt is judged once, before any of them.
#[test]
fn bias_beyond_the_vocabulary_is_one_error() {
    Prompts::new(FIVE)
        .run(&random_tiny(), &["--logit-bias", "99=1"])
        .failed(&["a bias for token 99", "the vocabulary has 99 tokens"]);
}

#[test]
fn prompt_without_room_for_new_tokens_is_warned_of() {
    let model = copy(&random_tiny());
    model.edit_json("generation_config.json", |fields| {
        fields.remove("max_new_tokens");
        fields.insert("max_length".into(), json!(5));
    });
    let ran = Prompts::new("{\"prompt\": \"hi\"}\n{\"prompt\": \"too long\"}\n").run(&model.path(), &[]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["warning: line 2: generation_config.json allows no new tokens"]);
    assert!(!ran.stderr.contains("line 1"), "{ran:?}");
}

#[test]
fn generate_warns_of_a_jsonl_file_read_as_one_text() {
    let prompts = Prompts::new("{\"prompt\": \"a\"}\n");
    let file = text(&prompts.folder.path().join("prompts.jsonl"));
    let args = ["generate", &random_tiny(), "--prompt-file", &file, "-n", "1"];
    let ran = run(&mut command(&[&args[..], &["--device", "flex"]].concat()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.says(&["read as one text", "`glass batch`"]);
}

#[test]
fn an_output_has_one_writer() {
    let prompts = Prompts::new("\u{feff}{\"prompt\": \"a\"}\n");
    let other = fs::File::create(prompts.output()).expect("made");
    other.lock().expect("locked");
    prompts.run(&random_tiny(), &["-n", "2"]).failed(&["another process is writing to it"]);
    drop(other);
    let ran = prompts.run(&random_tiny(), &["-n", "2"]);
    assert_eq!((ran.code, prompts.rows().len()), (Some(0), 1), "{ran:?}");
}

#[test]
fn a_text_without_a_next_token_is_written_and_costs_no_other() {
    // The model has 99 tokens, and none may come twice.
    let up_to = |end: u32| json!({"prompt_ids": (0..end).collect::<Vec<_>>()}).to_string();
    let prompts = Prompts::new(&[up_to(96), up_to(99), up_to(3)].join("\n"));
    let args = ["-n", "5", "--no-repeat-ngram-size", "1", "--ignore-eos"];
    let ran = prompts.run(&random_tiny(), &args);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    ran.says(&["line 1: no token is left", "line 2: no token is left", "glass: error: 2 of 3 prompts"]);
    let rows = prompts.rows();
    let ends: Vec<_> = rows.iter().map(|row| (&row["id"], &row["finish_reason"], row["ids"].as_array())).collect();
    let ends: Vec<_> = ends.into_iter().map(|(id, reason, ids)| json!([id, reason, ids.map(Vec::len)])).collect();
    assert_eq!(ends, [json!([1, "no_token", 3]), json!([3, "length", 5])]);
}
