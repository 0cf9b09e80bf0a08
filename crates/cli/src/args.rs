//! What a person types.

mod bench;
mod chat;
mod eval;
mod train;

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use glass_attention::CachePlan;
use glass_backend::{Dtype, Kernels};
use glass_causal_lm::checkpoint::ShardSize;
use glass_config::Override;

pub use bench::Bench;
pub use chat::Chat;
pub use eval::{Caches, Eval, Measure, Mode, Needle, Perplexity};
pub use train::Train;

/// A Llama you can see through: runs Llama, Mistral and Qwen2 checkpoints in the Hugging Face layout.
///
/// Without a command it runs the small model that is built in.
#[derive(Debug, Parser)]
#[command(name = "glass", version, max_term_width = 110)]
pub struct Glass {
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Continue a text, streamed to standard output
    Generate(Generate),
    /// Talk with a model
    Chat(Chat),
    /// Write the logits of every position, and what led to them, to a safetensors file
    Logits(Logits),
    /// Say what a model is made of
    Info(Info),
    /// Write a model again, in another float type or in files of another size
    Convert(Convert),
    /// Train a model on a text
    Train(Train),
    /// Measure a model
    Eval(Eval),
    /// Measure how fast a model is on each device, and whether it is right there
    Bench(Bench),
    /// List what there is to compute on
    Devices,
    /// Measure what `glass bench` asks for on standard input
    #[command(hide = true)]
    BenchSubject,
}

/// Which model.
#[derive(Debug, Args)]
pub struct Source {
    /// A folder with config.json and safetensors, or a hub name (org/name)
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// Branch, tag or commit of a hub model
    #[arg(long)]
    pub revision: Option<String>,
}

/// Which model, and how to lay its config out.
#[derive(Debug, Args)]
pub struct Model {
    #[command(flatten)]
    pub source: Source,
    /// Replace a field of config.json, for instance sliding_window=64 or rope_parameters.rope_type=linear (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
}

/// What to compute with.
#[derive(Debug, Args)]
pub struct Compute {
    /// auto, flex, ndarray, wgpu, wgpu:N (see `glass devices`)
    #[arg(long, default_value = "auto")]
    pub device: String,
    /// Float type of weights and products: f32, f16 or bf16, as far as the device computes it
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// fused: this program's own kernels where the device has them; plain: tensor operations, written like their papers
    #[arg(long, value_name = "fused|plain", default_value = "fused")]
    pub kernels: Kernels,
}

#[derive(Debug, Args)]
pub struct Generate {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub prompt: Prompt,
    #[command(flatten)]
    pub compute: Compute,
    /// Most tokens to generate [default: the model's generation_config.json, else 256]
    #[arg(long, short = 'n', value_name = "N")]
    pub max_new_tokens: Option<usize>,
    /// What is kept of the text so far: full (everything), ring (a sliding layer's window), ring:W (the last W), sinks:S+W
    /// (the first S and the last W), tova:N (the N most attended to); for layers of one kind full=POLICY,sliding=POLICY
    /// [default: full layers full, sliding layers ring]
    #[arg(long, value_name = "POLICY")]
    pub cache: Option<CachePlan>,
    /// Tokens of the prompt that go through the model together; the result does not depend on it [default: 512]
    #[arg(long, value_name = "N")]
    pub prefill_chunk: Option<NonZeroUsize>,
    #[command(flatten)]
    pub sampling: Sampling,
    /// Go on after an end-of-sequence token
    #[arg(long)]
    pub ignore_eos: bool,
    /// Stop before this text (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Print one JSON object at the end instead of streaming
    #[arg(long)]
    pub json: bool,
}

/// The text to continue. Without any of these it is read from standard input.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct Prompt {
    /// The text
    #[arg(short = 'p', long = "prompt", value_name = "TEXT")]
    pub text: Option<String>,
    /// Token ids, separated by commas; needs no tokenizer
    #[arg(long, value_name = "1,2,3", value_parser = parse_ids)]
    pub ids: Option<Ids>,
    /// A file with the text; one newline at its end does not count
    #[arg(long, value_name = "FILE")]
    pub prompt_file: Option<PathBuf>,
}

/// How the next token is chosen. What is not given comes from the model's generation_config.json, as in transformers.
#[derive(Debug, Args)]
pub struct Sampling {
    /// 0: always the most probable token; 1: the model's own distribution
    #[arg(long, value_name = "T", allow_negative_numbers = true)]
    pub temperature: Option<f32>,
    /// Only the K most probable tokens; 0: all [default when sampling: 50, as in transformers]
    #[arg(long, value_name = "K")]
    pub top_k: Option<usize>,
    /// Only the most probable tokens that make up this share; 1: all
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub top_p: Option<f32>,
    /// Only tokens at least this fraction as probable as the best; 0: all
    #[arg(long, value_name = "P", allow_negative_numbers = true)]
    pub min_p: Option<f32>,
    /// Make tokens that are there already less probable; 1: do not
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    pub repetition_penalty: Option<f32>,
    /// The same seed gives the same text on the same device [default: 0]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

#[derive(Debug, Args)]
pub struct Logits {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub compute: Compute,
    /// Also write hidden states (hidden.embed, hidden.layer.{i}, hidden.norm) and attention probabilities (attn.{i})
    #[arg(long, value_delimiter = ',', value_name = "hidden,attention")]
    pub capture: Vec<Capture>,
    /// The safetensors file to write
    #[arg(short, long, value_name = "FILE")]
    pub output: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Capture {
    Hidden,
    Attention,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct Input {
    /// Token ids, separated by commas
    #[arg(long, value_name = "1,2,3", value_parser = parse_ids)]
    pub ids: Option<Ids>,
    /// A JSON file {"input_ids": [[...]], "attention_mask": [[...]]}; the mask is optional
    #[arg(long, value_name = "FILE")]
    pub ids_file: Option<PathBuf>,
    /// A text, turned into ids by the model's tokenizer
    #[arg(short = 'p', long = "prompt", value_name = "TEXT")]
    pub text: Option<String>,
}

#[derive(Debug, Args)]
pub struct Info {
    #[command(flatten)]
    pub model: Model,
    /// Float type that weights and caches are counted in
    #[arg(long, default_value = "f32")]
    pub dtype: Dtype,
    /// List every tensor
    #[arg(long)]
    pub tensors: bool,
    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Convert {
    #[command(flatten)]
    pub source: Source,
    /// The folder to write, which must be new or empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Float type to store all tensors in: f32, f16 or bf16 [default: each keeps its own]
    #[arg(long)]
    pub dtype: Option<Dtype>,
    /// Most bytes of tensors in one file: a number with kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024)
    #[arg(long, value_name = "SIZE", default_value = "5GB")]
    pub max_shard_size: ShardSize,
}

/// A list of ids; a type of its own, because clap reads a `Vec` as a repeatable option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ids(pub Vec<u32>);

fn parse_ids(text: &str) -> Result<Ids, String> {
    text.split(',')
        .map(|id| {
            let id = id.trim();
            id.parse()
                .map_err(|_| format!("{id:?} is not a token id (a whole number from 0 on)"))
        })
        .collect::<Result<_, _>>()
        .map(Ids)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Glass::command().debug_assert();
    }

    #[test]
    fn ids_are_whole_numbers() {
        assert_eq!(parse_ids("1, 2,3"), Ok(Ids(vec![1, 2, 3])));
        for bad in ["", "1,,2", "1,-2", "1,2.5", "1,4294967296", "a"] {
            assert!(parse_ids(bad).is_err(), "{bad}");
        }
    }
}
