//! `glass bench`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::{Args, ValueHint};
use glass_backend::{KernelMode, KvDtype};
use glass_bench::{Format, Precision, Shape};
use glass_config::Override;

use super::{COMPUTING, MODEL, OUTPUT, Overwrite, from_0, from_1};

const MEASURE: &str = "Measure";

/// Each row is a model on a device, measured in a process of its own: after a cold round, rounds of all rows in turn. What
/// it computes is compared with float32 on flex; a row that is not right is struck out.
///
/// Exits with 1 if a row was not measured or is not right.
#[derive(Debug, Args)]
pub struct Bench {
    /// A folder with config.json and safetensors, a GGUF file, or a hub name (org/name) [default: the built-in model]
    #[arg(value_name = "MODEL", value_hint = ValueHint::DirPath, conflicts_with = "preset")]
    pub model: Option<String>,
    /// Branch, tag or commit of a hub model
    #[arg(help_heading = MODEL, hide_short_help = true, long, requires = "model")]
    pub revision: Option<String>,
    /// Override a field of config.json, as for `glass generate` (repeatable)
    #[arg(help_heading = MODEL, hide_short_help = true, long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
    /// A shape with random weights instead of a model
    ///
    /// llama-40M, llama-56M-window, smollm2-135M, tinyllama-1.1B, mistral-window, gemma3-270M, qwen3-0.6B, mixtral-tiny,
    /// smollm3-3B; several separated by commas, or repeat it.
    #[arg(help_heading = MODEL, long, value_name = "NAME", value_delimiter = ',')]
    pub preset: Vec<Shape>,
    /// Devices, separated by commas [default: every device of this machine]
    ///
    /// As for `glass generate`. The option may also be repeated.
    #[arg(help_heading = COMPUTING, long, value_name = "DEVICE", value_delimiter = ',')]
    pub device: Vec<String>,
    /// Types: f32, f16, bf16, q8, q4; several separated by commas [default: as the model is stored, f32 for a preset]
    ///
    /// f32, f16 and bf16 are float types of weights and activations; with q8 and q4, matrices are quantized to so many bits
    /// and the rest is in f32.
    #[arg(help_heading = COMPUTING, long, value_name = "DTYPE", value_delimiter = ',')]
    pub dtype: Vec<Precision>,
    /// fused, plain or both, separated by commas
    ///
    /// fused takes the kernels of this program where the device has them; plain computes in tensor operations, written like
    /// their papers.
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "KERNELS", value_delimiter = ',', default_value = "fused")]
    pub kernels: Vec<KernelMode>,
    /// What keys and values are kept in, as for `glass generate`
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "TYPE")]
    pub cache_dtype: Option<KvDtype>,
    /// Tokens of the prompt; several separated by commas
    #[arg(help_heading = MEASURE, long, value_name = "N,N", value_delimiter = ',', default_value = "128,512", value_parser = from_1)]
    pub prompt: Vec<NonZeroUsize>,
    /// Tokens generated after it
    #[arg(help_heading = MEASURE, long = "gen", value_name = "N", default_value = "64", value_parser = from_1)]
    pub generate: NonZeroUsize,
    /// Tokens in the cache before the prompt; several separated by commas
    #[arg(help_heading = MEASURE, long, value_name = "N,N", value_delimiter = ',', default_value = "0", value_parser = from_0::<usize>)]
    pub depth: Vec<usize>,
    /// Rounds of each row after the cold one
    #[arg(help_heading = MEASURE, long, value_name = "N", default_value = "5", value_parser = from_1)]
    pub repeat: NonZeroUsize,
    /// Time limit of a row's rounds after the cold one
    #[arg(help_heading = MEASURE, hide_short_help = true, long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub row_seconds: f64,
    /// The row that ratios refer to [default: the first]
    ///
    /// A device, dtype or kernels, or several of them separated by commas.
    #[arg(help_heading = OUTPUT, hide_short_help = true, long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub base: Vec<String>,
    /// Measure without comparing the results with float32 on flex
    #[arg(help_heading = MEASURE, long)]
    pub no_check: bool,
    /// table, md, csv or jsonl
    #[arg(help_heading = OUTPUT, long, default_value = "table")]
    pub format: Format,
    /// Instead of rates, show the time of a prefill and of one token op by op
    #[arg(help_heading = MEASURE, long, conflicts_with_all = ["plot", "base", "row_seconds", "no_check"])]
    pub ops: bool,
    /// Plot tokens per second as an SVG file
    #[arg(help_heading = OUTPUT, long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: Overwrite,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds, from 0 to 1000000".into()),
    }
}
