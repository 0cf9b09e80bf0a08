//! `glass bench`: what a person types.

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
    /// Replace a field of config.json, as for `glass generate` (repeatable)
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub overrides: Vec<Override>,
    /// A shape with random weights made on the fly instead of a model: llama-40M, llama-56M-window, smollm2-135M,
    /// tinyllama-1.1B, mistral-window; repeated, or several behind commas, one after the other
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub preset: Vec<Shape>,
    /// Where to compute, as for `glass generate`; repeatable [default: every device that is there]
    #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
    pub device: Vec<String>,
    /// Float types of weights and products: f32, f16, bf16; or q8, q4: matrices of so many bits and the rest in f32; several
    /// behind commas
    #[arg(
        long,
        value_name = "DTYPE",
        value_delimiter = ',',
        default_value = "f32"
    )]
    pub dtype: Vec<Precision>,
    /// fused: this program's own kernels where the device has them; plain: tensor operations, written like their papers;
    /// or both behind commas
    #[arg(
        long,
        value_name = "KERNELS",
        value_delimiter = ',',
        default_value = "fused"
    )]
    pub kernels: Vec<KernelMode>,
    /// Tokens that are read at once; several behind commas
    #[arg(
        long,
        value_name = "N,N",
        value_delimiter = ',',
        default_value = "128,512"
    )]
    pub prompt: Vec<NonZeroUsize>,
    /// Tokens that are written after them
    #[arg(long = "gen", value_name = "N", default_value = "64")]
    pub generate: NonZeroUsize,
    /// Tokens that are there before the prompt; several behind commas
    #[arg(long, value_name = "N,N", value_delimiter = ',', default_value = "0")]
    pub depth: Vec<usize>,
    /// Rounds of each row after the cold one
    #[arg(long, value_name = "N", default_value = "5")]
    pub repeat: NonZeroUsize,
    /// A row has no further round once those after the cold one have taken so long together
    #[arg(long, value_name = "SECONDS", default_value = "15", value_parser = seconds)]
    pub row_seconds: f64,
    /// The row that ratios are to: a device, dtype or kernels, or several of them behind commas [default: the first]
    #[arg(long, value_name = "WORD,WORD", value_delimiter = ',')]
    pub base: Vec<String>,
    /// table, md, csv or jsonl
    #[arg(long, default_value = "table")]
    pub format: Format,
    /// Instead of rates, where the time of a prefill and of one token goes, op by op
    #[arg(long, conflicts_with_all = ["plot", "base", "row_seconds"])]
    pub ops: bool,
    /// Draw tokens per second as bars into an SVG file
    #[arg(long, value_name = "FILE")]
    pub plot: Option<PathBuf>,
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.trim().parse::<f64>() {
        Ok(seconds) if (0.0..=1e6).contains(&seconds) => Ok(seconds),
        _ => Err("give a number of seconds, from 0 to 1000000".into()),
    }
}
