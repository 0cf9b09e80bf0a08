//! How a run starts or resumes: every error of its inputs shows here, before the first step.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::Existing;
use glass_config::{LlamaConfig, Override};
use serde_json::json;

use crate::{
    AdamW, Checkpoint, Corpus, Initializer, Recipe, Run, SequenceOrder, TrainError, Trainer,
    checkpoint::FOLDER,
    corpus::Text,
    divergence::DivergenceDetector,
    metrics::{METRICS, MetricsLog},
    output::OutputFolder,
    preset,
    tokenizer::{TokenizerChoice, TrainedTokenizer, train_tokenizer},
};

/// Fields of a config that decide nothing but how the model is trained.
const TRAINING_FIELDS: [&str; 2] = ["attention_dropout", "initializer_range"];

/// What a new run needs.
pub struct NewRun {
    pub text: PathBuf,
    pub shape: Shape,
    /// Replace fields of the config.
    pub overrides: Vec<Override>,
    pub tokenizer: TokenizerChoice,
    pub recipe: Recipe,
    pub output: PathBuf,
    /// What becomes of a run or a model that `output` holds.
    pub existing: Existing,
    pub device: Device,
}

/// The shape of the model to train.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Preset(String),
    /// A `config.json`.
    Config(PathBuf),
}

impl Run {
    /// Checks all inputs, then creates the folder and the model. After an error, nothing is written.
    ///
    /// # Errors
    /// The recipe, text, shape, tokenizer or folder cannot be used; one line that says what to change.
    pub fn start(new: NewRun) -> Result<Self, TrainError> {
        let NewRun { recipe, device, .. } = new;
        recipe.check()?;
        device.check_dtype(Dtype::F32)?;
        let text = Text::read(&new.text, recipe.held_out)?;
        // An alphabet tells nothing about the held-out text, but merges would.
        let tokenizer_text = match new.tokenizer {
            TokenizerChoice::Char => text.whole(),
            _ => text.train(),
        };
        let tokenizer_is_learned = !matches!(new.tokenizer, TokenizerChoice::File(_));
        let tokenizer = train_tokenizer(&new.tokenizer, tokenizer_text)?;
        let mut config = match &new.shape {
            Shape::Preset(name) => preset(name, tokenizer.vocab_size(), recipe.context)?,
            Shape::Config(path) => LlamaConfig::from_file(path, &[])?,
        };
        // The special ids of the config's own vocabulary are ordinary tokens here.
        if tokenizer_is_learned {
            config.bos_token_id = None;
            config.eos_token_id.clear();
            config.pad_token_id = None;
        }
        if !new.overrides.is_empty() {
            // A model that only runs is refused an override of these: there they decide nothing.
            let (of_training, of_model): (Vec<_>, Vec<_>) =
                new.overrides.into_iter().partition(|set| TRAINING_FIELDS.contains(&set.key()));
            let mut fields = config.to_json();
            for set in of_training {
                fields[set.key()] = set.value().clone();
            }
            config = LlamaConfig::from_json(&fields.to_string(), "the config with --set", &of_model)?;
        }
        let inputs = Inputs::new(&text, &tokenizer, config, &recipe)?;
        let config = &inputs.config;

        let mut source = Initializer::new(config, recipe.seed);
        let training = device.training();
        let weights = Weights::new(&mut source, &training, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, config)?;
        let optimizer = AdamW::for_model(&recipe, &model, config)?;
        let trainer = Trainer::new(model, optimizer, config, &device, &recipe, 0);

        let small_files = [
            format!("{:#}\n", config.to_json()).into_bytes(),
            generation_config(&tokenizer, config),
            tokenizer.json().to_vec(),
            tokenizer.config_json().to_vec(),
        ];
        let output = OutputFolder::create(new.output, new.existing, small_files)?;
        let checkpoints = output.path().join(FOLDER);
        fs::create_dir_all(&checkpoints).map_err(TrainError::write(&checkpoints))?;
        let text_path = fs::canonicalize(&new.text).unwrap_or(new.text);
        let checkpoint = Checkpoint::new(recipe, text_path, text.fingerprint(), tokenizer_is_learned);
        checkpoint.save(output.path(), &trainer)?;
        let metrics = MetricsLog::create(&output.path().join(METRICS))?;
        Ok(inputs.into_run(device, output, trainer, checkpoint, metrics))
    }

    /// Resumes from the newest checkpoint in `folder`, on the same text, which may have moved to `text`.
    ///
    /// # Errors
    /// There is no checkpoint, it is damaged, or the text is another one.
    pub fn resume(folder: &Path, text: Option<&Path>, device: Device) -> Result<Self, TrainError> {
        let (mut checkpoint, checkpoint_folder) = Checkpoint::newest(folder)?;
        let recipe = &checkpoint.recipe;
        recipe.check()?;
        if let Some(path) = text {
            checkpoint.text = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        }
        let text = Text::read(&checkpoint.text, recipe.held_out).map_err(|error| match error {
            TrainError::Text { path, reason } => {
                TrainError::Text { path, reason: format!("{reason} (--text gives its new path)") }
            }
            error => error,
        })?;
        if text.fingerprint() != checkpoint.text_fingerprint {
            return Err(TrainError::Text {
                path: checkpoint.text,
                reason: format!(
                    "is not the text that the run in {} was started with: give that one with --text",
                    folder.display()
                ),
            });
        }
        let config = LlamaConfig::from_file(&folder.join("config.json"), &[])?;
        let tokenizer = TokenizerChoice::File(folder.join("tokenizer.json"));
        let tokenizer = train_tokenizer(&tokenizer, text.train())?.in_chunks(checkpoint.tokenizer_is_learned);
        let inputs = Inputs::new(&text, &tokenizer, config, recipe)?;
        let trainer = checkpoint.restore(&checkpoint_folder, &inputs.config, &device)?;
        let output = OutputFolder::open(folder)?;
        let metrics = MetricsLog::resume(&folder.join(METRICS), checkpoint.step as u64)?;
        Ok(inputs.into_run(device, output, trainer, checkpoint, metrics))
    }
}

/// A config and the corpus that its model reads, checked against each other.
struct Inputs {
    config: LlamaConfig,
    corpus: Corpus,
    warnings: Vec<String>,
}

impl Inputs {
    fn new(
        text: &Text,
        tokenizer: &TrainedTokenizer,
        config: LlamaConfig,
        recipe: &Recipe,
    ) -> Result<Self, TrainError> {
        let corpus = Corpus::encode(text, tokenizer, &config, recipe)?;
        Ok(Self { warnings: warnings(tokenizer, &config, &corpus)?, config, corpus })
    }

    fn into_run(
        self,
        device: Device,
        output: OutputFolder,
        trainer: Trainer,
        checkpoint: Checkpoint,
        metrics: MetricsLog,
    ) -> Run {
        let recipe = &checkpoint.recipe;
        Run {
            order: SequenceOrder::new(self.corpus.train.len(), recipe.context, recipe.seed),
            divergence: DivergenceDetector::after(metrics.records()),
            config: self.config,
            corpus: self.corpus,
            warnings: self.warnings,
            output,
            device,
            trainer,
            checkpoint,
            metrics,
        }
    }
}

fn warnings(tokenizer: &TrainedTokenizer, config: &LlamaConfig, corpus: &Corpus) -> Result<Vec<String>, TrainError> {
    let mut warnings = tokenizer.warnings().to_vec();
    warnings.extend(config.ignored.iter().map(|field| {
        let (name, value, why) = (&field.name, &field.value, &field.why);
        format!("config.json: {name} = {value} is ignored: {why}")
    }));
    if let Some(unk) = tokenizer.special_ids().unk {
        let ids = corpus.train.iter().chain(&corpus.held_out);
        let unknown = ids.filter(|&&id| id == unk).count();
        if unknown > 0 {
            warnings.push(format!(
                "{unknown} tokens of the text are unknown to the tokenizer; the model learns them as one token"
            ));
        }
    }
    if !tokenizer.tokenizer().encode("", true)?.is_empty() {
        warnings.push(
            "the tokenizer adds BOS to every prompt, but the training text has none: the model continues short prompts \
             worse than long ones"
                .into(),
        );
    }
    Ok(warnings)
}

/// Enough tokens to judge the model's writing.
const NEW_TOKENS: usize = 500;

/// Sampling, because a model trained on one long text never emits EOS, and repeats itself when decoding is greedy.
fn generation_config(tokenizer: &TrainedTokenizer, config: &LlamaConfig) -> Vec<u8> {
    let mut fields = json!({
        "do_sample": true,
        "temperature": 0.8,
        "top_k": 0,
    });
    if config.context() >= 2 * NEW_TOKENS {
        fields["max_new_tokens"] = json!(NEW_TOKENS);
    }
    let ids = tokenizer.special_ids();
    if let Some(id) = ids.bos {
        fields["bos_token_id"] = json!(id);
    }
    if let Some(id) = ids.eos {
        fields["eos_token_id"] = json!(id);
    }
    format!("{fields:#}\n").into_bytes()
}
