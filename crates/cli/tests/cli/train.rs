//! `glass train`: its output and its result.

use std::{fs, path::PathBuf};

use glass_testing::Random;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    models::shipped,
    run::{Ran, command, fails, run, succeeds, text},
};

/// Forty steps with an evaluation in the middle and one at the end.
pub const SHORT: &str = "--preset tiny --steps 40 --batch 4 --context 32 --eval-every 20 --device flex";

/// A folder with a text to train on, for the model.
pub struct Desk(TempDir);

impl Desk {
    pub fn new() -> Self {
        Self::with(&prose(6000))
    }

    pub fn with(content: &str) -> Self {
        let desk = Self(tempfile::tempdir().expect("a temporary folder"));
        fs::write(desk.path("text.txt"), content).expect("written");
        desk
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn model(&self) -> String {
        text(&self.path("model"))
    }

    pub fn read(&self, name: &str) -> String {
        let path = self.path(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The lines of metrics.jsonl without the seconds, which differ between equal runs.
    pub fn metrics(&self) -> Vec<Value> {
        let read = |line: &str| -> Value {
            let mut record: Value = serde_json::from_str(line).expect("JSON");
            record.as_object_mut().expect("an object").remove("seconds");
            record
        };
        self.read("model/metrics.jsonl").lines().map(read).collect()
    }

    /// The arguments that train `model` on the text.
    pub fn train(&self, more: &str) -> Vec<String> {
        let text = text(&self.path("text.txt"));
        let fixed = ["train", "--text", &text, "-o", &self.model()].map(String::from);
        let more = more.split_whitespace().map(String::from);
        fixed.into_iter().chain(more).collect()
    }

    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(folder)).expect("a folder");
        let mut names: Vec<String> = entries.map(|entry| text(entry.expect("readable").file_name().as_ref())).collect();
        names.sort();
        names
    }
}

/// A text to learn from: words in random order.
fn prose(bytes: usize) -> String {
    const WORDS: [&str; 16] = [
        "the", "king", "hath", "no", "crown", "upon", "his", "head", "and", "we", "shall", "not", "weep", "for", "him",
        "tonight",
    ];
    let mut random = Random::new(1);
    let mut prose = String::new();
    while prose.len() < bytes {
        prose.push_str(WORDS[random.below(WORDS.len())]);
        prose.push(if random.below(8) == 0 { '\n' } else { ' ' });
    }
    prose.truncate(bytes);
    prose
}

/// Trains, with nothing on standard output.
pub fn trains(args: &[String]) -> Ran {
    let ran = succeeds(args);
    assert_eq!(ran.stdout, "");
    ran
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value}"))
}

#[test]
fn a_trained_folder_is_a_model_like_any_other() {
    let desk = Desk::new();
    let ran = trains(&desk.train(SHORT));
    // Without a terminal: a line per evaluation, and nothing that moves a cursor.
    let lines: Vec<&str> = ran.stderr.lines().collect();
    let begins = [
        "glass: 87744 parameters on flex (CPU, ",
        "glass: step 20: train ",
        "glass: step 40: train ",
        "glass: trained 40 steps in ",
        "glass: the curve is in ",
    ];
    assert_eq!(lines.len(), begins.len(), "{ran:?}");
    for (line, begin) in lines.iter().zip(begins) {
        assert!(line.starts_with(begin), "{ran:?}");
    }
    assert!(!ran.stderr.contains(['\r', '\x1b']), "{ran:?}");
    ran.says(&[
        "; 5400 tokens to train on, 600 held out; 40 steps of 128 tokens, 0.9 epochs",
        &format!("glass generate {} -p", desk.model()),
    ]);

    let files = [
        "config.json",
        "generation_config.json",
        "loss.svg",
        "metrics.jsonl",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
        "training",
    ];
    assert_eq!(desk.names("model"), files);
    let kept = desk.names("model/training");
    assert!(kept.len() == 2 && kept.contains(&"step-40".into()), "{kept:?}");
    let svg = desk.read("model/loss.svg");
    assert!(svg.starts_with("<svg") && svg.contains("87744 parameters"), "{svg}");

    let metrics = desk.metrics();
    let steps: Vec<&Value> = metrics.iter().map(|line| &line["step"]).collect();
    let expected = (1..=20).chain(20..=40).chain([40]).map(Value::from);
    assert_eq!(steps, expected.collect::<Vec<_>>().iter().collect::<Vec<_>>());
    assert_eq!(metrics[0]["tokens"], 128);
    // The tenth of 40 steps is the warm-up.
    assert_eq!(number(&metrics[0]["lr"]), 1e-3 / 4.0);
    let (first, last) = (number(&metrics[0]["train_loss"]), &metrics[41]["val_loss"]);
    assert!(number(last) < first - 0.3, "{last} after {first}");

    // `glass eval` computes the run's own loss.
    let held_out = desk.path("held-out.txt");
    fs::write(&held_out, &prose(6000)[5400..]).expect("written");
    let model = desk.model();
    let eval =
        ["eval", "perplexity", &model, "--text", &text(&held_out), "--window", "32", "--json", "--device", "flex"];
    let scored = succeeds(&eval).json();
    assert_eq!(scored["tokens"], 599);
    let off = (number(&scored["mean_nll"]) - number(last)).abs();
    assert!(off < 1e-4, "{off}");

    let generate = ["generate", &model, "-p", "the king", "-n", "20", "--device", "flex"];
    let written = succeeds(&generate).stdout;
    assert!(written.trim_end_matches('\n').chars().count() >= 20, "{written}");
    let info = succeeds(&["info", &model]).stdout;
    assert!(info.contains("87,744") && info.contains("F32"), "{info}");
}

#[test]
fn a_config_with_a_window_trains_with_bpe() {
    let desk = Desk::new();
    let config = json!({
        "model_type": "mistral",
        "vocab_size": 300,
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "sliding_window": 16,
        "rms_norm_eps": 1e-5,
        "tie_word_embeddings": false,
    });
    let path = desk.path("shape.json");
    fs::write(&path, config.to_string()).expect("written");
    let options = format!(
        "--config {} --tokenizer bpe:300 --set sliding_window=8 --steps 6 --batch 2 --context 24 --accumulate 2 \
         --dropout 0.1 --device flex",
        text(&path)
    );
    let ran = trains(&desk.train(&options));
    ran.says(&["6 steps of 96 tokens"]);
    let model = desk.model();
    let info = succeeds(&["info", &model, "--json"]).json();
    assert_eq!(info["config"]["sliding_window"], 8, "{info}");
    assert_eq!(info["config"]["tie_word_embeddings"], false);
    // Longer than the window and the training context.
    let generate = ["generate", &model, "-p", "the crown", "-n", "60", "--json", "--device", "flex"];
    let ids = &succeeds(&generate).json()["sequences"][0]["ids"];
    assert_eq!(ids.as_array().map(Vec::len), Some(60));
}

#[test]
fn a_shipped_model_learns_another_text() {
    let desk = Desk::new();
    let args = desk.train("--steps 12 --batch 2 --context 32 --eval-every 6 --device flex --from");
    let ran = trains(&[&args[..], &[shipped("shakespeare-full")]].concat());
    ran.says(&["beginning from ", "trained in f32, saved in f16", "glass: step 0: held out "]);
    let metrics = desk.metrics();
    let losses: Vec<f64> = metrics.iter().filter_map(|line| line["val_loss"].as_f64()).collect();
    assert_eq!((losses.len(), &metrics[0]["step"]), (3, &Value::from(0)));
    assert!(losses[2] < losses[0] - 0.3, "{losses:?}");
    // The first loss is that of the model itself, and the last that of the result.
    let held_out = desk.path("held-out.txt");
    fs::write(&held_out, &prose(6000)[5400..]).expect("written");
    let loss = |model: &str| {
        let args =
            ["eval", "perplexity", model, "--text", &text(&held_out), "--window", "32", "--json", "--device", "flex"];
        number(&succeeds(&args).json()["mean_nll"])
    };
    assert!((loss(&shipped("shakespeare-full")) - losses[0]).abs() < 1e-4, "{losses:?}");
    // The result is rounded to f16.
    assert!((loss(&desk.model()) - losses[2]).abs() < 0.02, "{losses:?}");

    // More steps, as a command says it.
    let more = ["train", "--resume", &desk.model(), "--steps", "14", "--device", "flex"].map(String::from);
    trains(&more).says(&["resuming after step 12", "trained 14 steps"]);
    let fewer = ["train", "--resume", &desk.model(), "--steps", "13", "--device", "flex"];
    fails(&fewer, &["--steps is 13, and the run has done 14 already"]);
}

#[test]
fn ndarray_trains_like_flex() {
    let desk = Desk::new();
    let ran = trains(&desk.train("--preset tiny-window --steps 2 --batch 2 --context 16 --device ndarray"));
    ran.says(&[" parameters on ndarray (", "trained 2 steps"]);
    let learned = desk.metrics();
    let other = Desk::new();
    trains(&other.train("--preset tiny-window --steps 2 --batch 2 --context 16 --device flex"));
    for (a, b) in learned.iter().zip(other.metrics()) {
        for field in ["train_loss", "val_loss"] {
            if let Some(loss) = a[field].as_f64() {
                let off = (loss - number(&b[field])).abs();
                assert!(off < 1e-4, "{field}: {a} and {b}");
            }
        }
    }
}

#[test]
fn nan_gradients_stop_the_run_and_the_checkpoint_is_kept() {
    let desk = Desk::new();
    let wild = "--preset tiny --steps 60 --batch 4 --context 32 --save-every 1 --learning-rate 1e30 --warmup-steps 0 \
                --clip 0 --device flex";
    let ran = run(&mut command(&desk.train(wild)));
    assert_eq!((ran.code, &*ran.stdout), (Some(1), ""), "{ran:?}");
    let error = ran.stderr.lines().last().expect("an error");
    assert!(error.starts_with("glass: error: step 2: "), "{ran:?}");
    ran.says(&[
        "loss or gradients are NaN or infinite",
        "gradient norm NaN)",
        "the last checkpoint is kept",
        "lower --learning-rate",
    ]);
    // The first step had ruined the weights before they were saved.
    assert_eq!(desk.names("model/training"), ["step-0"]);
    assert_eq!(desk.metrics().len(), 1);
}

#[test]
fn help_names_every_default() {
    let help = succeeds(&["train", "--help"]).stdout;
    let recipe = glass_train::Recipe::default();
    for (option, default) in [
        ("--steps", recipe.steps.to_string()),
        ("--batch", recipe.batch.to_string()),
        ("--context", recipe.context.to_string()),
        ("--accumulate", recipe.accumulate.to_string()),
        ("--learning-rate", recipe.learning_rate.to_string()),
        ("--weight-decay", recipe.weight_decay.to_string()),
        ("--beta1", recipe.beta1.to_string()),
        ("--beta2", recipe.beta2.to_string()),
        ("--clip", recipe.clip.to_string()),
        ("--dropout", recipe.dropout.to_string()),
        ("--eval-every", recipe.eval_every.to_string()),
        ("--save-every", recipe.save_every.to_string()),
        ("--held-out", recipe.held_out.to_string()),
        ("--seed", recipe.seed.to_string()),
    ] {
        let about = help.split(&format!("{option} <")).nth(1).expect("the option");
        let about = about.split("--").next().expect("what it does");
        assert!(about.contains(&format!("[{default}]")), "{option}: {about}");
    }
    for preset in glass_train::PRESETS {
        assert!(help.contains(preset.name), "{}", preset.name);
    }
}
