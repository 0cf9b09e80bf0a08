//! The command line.

mod batch;
mod bench;
mod chat;
mod eval;
mod examples;
mod generate;
mod groups;
mod other_command;
mod parse;
mod sampling;
mod search;
mod serve;
mod tokenize;
pub mod train;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use glass_backend::{Dtype, KvDtype, quant::QuantFormat};
use glass_checkpoint::{GgufFormat, Precision, ShardSize};

use crate::version;
pub use batch::Batch;
pub use bench::Bench;
use chat::parse_variables;
pub use chat::{Chat, Variables};
pub use eval::{Caches, Eval, Measure, Mode, Needle, Perplexity};
pub use examples::examples_of;
pub use generate::Generate;
pub use groups::{AnyModel, Cache, Compute, Decoding, Ids, Length, Model, Overwrite, Prompt, Source, no_token_id};
use groups::{
    COMPUTING, MODEL, OUTPUT, Renamed, TEXT, from_0, from_1, number, parse_bits, parse_float, parse_gguf_format,
    parse_id, parse_ids, parse_quantized,
};
pub use parse::{BENCH_SUBJECT, unset_empty_variables};
pub use sampling::{Rules, Sampling};
pub use search::Search;
pub use serve::{ReasoningFormat, Serve};
pub use tokenize::Tokenize;
pub use train::Train;

/// A Llama you can see through: runs some forty families of models, in the Hugging Face layout or as GGUF files.
///
/// Without a command it runs the small model that is built in.
#[derive(Debug, Parser)]
#[command(name = "glass", version, long_version = version::long(), max_term_width = 110)]
pub struct Glass {
    /// Print no progress and no notes: the result, warnings and errors alone
    #[arg(short, long, global = true)]
    pub quiet: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Continue a text, streamed to standard output
    Generate(Generate),
    /// Continue every prompt of a file, several at a time
    Batch(Batch),
    /// Find the most probable continuations of a text: beam search, or all of them
    Search(Search),
    /// Talk with a model
    Chat(Chat),
    /// Answer programs and people over HTTP, many at once, through the API of OpenAI
    Serve(Serve),
    /// Show the tokens of a text
    Tokenize(Tokenize),
    /// Write the logits of every position, and what led to them, to a safetensors file
    Logits(Logits),
    /// Describe a model: architecture, parameters, memory
    Info(Info),
    /// Convert a model to another float type or to files of another size
    Convert(Convert),
    /// Quantize the matrices of a model to 8 or 4 bits, or write it as a GGUF file
    Quantize(Quantize),
    /// Train a model on a text
    Train(Train),
    /// Evaluate a model
    Eval(Eval),
    /// Measure how fast a model is on each device, and whether it is right there
    Bench(Bench),
    /// List the devices of this machine
    Devices,
    /// Print a script that completes commands and options in a shell
    Completions(Completions),
    /// Print a manual page, or write all of them to a folder
    Man(Man),
    /// Measure what `glass bench` asks for on standard input
    #[command(skip)]
    BenchSubject,
}

#[derive(Debug, Args)]
pub struct Logits {
    #[command(flatten)]
    pub model: Model,
    #[command(flatten)]
    pub input: Input,
    #[command(flatten)]
    pub compute: Compute,
    /// Also write hidden states, attention probabilities, and states, decays and gates of recurrent layers
    ///
    /// hidden.embed, hidden.layer.{i} and hidden.norm; attn.{i}; recurrence.{i}.state, recurrence.{i}.decay and others.
    #[arg(help_heading = OUTPUT, long, value_delimiter = ',', value_name = "hidden,attention,recurrence")]
    pub capture: Vec<Capture>,
    /// The safetensors file to write; - for standard output
    #[arg(help_heading = OUTPUT, short, long, value_name = "FILE")]
    pub output: PathBuf,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Capture {
    Hidden,
    Attention,
    Recurrence,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
#[command(next_help_heading = "Prompt")]
pub struct Input {
    /// Token ids, separated by commas
    #[arg(long, value_name = "1,2,3", value_parser = parse_ids)]
    pub ids: Option<Ids>,
    /// A JSON file of token ids, several texts at a time
    ///
    /// {"input_ids": [[...]], "attention_mask": [[...]]}; the mask is optional.
    #[arg(long, value_name = "FILE")]
    pub ids_file: Option<PathBuf>,
    /// A text for the model's tokenizer
    #[arg(short = 'p', long = "prompt", value_name = "TEXT")]
    pub text: Option<String>,
}

#[derive(Debug, Args)]
pub struct Info {
    #[command(flatten)]
    pub model: Model,
    /// What to count weights in, and caches by it, as for `glass generate` [default: as the model is stored]
    #[arg(help_heading = OUTPUT, long, value_name = "f32|f16|bf16|q8|q4")]
    pub dtype: Option<Precision>,
    /// What keys and values are counted in: f32, f16, bf16 or q8 [default: as for `glass generate`]
    #[arg(help_heading = OUTPUT, long, value_name = "TYPE")]
    pub cache_dtype: Option<KvDtype>,
    /// List every tensor
    #[arg(help_heading = OUTPUT, long)]
    pub tensors: bool,
    /// Print one JSON object
    #[arg(help_heading = OUTPUT, long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Convert {
    #[command(flatten)]
    pub source: Source,
    /// The folder to write, new or empty
    #[arg(help_heading = OUTPUT, short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// Float type to store all tensors in: f32, f16 or bf16 [default: each keeps its own]
    #[arg(help_heading = OUTPUT, long, value_name = "f32|f16|bf16", value_parser = parse_float)]
    pub dtype: Option<Dtype>,
    /// Bytes of one file's tensors at most
    ///
    /// A number with kB, MB, GB, TB (thousands) or KiB, MiB, GiB, TiB (1024).
    #[arg(help_heading = OUTPUT, long, value_name = "SIZE", default_value = "5GB")]
    pub max_shard_size: ShardSize,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

#[derive(Debug, Args)]
#[command(mut_arg("model", |model| model.help("A folder with config.json and safetensors, or a hub name (org/name)")))]
pub struct Quantize {
    #[command(flatten)]
    pub source: Source,
    /// What the projections become: q8 or q4, whole numbers of 8 or 4 bits
    ///
    /// The head always gets 8, and an embedding that is not the head stays as it is.
    #[arg(help_heading = OUTPUT, long, value_name = "q8|q4", value_parser = parse_quantized)]
    #[arg(required_unless_present = "format")]
    pub dtype: Option<QuantFormat>,
    /// For a GGUF file: q4_k_m, q5_k_m, q6_k, q8_0, q4_0, iq4_xs, f16, bf16 or f32
    ///
    /// The words are llama.cpp's, and so is the choice of types: in q4_k_m most matrices are Q4_K, and those whose errors
    /// cost most are Q6_K. f16, bf16 and f32 quantize nothing.
    #[arg(help_heading = OUTPUT, long, value_name = "FORMAT", value_parser = parse_gguf_format, conflicts_with = "dtype")]
    pub format: Option<GgufFormat>,
    #[arg(long, hide = true, value_parser = parse_bits)]
    pub bits: Option<Renamed>,
    /// The folder to write, new or empty; or with --format a file whose name ends in .gguf
    #[arg(help_heading = OUTPUT, short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// Bytes of one file's tensors at most, as for `glass convert`
    #[arg(help_heading = OUTPUT, hide_short_help = true, long, value_name = "SIZE", default_value = "5GB")]
    #[arg(conflicts_with = "format")]
    pub max_shard_size: ShardSize,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

#[derive(Debug, Args)]
pub struct Completions {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Args)]
pub struct Man {
    /// The command that the page is about [default: glass itself]
    #[arg(value_name = "COMMAND")]
    pub command: Vec<String>,
    /// A folder to write the pages of all commands to
    #[arg(help_heading = OUTPUT, short, long, value_name = "DIR", conflicts_with = "command")]
    pub output: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
}
