//! How a run begins, or goes on: everything that can be wrong is found here, before the first step.

use std::{
    fs,
    path::{Path, PathBuf},
};

use glass_backend::{Device, Dtype, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_checkpoint::{Existing, Saving};
use glass_config::{LlamaConfig, Override};
use serde_json::json;

use crate::{
    AdamW, Checkpoint, Corpus, Initialiser, Order, Recipe, Run, TrainError, Trainer,
    checkpoint::FOLDER,
    corpus::Text,
    files::Files,
    metrics::{MetricsLog, Record},
    preset,
    run::METRICS,
    tokenizer::{TokenizerChoice, TrainedTokenizer, train_tokenizer},
    watch::Watch,
};

/// What a new run needs.
pub struct Start {
    pub text: PathBuf,
    pub shape: Shape,
    /// Laid over the config before it is used.
    pub overrides: Vec<Override>,
    pub tokenizer: TokenizerChoice,
    pub recipe: Recipe,
    /// New or empty.
    pub output: PathBuf,
    pub device: Device,
}

/// What model is to be trained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    Preset(String),
    /// A `config.json`.
    Config(PathBuf),
}

impl Run {
    /// Checks everything, then makes the folder and the model. Nothing is written if anything is wrong.
    ///
    /// # Errors
    /// The recipe, text, shape, tokenizer or folder cannot be used; one line that says what to change.
    pub fn start(start: Start) -> Result<Self, TrainError> {
        let Start {
            text: path,
            shape,
            overrides,
            tokenizer,
            recipe,
            output,
            device,
        } = start;
        recipe.check()?;
        device.check_dtype(Dtype::F32)?;
        let text = Text::read(&path, recipe.held_out)?;
        // An alphabet is no knowledge of the held-out text, but what is merged would be.
        let seen = match tokenizer {
            TokenizerChoice::Char => text.whole(),
            _ => text.train(),
        };
        let tokenizer_is_learned = !matches!(tokenizer, TokenizerChoice::File(_));
        let tokenizer = train_tokenizer(&tokenizer, seen)?;
        let mut config = match &shape {
            Shape::Preset(name) => preset(name, tokenizer.vocab_size(), recipe.context)?,
            Shape::Config(path) => LlamaConfig::from_file(path, &[])?,
        };
        // Ids that mean something in the vocabulary that the config was made for mean characters here.
        if tokenizer_is_learned {
            config.bos_token_id = None;
            config.eos_token_id.clear();
            config.pad_token_id = None;
        }
        if !overrides.is_empty() {
            let fields = config.to_json().to_string();
            config = LlamaConfig::from_json(&fields, "the config with --set", &overrides)?;
        }
        let corpus = corpus(&text, &tokenizer, &config, &recipe)?;

        let mut source = Initialiser::new(&config, recipe.seed);
        let training = device.training();
        let weights = Weights::new(&mut source, &training, Dtype::F32);
        let model = LlamaForCausalLM::load(weights, &config)?;
        let trainer = Trainer::new(model, AdamW::new(&recipe), &config, &device, &recipe, 0);

        let files = Files {
            folder: output,
            config: format!("{:#}\n", config.to_json()).into_bytes(),
            generation_config: generation_config(&tokenizer, &config),
            tokenizer: tokenizer.json().to_vec(),
            tokenizer_config: tokenizer.config_json().to_vec(),
        };
        let mut saving = Saving::begin(&files.folder, Existing::Refuse)?;
        files.write_all(&mut saving)?;
        saving.finish()?;
        let training = files.folder.join(FOLDER);
        fs::create_dir_all(&training).map_err(TrainError::write(&training))?;
        let path = fs::canonicalize(&path).unwrap_or(path);
        let checkpoint = Checkpoint::new(recipe, path, text.mark(), tokenizer_is_learned);
        checkpoint.save(&files.folder, &trainer)?;
        let metrics = MetricsLog::create(&files.folder.join(METRICS))?;
        let begun = Begun {
            warnings: warnings(&tokenizer, &config, &corpus)?,
            files,
            config,
            device,
            corpus,
            trainer,
            checkpoint,
        };
        Ok(begun.run(metrics, vec![]))
    }

    /// Goes on from the newest checkpoint in `folder`, on the same text, which may have moved to `text`.
    ///
    /// # Errors
    /// There is no checkpoint, it is damaged, or the text is another one.
    pub fn resume(folder: &Path, text: Option<&Path>, device: Device) -> Result<Self, TrainError> {
        let (mut checkpoint, place) = Checkpoint::find(folder)?;
        let recipe = &checkpoint.recipe;
        recipe.check()?;
        if let Some(path) = text {
            checkpoint.text = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        }
        let text = Text::read(&checkpoint.text, recipe.held_out).map_err(|error| match error {
            TrainError::Text { path, reason } => TrainError::Text {
                path,
                reason: format!("{reason} (--text says where it is now)"),
            },
            error => error,
        })?;
        if text.mark() != checkpoint.text_mark {
            return Err(TrainError::Text {
                path: checkpoint.text.clone(),
                reason: format!(
                    "is not the text that the run in {} began with: give that one with --text",
                    folder.display()
                ),
            });
        }
        let config = LlamaConfig::from_file(&folder.join("config.json"), &[])?;
        let tokenizer = TokenizerChoice::File(folder.join("tokenizer.json"));
        let tokenizer = train_tokenizer(&tokenizer, text.train())?;
        let tokenizer = tokenizer.learned_here(checkpoint.tokenizer_is_learned);
        let corpus = corpus(&text, &tokenizer, &config, recipe)?;
        let trainer = checkpoint.restore(&place, &config, &device)?;
        let read = |name: &str| {
            let path = folder.join(name);
            fs::read(&path).map_err(|error| TrainError::Resume {
                path,
                reason: format!("cannot be read ({error})"),
            })
        };
        let files = Files {
            config: read("config.json")?,
            generation_config: read("generation_config.json")?,
            tokenizer: read("tokenizer.json")?,
            tokenizer_config: read("tokenizer_config.json")?,
            folder: folder.to_owned(),
        };
        let step = checkpoint.step as u64;
        let (metrics, resumed) = MetricsLog::resume(&folder.join(METRICS), step)?;
        let begun = Begun {
            warnings: warnings(&tokenizer, &config, &corpus)?,
            files,
            config,
            device,
            corpus,
            trainer,
            checkpoint,
        };
        Ok(begun.run(metrics, resumed.kept))
    }
}

/// All of a run but what it has measured.
struct Begun {
    files: Files,
    config: LlamaConfig,
    device: Device,
    corpus: Corpus,
    trainer: Trainer,
    checkpoint: Checkpoint,
    warnings: Vec<String>,
}

impl Begun {
    fn run(self, metrics: MetricsLog, records: Vec<Record>) -> Run {
        let recipe = &self.checkpoint.recipe;
        Run {
            order: Order::new(self.corpus.train.len(), recipe.context, recipe.seed),
            watch: Watch::after(&records),
            files: self.files,
            config: self.config,
            device: self.device,
            corpus: self.corpus,
            trainer: self.trainer,
            checkpoint: self.checkpoint,
            warnings: self.warnings,
            metrics,
            records,
        }
    }
}

fn corpus(
    text: &Text,
    tokenizer: &TrainedTokenizer,
    config: &LlamaConfig,
    recipe: &Recipe,
) -> Result<Corpus, TrainError> {
    if tokenizer.vocab_size() > config.vocab_size {
        return Err(TrainError::Vocabulary {
            tokenizer: tokenizer.vocab_size(),
            config: config.vocab_size,
        });
    }
    if recipe.context > config.context() {
        return Err(TrainError::Recipe {
            field: "context",
            reason: format!(
                "is {}, more than the {} positions of the config: lower it, or raise max_position_embeddings",
                recipe.context,
                config.context()
            ),
        });
    }
    let corpus = Corpus {
        train: tokenizer.encode(text.train())?,
        held_out: tokenizer.encode(text.held_out())?,
    };
    corpus.check(recipe)?;
    Ok(corpus)
}

fn warnings(
    tokenizer: &TrainedTokenizer,
    config: &LlamaConfig,
    corpus: &Corpus,
) -> Result<Vec<String>, TrainError> {
    let mut warnings = tokenizer.warnings().to_vec();
    warnings.extend(config.ignored.iter().map(|field| {
        let (name, value, why) = (&field.name, &field.value, &field.why);
        format!("config.json: {name} = {value} is ignored: {why}")
    }));
    if let Some(unk) = tokenizer.special_ids().unk {
        let unknown = |ids: &[u32]| ids.iter().filter(|&&id| id == unk).count();
        let unknown = unknown(&corpus.train) + unknown(&corpus.held_out);
        if unknown > 0 {
            warnings.push(format!(
                "{unknown} tokens of the text are unknown to the tokenizer, and the model learns them as one"
            ));
        }
    }
    if !tokenizer.tokenizer().encode("", true)?.is_empty() {
        warnings.push(
            "the tokenizer puts a token before every prompt (BOS) that the text, read as one, does not have: prompts of \
             some length are continued better than short ones"
                .into(),
        );
    }
    Ok(warnings)
}

/// Enough to see how it writes.
const NEW_TOKENS: usize = 500;

/// A model that was trained on one long text writes on until it is stopped, and greedily it repeats itself.
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
