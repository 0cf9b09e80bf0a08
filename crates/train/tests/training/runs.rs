//! Runs of less than a second: a short text, a tiny model.

use std::{
    fs,
    ops::ControlFlow,
    path::{Path, PathBuf},
    sync::{PoisonError, RwLock},
};

use glass_checkpoint::Existing;
use glass_train::{Event, NewRun, Outcome, Recipe, Run, Shape, TrainError, tokenizer::TokenizerChoice};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Some 700 characters with many repeated words.
pub const TEXT: &str = "\
The miller turns the wheel, the wheel turns the stone,
the stone turns the corn into meal on its own.
The river turns the wheel and the wheel turns the stone,
and the miller sits down to his supper alone.

The tailor takes the thread, the thread takes the seam,
the seam takes the sleeve as it did in his dream.
The needle takes the thread and the thread takes the seam,
and the tailor sits down to his bread and his cream.

The baker kneads the dough, the dough kneads the hand,
the hand kneads the bread for the half of the land.
The miller brings the meal and the river the sand,
and the baker sits down where the river meets land.

The river turns the wheel and the wheel turns the stone,
and the miller sits down to his supper alone.
";

/// The folder of one test, with [`TEXT`] in `text.txt`.
pub struct TestFolder(TempDir);

impl TestFolder {
    pub fn new() -> Self {
        let folder = Self(TempDir::new().expect("a temporary folder"));
        fs::write(folder.path("text.txt"), TEXT).expect("a text");
        folder
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A run on `text.txt` into the folder `output`.
    pub fn start(&self, output: &str, config: &Value, recipe: &Recipe) -> NewRun {
        let path = self.path(&format!("{output}.config.json"));
        fs::write(&path, config.to_string()).expect("a config");
        NewRun {
            existing: Existing::Refuse,
            dtype: None,
            text: self.path("text.txt"),
            shape: Shape::Config(path),
            overrides: vec![],
            tokenizer: TokenizerChoice::Char,
            recipe: recipe.clone(),
            output: self.path(output),
            device: crate::devices::flex(),
        }
    }

    /// A run on `text.txt` into the folder `output` that begins from a model.
    pub fn start_from(&self, model: &Path, output: &str, recipe: &Recipe) -> NewRun {
        let shape = Shape::Model { folder: model.to_owned(), name: "a model".into() };
        NewRun { shape, ..self.start(output, &config(json!({})), recipe) }
    }

    /// Trains from beginning to end; the result's folder.
    pub fn train(&self, output: &str, config: &Value, recipe: &Recipe) -> PathBuf {
        let mut run = Run::start(self.start(output, config, recipe)).expect("a run");
        assert!(to_the_end(&mut run).complete);
        run.folder().to_owned()
    }
}

/// The config of a tiny model, with other `fields`.
pub fn config(fields: Value) -> Value {
    let mut config = json!({
        "model_type": "llama", "vocab_size": 48, "hidden_size": 16, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "tie_word_embeddings": true,
        "bos_token_id": null, "eos_token_id": null
    });
    for (name, value) in fields.as_object().expect("fields") {
        config[name] = value.clone();
    }
    config
}

/// A dozen small steps; evaluations and checkpoints coincide only at the last one.
pub fn recipe() -> Recipe {
    Recipe {
        steps: 12,
        batch: 2,
        context: 16,
        learning_rate: 1e-2,
        min_learning_rate: 1e-3,
        warmup_steps: 3,
        eval_every: 5,
        save_every: 4,
        ..Recipe::default()
    }
}

/// On flex, dropout uses one random generator per process, and every step seeds it: a run with dropout excludes all others.
static GENERATOR: RwLock<()> = RwLock::new(());

pub fn train(run: &mut Run, on_event: &mut dyn FnMut(Event) -> ControlFlow<()>) -> Result<Outcome, TrainError> {
    let seeds = run.device().name() == "flex";
    let draws = run.recipe().dropout > 0.0 || run.config().attention_dropout > 0.0;
    let alone = || GENERATOR.write().unwrap_or_else(PoisonError::into_inner);
    let together = || GENERATOR.read().unwrap_or_else(PoisonError::into_inner);
    let _alone = (seeds && draws).then(alone);
    let _together = (seeds && !draws).then(together);
    run.train(on_event)
}

pub fn to_the_end(run: &mut Run) -> Outcome {
    train(run, &mut |_| ControlFlow::Continue(())).expect("it trains")
}

/// Stops the run at the first event for which `at` is true.
pub fn stop_at(run: &mut Run, at: impl Fn(Event) -> bool) -> Outcome {
    let outcome = train(run, &mut |event| {
        if at(event) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    outcome.expect("it trains")
}

pub fn resume(folder: &Path) -> Result<Run, TrainError> {
    Run::resume(folder, None, None, crate::devices::flex())
}

/// The lines of `metrics.jsonl` without the seconds, which differ between runs.
pub fn metrics(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("metrics.jsonl")).expect("metrics");
    let line = |line| {
        let mut value: Value = serde_json::from_str(line).expect("one object per line");
        let seconds = value.as_object_mut().expect("an object").remove("seconds");
        assert_eq!(seconds.is_some(), value.get("train_loss").is_some());
        value
    };
    text.lines().map(line).collect()
}

/// The values of one field, from the lines that have it.
pub fn column(metrics: &[Value], field: &str) -> Vec<f64> {
    metrics.iter().filter_map(|line| line[field].as_f64()).collect()
}

pub fn weights(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("model.safetensors")).expect("weights")
}

/// The values of one tensor of a saved float32 model.
pub fn tensor(folder: &Path, name: &str) -> Vec<f32> {
    let bytes = weights(folder);
    let tensors = safetensors::SafeTensors::deserialize(&bytes).expect("a safetensors file");
    let tensor = tensors.tensor(name).expect("a tensor of that name");
    assert_eq!(tensor.dtype(), safetensors::Dtype::F32);
    bytemuck::pod_collect_to_vec(tensor.data())
}

/// Copies a folder with all it holds.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        let target = to.join(path.file_name().expect("a name"));
        if path.is_dir() {
            copy(&path, &target);
        } else {
            fs::copy(&path, &target).expect("a copy");
        }
    }
}

/// Asserts that the error is one line that contains all of `parts`.
pub fn is_one_line(error: &TrainError, parts: &[&str]) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() > 20, "{text:?}");
    assert!(parts.iter().all(|part| text.contains(part)), "{text:?} lacks one of {parts:?}");
}
