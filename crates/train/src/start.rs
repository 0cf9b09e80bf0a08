//! How a run starts or resumes: every error of its inputs shows here, before the first step.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{Existing, SaveError};
use glass_config::{LlamaConfig, Override};
use serde_json::json;

use crate::{
    AdamW, Checkpoint, Corpus, Initializer, Recipe, Run, SequenceOrder, TrainError, Trainer,
    checkpoint::Pretrained,
    corpus::Text,
    divergence::DivergenceDetector,
    metrics::{METRICS, MetricsLog},
    output::{OutputFolder, SMALL_FILES, overwrites},
    preset,
    pretrained::{self, stored, stored_dtype},
    tokenizer::{TokenizerChoice, TrainedTokenizer, train_tokenizer},
};

/// What a new run needs.
pub struct NewRun {
    pub text: PathBuf,
    pub shape: Shape,
    /// The float type that the result is stored in; `None`: float32, or that of the model that the run begins from. Training
    /// computes in float32.
    pub dtype: Option<Dtype>,
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
    /// A model's folder, and its name: the run begins from its weights, with its tokenizer.
    Model {
        folder: PathBuf,
        name: String,
    },
}

impl NewRun {
    /// Refuses a folder in which the run would write over a file that it reads.
    fn check_inputs(&self) -> Result<(), TrainError> {
        let config = if let Shape::Config(path) = &self.shape { Some(path) } else { None };
        let tokenizer = if let TokenizerChoice::File(path) = &self.tokenizer { Some(path) } else { None };
        let mut inputs = [Some(&self.text), config, tokenizer].into_iter().flatten();
        match inputs.find(|input| overwrites(&self.output, input)) {
            Some(input) => Err(TrainError::IsInput(input.clone())),
            None => Ok(()),
        }
    }
}

impl Run {
    /// Checks all inputs, then creates the folder and the model. After an error, nothing is written.
    ///
    /// # Errors
    /// The recipe, text, shape, tokenizer or folder cannot be used; one line that says what to change.
    pub fn start(new: NewRun) -> Result<Self, TrainError> {
        new.check_inputs()?;
        let NewRun { recipe, device, .. } = new;
        recipe.check()?;
        device.check_dtype(Dtype::F32)?;
        let text = Text::read(&new.text, recipe.held_out)?;
        // An alphabet tells nothing about the held-out text, but merges would.
        let tokenizer_text = match new.tokenizer {
            TokenizerChoice::Char => text.whole(),
            _ => text.train(),
        };
        let base = match &new.shape {
            Shape::Model { folder, .. } => Some(pretrained::Folder::open(folder)?),
            Shape::Preset(_) | Shape::Config(_) => None,
        };
        let choice = match &new.shape {
            Shape::Model { folder, .. } => TokenizerChoice::File(folder.clone()),
            Shape::Preset(_) | Shape::Config(_) => new.tokenizer,
        };
        let tokenizer_is_learned = !matches!(choice, TokenizerChoice::File(_));
        let tokenizer = train_tokenizer(&choice, tokenizer_text)?;
        let mut own_head = None;
        let mut config = match (&new.shape, &base) {
            (Shape::Preset(name), _) => preset(name, tokenizer.vocab_size(), recipe.context)?,
            (Shape::Config(path), _) => LlamaConfig::from_file_to_train(path)?,
            (Shape::Model { .. }, Some(base)) => {
                let (config, warning) = base.config()?;
                own_head = warning;
                config
            }
            (Shape::Model { .. }, None) => unreachable!("it was opened"),
        };
        // The special ids of the config's own vocabulary are ordinary tokens here.
        if tokenizer_is_learned {
            config.bos_token_id = None;
            config.eos_token_id.clear();
            config.pad_token_id = None;
        }
        let own = base.as_ref().map(|_| stored_dtype(&config));
        let dtype = new.dtype.or(own).unwrap_or(Dtype::F32);
        config.dtype = Some(stored(dtype));
        if !new.overrides.is_empty() {
            let text = config.to_json().to_string();
            config = LlamaConfig::from_json_to_train(&text, "the config", &new.overrides)?;
        }
        let mut inputs = Inputs::new(&text, &tokenizer, config, &recipe, base.is_some())?;
        let config = &inputs.config;

        let (model, small_files) = match &base {
            Some(base) => {
                let (model, warnings) = base.load(config, &device)?;
                inputs.warnings.extend(own_head.into_iter().chain(warnings));
                (model, base.small_files(config, &new.overrides, dtype)?)
            }
            None => {
                let mut source = Initializer::new(config, recipe.seed);
                let training = device.training();
                let contents = [
                    format!("{:#}\n", config.to_json()).into_bytes(),
                    generation_config(&tokenizer, config),
                    tokenizer.json().to_vec(),
                    tokenizer.config_json().to_vec(),
                ];
                let files = SMALL_FILES.map(str::to_owned).into_iter().zip(contents);
                let weights = Weights::new(&mut source, &training, Dtype::F32);
                (LlamaForCausalLM::load(weights, config)?, files.collect())
            }
        };
        let optimizer = AdamW::for_model(&recipe, &model, config)?;
        let trainer = Trainer::new(model, optimizer, config, &device, &recipe, 0);

        let text_path = fs::canonicalize(&new.text).unwrap_or(new.text);
        let mut checkpoint = Checkpoint::new(recipe, text_path, text.fingerprint(), tokenizer_is_learned);
        if let Shape::Model { folder, name } = new.shape {
            same_folder(&folder, &new.output)?;
            let files = small_files.iter().map(|(name, _)| name.clone()).collect();
            checkpoint.from = Some(Pretrained { name, files });
        }
        let output = OutputFolder::create(new.output, new.existing, small_files, dtype)?;
        let begun = MetricsLog::create(&output.path().join(METRICS)).map_err(TrainError::from).and_then(|metrics| {
            checkpoint.save(output.path(), &trainer)?;
            Ok(metrics)
        });
        match begun {
            Ok(metrics) => {
                output.begun()?;
                Ok(inputs.into_run(device, output, trainer, checkpoint, metrics))
            }
            Err(error) => {
                output.undo();
                Err(error)
            }
        }
    }

    /// Resumes from the newest checkpoint in `folder`, on the same text, which may have moved to `text`. With `steps` the run
    /// is to have so many in all, and the schedule is that of such a run.
    ///
    /// # Errors
    /// There is no checkpoint, it is damaged, or the text is another one; the run has done more steps.
    pub fn resume(
        folder: &Path,
        text: Option<&Path>,
        steps: Option<usize>,
        device: Device,
    ) -> Result<Self, TrainError> {
        let (mut checkpoint, checkpoint_folder) = Checkpoint::newest(folder)?;
        if let Some(steps) = steps {
            checkpoint.set_steps(steps)?;
        }
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
        for name in ["config.json", "tokenizer.json"] {
            let path = folder.join(name);
            if !path.is_file() {
                let reason = "is missing, and the run does not go on without it: put back the one of this run".into();
                return Err(TrainError::Resume { path, reason });
            }
        }
        let config = LlamaConfig::from_file_to_train(&folder.join("config.json"))?;
        let tokenizer = TokenizerChoice::File(folder.join("tokenizer.json"));
        let tokenizer = train_tokenizer(&tokenizer, text.train())?.in_chunks(checkpoint.tokenizer_is_learned);
        let inputs = Inputs::new(&text, &tokenizer, config, recipe, checkpoint.from.is_some())?;
        let trainer = checkpoint.restore(&checkpoint_folder, &inputs.config, &device)?;
        let from = checkpoint.from.iter().flat_map(|from| from.files.clone());
        let own = SMALL_FILES.iter().filter(|_| checkpoint.from.is_none()).map(|name| (*name).to_owned());
        let output = OutputFolder::open(folder, from.chain(own), stored_dtype(&inputs.config))?;
        if steps.is_some() {
            // At once: a run that is killed goes on with this recipe, too.
            checkpoint.save_state(&checkpoint_folder)?;
        }
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
        pretrained: bool,
    ) -> Result<Self, TrainError> {
        let corpus = Corpus::encode(text, tokenizer, &config, recipe, pretrained)?;
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

/// Refuses to write over the model that is read, whatever is to become of what the output holds.
fn same_folder(folder: &Path, output: &Path) -> Result<(), TrainError> {
    match (folder.canonicalize(), output.canonicalize()) {
        (Ok(folder), Ok(other)) if folder == other => Err(SaveError::IsSource(output.to_owned()).into()),
        _ => Ok(()),
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
