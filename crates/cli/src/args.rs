//! What a person types.

mod batch;
mod bench;
mod chat;
mod eval;
mod sampling;
mod search;
mod train;

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, Parser, Subcommand};
use glass_attention::CachePlan;
use glass_backend::{Dtype, Kernels, codes::Bits};
use glass_checkpoint::ShardSize;
use glass_config::Override;

pub use batch::Batch;
pub use bench::Bench;
pub use chat::Chat;
pub use eval::{Caches, Eval, Measure, Mode, Needle, Perplexity};
pub use sampling::Sampling;
pub use search::Search;
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
    /// Write a model again, with its matrices in 8 or 4 bits
    Quantize(Quantize),
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
    /// Make the projections into 8 or 4 bits while loading, and the head into 8 (`glass quantize` saves such a model)
    #[arg(long, value_name = "8|4", value_parser = parse_bits)]
    pub quantize: Option<Bits>,
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
    #[command(flatten)]
    pub search: Search,
    #[command(flatten)]
    pub batch: Batch,
    /// Go on after an end-of-sequence token
    #[arg(long)]
    pub ignore_eos: bool,
    /// Stop before this text (repeatable)
    #[arg(long, value_name = "TEXT")]
    pub stop: Vec<String>,
    /// Tell the natural log-probability of every new token, and of the N most probable ones at its place, under the model's
    /// own distribution: as a table behind the text, or with --json
    #[arg(long, value_name = "N")]
    pub logprobs: Option<usize>,
    /// Guess up to N tokens from what followed the last ones when they occurred before, and check them in one pass: faster
    /// where a text repeats itself, and the same text
    #[arg(long, value_name = "N", value_parser = parse_draft)]
    pub prompt_lookup: Option<NonZeroUsize>,
    /// Write one JSON value that satisfies the JSON Schema in FILE, without space between its parts
    #[arg(long, value_name = "FILE")]
    pub json_schema: Option<PathBuf>,
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

#[derive(Debug, Args)]
pub struct Quantize {
    #[command(flatten)]
    pub source: Source,
    /// Of the projections; the head has 8 always, and an embedding that is not the head stays as it is
    #[arg(long, value_name = "8|4", value_parser = parse_bits)]
    pub bits: Bits,
    /// The folder to write, which must be new or empty
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Most bytes of tensors in one file, as for `glass convert`
    #[arg(long, value_name = "SIZE", default_value = "5GB")]
    pub max_shard_size: ShardSize,
}

fn parse_bits(text: &str) -> Result<Bits, String> {
    match text {
        "8" => Ok(Bits::Eight),
        "4" => Ok(Bits::Four),
        _ => Err("give 8 or 4".to_owned()),
    }
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

/// More would cost more passes' work than any text repeats.
const LONGEST_DRAFT: usize = 1024;

fn parse_draft(text: &str) -> Result<NonZeroUsize, String> {
    match text.parse::<NonZeroUsize>() {
        Ok(tokens) if tokens.get() <= LONGEST_DRAFT => Ok(tokens),
        _ => Err(format!("not a whole number from 1 to {LONGEST_DRAFT}")),
    }
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
