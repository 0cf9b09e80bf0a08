//! `glass bench`: its options.

use std::{num::NonZeroUsize, path::PathBuf};

use clap::Args;
use glass_backend::KernelMode;
use glass_bench::{Format, Precision, Shape};
use glass_config::Override;

/// Each row is a model on a device, measured in a process of its own: after a cold round, rounds of all rows in turn. What
/// it computes is compared with float32 on flex; a row that is not right is struck out.
///
/// Exits with 1 if a row was not measured or is not right.
#[derive(Debug, Args)]
pub struct Bench {
    /// A folder with config.json and safetensors, or a hub name (org/name) [default: the built-in model]
    #[arg(value_name = "MODEL", conflicts_with = "preset")]
    pub model: Option<String>,
    /// Branch, tag or commit of a hub model
    #[arg(long, requires = "model")]
    pub revision: Option<String>,
    /// Override a field of config.json, as for `glass generate` (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
    /// A shape with random weights instead of a model: llama-40M, llama-56M-window, smollm2-135M, tinyllama-1.1B,
    /// mistral-window, gemma3-270M, qwen3-0.6B, mixtral-tiny, smollm3-3B; several separated by commas, or repeat it
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub preset: Vec<Shape>,
    /// Devices, as for `glass generate`; several separated by commas, or repeat it [default: every device of this machine]
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    pub device: Vec<String>,
    /// Float types of weights and activations: f32, f16, bf16; or q8, q4: matrices quantized to so many bits and the rest
    /// in f32; several separated by commas
    #[arg(long, value_name = "DTYPE", value_delimiter = ',', default_value = "f32")]
    pub dtype: Vec<Precision>,
    /// fused: this program's own kernels where the device has them; plain: tensor operations, written like their papers;
    /// or both, separated by commas
    #[arg(long, value_name = "KERNELS", value_delimiter = ',', default_value = "fused")]
    pub kernels: Vec<KernelMode>,
    /// Tokens of the prompt; several separated by commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "128,512")]
    pub prompt: Vec<NonZeroUsize>,
    /// Tokens generated after it
    #[arg(long = "gen", value_name = "N", default_value = "64")]
    pub generate: NonZeroUsize,
    /// Tokens in the cache before the prompt; several separated by commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "0")]
    pub depth: Vec<usize>,
    /// Rounds of each row after the cold one
    #[arg(long, value_name = "N", default_value = "5")]
    pub repeat: NonZeroUsize,
    /// Time limit of a row's rounds after the cold one
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub row_seconds: f64,
    /// The row that ratios refer to: a device, dtype or kernels, or several of them separated by commas [default: the first]
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub base: Vec<String>,
    /// table, md, csv or jsonl
    #[arg(long, default_value = "table")]
    pub format: Format,
    /// Instead of rates, show the time of a prefill and of one token op by op
    #[arg(long, conflicts_with_all = ["plot", "base", "row_seconds"])]
    pub ops: bool,
    /// Plot tokens per second as an SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds, from 0 to 1000000".into()),
    }
}
