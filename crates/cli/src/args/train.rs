//! `glass train`: its options.

use std::path::PathBuf;

use clap::Args;
use glass_backend::Dtype;
use glass_config::Override;
use glass_train::{Recipe, tokenizer::TokenizerChoice};

use super::{COMPUTING, Overwrite, from_0, number};

const RUN: &str = "Run";
const SHAPE: &str = "Model";

/// A run is either new (--text, -o) or goes on (--resume).
#[derive(Debug, Args)]
pub struct Train {
    /// A UTF-8 file to train on; its last tenth is held out for evaluation
    #[arg(help_heading = RUN, long, value_name = "FILE", required_unless_present = "resume")]
    pub text: Option<PathBuf>,
    /// The folder to write, new or empty
    #[arg(help_heading = RUN, short, long, value_name = "DIR", required_unless_present = "resume")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
    /// Resume the run in this folder with its own options
    ///
    /// --text says where the text is, if it has moved.
    #[arg(help_heading = RUN, long, value_name = "DIR", conflicts_with_all = ["output", "force", "Shape", "New", "Numbers"])]
    pub resume: Option<PathBuf>,
    #[command(flatten)]
    pub shape: Shape,
    #[command(flatten)]
    pub new: New,
    /// Optimizer steps; of a resumed run all in all, with the learning rates of a run of so many [1000]
    #[arg(help_heading = RUN, long, value_name = "N", value_parser = from_0::<usize>)]
    pub steps: Option<usize>,
    #[command(flatten)]
    pub numbers: Numbers,
    /// auto, flex, ndarray, wgpu, wgpu:N (see `glass devices`)
    #[arg(help_heading = COMPUTING, env = "GLASS_DEVICE", hide_env_values = true, long, default_value = "auto")]
    pub device: String,
}

/// Which model to train.
#[derive(Debug, Args)]
#[group(id = "Shape", multiple = false)]
#[command(next_help_heading = SHAPE)]
pub struct Shape {
    /// A shape by name [default: small]
    ///
    /// tiny, tiny-window, tiny-mamba, tiny-samba, tiny-retnet, small, small-window, stories-15M.
    #[arg(long, value_name = "NAME")]
    pub preset: Option<String>,
    /// A config.json with the shape
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// A model to begin from, with its tokenizer: a folder or a hub name (org/name)
    #[arg(long, value_name = "MODEL", conflicts_with = "tokenizer")]
    pub from: Option<String>,
}

#[derive(Debug, Args)]
#[group(id = "New", multiple = true)]
#[command(next_help_heading = SHAPE)]
pub struct New {
    /// Override a field of the config (repeatable)
    ///
    /// For instance sliding_window=64 or attention_dropout=0.1. An override without effect is an error.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
    /// char, bpe:N or a tokenizer.json [default: char]
    ///
    /// char has a token for each character of the text, bpe:N learns N tokens of byte pairs from it.
    #[arg(long, value_name = "char|bpe:N|FILE")]
    pub tokenizer: Option<TokenizerChoice>,
    /// Float type that the result is stored in: f32, f16 or bf16; training computes in f32 [default: f32, or that of --from]
    #[arg(long, value_name = "DTYPE")]
    pub dtype: Option<Dtype>,
}

/// The recipe; defaults in brackets.
#[derive(Debug, Default, Args)]
#[group(id = "Numbers", multiple = true)]
#[command(next_help_heading = "Recipe (defaults in brackets)")]
pub struct Numbers {
    /// Sequences in a batch [16]
    #[arg(long, value_name = "N", value_parser = from_0::<usize>)]
    pub batch: Option<usize>,
    /// Tokens of a sequence; no more than the context of a model that the run begins from [256]
    #[arg(long, value_name = "N", value_parser = from_0::<usize>)]
    pub context: Option<usize>,
    /// Batches whose gradients are averaged for one step [1]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub accumulate: Option<usize>,
    /// Learning rate after the warm-up; from a model a tenth of it [0.001]
    #[arg(long, value_name = "X", value_parser = number::<f64>)]
    pub learning_rate: Option<f64>,
    /// Learning rate of the last step [a tenth of --learning-rate]
    #[arg(hide_short_help = true, long, value_name = "X", value_parser = number::<f64>)]
    pub min_learning_rate: Option<f64>,
    /// Steps of linear warm-up to the learning rate [a tenth of --steps, 100 at most]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub warmup_steps: Option<usize>,
    /// AdamW: weight decay of matrices [0.1]
    #[arg(hide_short_help = true, long, value_name = "X", value_parser = number::<f64>)]
    pub weight_decay: Option<f64>,
    /// AdamW: decay rate of the mean of gradients [0.9]
    #[arg(hide_short_help = true, long, value_name = "X", value_parser = number::<f64>)]
    pub beta1: Option<f64>,
    /// AdamW: decay rate of the mean of squared gradients [0.99]
    #[arg(hide_short_help = true, long, value_name = "X", value_parser = number::<f64>)]
    pub beta2: Option<f64>,
    /// Maximum norm of the gradients; 0: no clipping [1]
    #[arg(hide_short_help = true, long, value_name = "X", value_parser = number::<f64>)]
    pub clip: Option<f64>,
    /// Dropout probability of embeddings and residual branches [0]
    #[arg(long, value_name = "P", value_parser = number::<f64>)]
    pub dropout: Option<f64>,
    /// Steps between two evaluations on the held-out text [250]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub eval_every: Option<usize>,
    /// Steps between two checkpoints, the most that a killed run loses [250]
    #[arg(hide_short_help = true, long, value_name = "N", value_parser = from_0::<usize>)]
    pub save_every: Option<usize>,
    /// Fraction of the text that is held out, at its end [0.1]
    #[arg(hide_short_help = true, long, value_name = "P", value_parser = number::<f64>)]
    pub held_out: Option<f64>,
    /// Random seed of initial weights, order of the text and dropout [0]
    #[arg(long, value_name = "N", value_parser = from_0::<u64>)]
    pub seed: Option<u64>,
}

impl Numbers {
    /// The recipe: these options over the defaults.
    pub fn recipe(&self, steps: Option<usize>, usual: &Recipe) -> Recipe {
        let steps = steps.unwrap_or(usual.steps);
        let learning_rate = self.learning_rate.unwrap_or(usual.learning_rate);
        Recipe {
            steps,
            batch: self.batch.unwrap_or(usual.batch),
            context: self.context.unwrap_or(usual.context),
            accumulate: self.accumulate.unwrap_or(usual.accumulate),
            learning_rate,
            min_learning_rate: self.min_learning_rate.unwrap_or(learning_rate / 10.0),
            warmup_steps: self.warmup_steps.unwrap_or((steps / 10).min(100)),
            weight_decay: self.weight_decay.unwrap_or(usual.weight_decay),
            beta1: self.beta1.unwrap_or(usual.beta1),
            beta2: self.beta2.unwrap_or(usual.beta2),
            clip: self.clip.unwrap_or(usual.clip),
            dropout: self.dropout.unwrap_or(usual.dropout),
            eval_every: self.eval_every.unwrap_or(usual.eval_every),
            save_every: self.save_every.unwrap_or(usual.save_every),
            held_out: self.held_out.unwrap_or(usual.held_out),
            seed: self.seed.unwrap_or(usual.seed),
        }
    }
}
