//! What the command line says.

use std::{fmt, num::NonZero, path::PathBuf};

use clap::{Parser, ValueEnum};

/// Measure glass beside other engines on the same checkpoint: speed, memory, and whether they choose the same tokens.
#[derive(Debug, Parser)]
#[command(name = "peers", version)]
pub struct Args {
    /// A folder with config.json and safetensors, of a Llama or a Mistral; or a GGUF file, which is compared with llama.cpp.
    pub folder: PathBuf,

    /// llama.cpp's llama-bench, for a GGUF file.
    #[arg(long, value_name = "FILE")]
    pub llama_bench: Option<PathBuf>,

    /// The program of this project.
    #[arg(long, value_name = "FILE", default_value = "target/release/glass")]
    pub glass: PathBuf,

    /// Float types of weights and products; every engine has a row for each.
    #[arg(long, value_delimiter = ',', default_value = "f32,bf16")]
    pub dtype: Vec<Dtype>,

    /// Tokens of the prompt.
    #[arg(long, value_name = "N", default_value_t = 512, value_parser = at_least_one)]
    pub prompt: usize,

    /// Tokens to generate, at least 2: the first one costs no pass of its own.
    #[arg(long = "gen", value_name = "N", default_value_t = 64, value_parser = at_least_two)]
    pub generate: usize,

    /// How often every engine runs, in turn with the others.
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = at_least_one)]
    pub rounds: usize,

    /// Threads of every engine [default: all the system gives].
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZero<usize>>,

    /// A Python with torch and transformers: measure those too.
    #[arg(long, value_name = "FILE")]
    pub python: Option<PathBuf>,

    /// Be the process that runs candle for one round.
    #[arg(long, hide = true, requires = "ids")]
    pub worker: bool,

    /// The prompt itself.
    #[arg(long, hide = true, value_delimiter = ',')]
    pub ids: Option<Vec<u32>>,
}

impl Args {
    pub fn threads(&self) -> usize {
        self.threads
            .or_else(|| std::thread::available_parallelism().ok())
            .map_or(1, NonZero::get)
    }

    /// What all rows have in common.
    pub fn heading(&self) -> String {
        let folder = self
            .folder
            .canonicalize()
            .unwrap_or_else(|_| self.folder.clone());
        let name = folder.file_name().unwrap_or(folder.as_os_str()).display();
        let (prompt, new) = (self.prompt, self.generate);
        let (rounds, threads) = (self.rounds, self.threads());
        format!(
            "{name}: {new} tokens after a prompt of {prompt}, greedily; {rounds} rounds in turn; {threads} threads"
        )
    }
}

/// Float type of weights and products, by the names `glass --dtype` knows.
#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub enum Dtype {
    F32,
    F16,
    Bf16,
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::Bf16 => "bf16",
        })
    }
}

/// What one process computes: a prompt, and greedily so many tokens after it.
#[derive(Clone, Debug)]
pub struct Task {
    pub folder: PathBuf,
    pub ids: Vec<u32>,
    pub generate: usize,
    pub threads: usize,
    pub dtype: Dtype,
}

impl Task {
    /// The prompt as it stands on a command line.
    pub fn ids_text(&self) -> String {
        let ids: Vec<String> = self.ids.iter().map(u32::to_string).collect();
        ids.join(",")
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    at_least(1, text)
}

fn at_least_two(text: &str) -> Result<usize, String> {
    at_least(2, text)
}

fn at_least(least: usize, text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number >= least => Ok(number),
        _ => Err(format!("a whole number, {least} or more, is wanted")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Args::try_parse_from([&["peers", "folder"], words].concat())
    }

    #[test]
    fn lists_are_split_at_commas() {
        let args = parse(&["--dtype", "bf16,f32", "--gen", "2"]).unwrap();
        assert_eq!(args.dtype, [Dtype::Bf16, Dtype::F32]);
        assert_eq!(args.generate, 2);
        assert_eq!(
            parse(&[]).unwrap().dtype,
            [Dtype::F32, Dtype::Bf16],
            "the default is a list too"
        );
    }

    #[test]
    fn what_cannot_be_measured_is_refused() {
        for words in [
            ["--prompt", "0"],
            ["--gen", "1"],
            ["--rounds", "0"],
            ["--threads", "0"],
        ] {
            assert!(parse(&words).is_err(), "{words:?}");
        }
        assert!(parse(&["--dtype", "int8"]).is_err());
        assert!(parse(&["--worker"]).is_err(), "a worker needs its ids");
    }

    #[test]
    fn dtypes_are_printed_as_they_are_read() {
        for dtype in Dtype::value_variants() {
            assert_eq!(Dtype::from_str(&dtype.to_string(), false), Ok(*dtype));
        }
    }
}
