//! `glass serve`: its options.

use std::{num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::Args;
use glass_checkpoint::{BadSize, ShardSize};
use glass_kv_cache::{CacheConfig, KvDtype};

use super::{AnyModel, COMPUTING, Compute, Variables, from_0, from_1, parse_variables};

const ADDRESS: &str = "Address";
const TRUST: &str = "Who may ask";
const MANY: &str = "Many at once";

#[derive(Debug, Args)]
pub struct Serve {
    #[command(flatten)]
    pub model: AnyModel,
    /// The address to listen at
    ///
    /// One that other machines reach, as 0.0.0.0, needs a key (--api-key-file, GLASS_API_KEY) or --insecure.
    #[arg(help_heading = ADDRESS, long, value_name = "HOST", default_value = "127.0.0.1")]
    pub host: String,
    /// The port; 0 takes any that is free
    #[arg(help_heading = ADDRESS, long, value_name = "PORT", default_value = "8080", value_parser = from_0::<u16>)]
    pub port: u16,
    /// Another name by which clients may ask for the model (repeatable)
    #[arg(help_heading = ADDRESS, long, value_name = "NAME")]
    pub alias: Vec<String>,
    /// A file of keys, one on each line: every request must bring one
    ///
    /// A key in the variable GLASS_API_KEY does the same. There is no option with a key in it: everybody on this machine sees
    /// command lines.
    #[arg(help_heading = TRUST, long, value_name = "FILE")]
    pub api_key_file: Option<PathBuf>,
    /// Listen where other machines reach it without asking for a key
    #[arg(help_heading = TRUST, long)]
    pub insecure: bool,
    /// A web page whose scripts may ask, as https://example.org (repeatable)
    ///
    /// Pages of this machine may anyway. * lets all pages ask.
    #[arg(help_heading = TRUST, long, value_name = "ORIGIN")]
    pub cors: Vec<String>,
    #[command(flatten)]
    pub compute: Compute,
    /// Keys and values that a layer keeps, as for `glass generate`
    #[arg(help_heading = COMPUTING, hide_short_help = true, long = "cache", value_name = "POLICY")]
    pub policy: Option<CacheConfig>,
    /// What keys and values are kept in, as for `glass generate`
    #[arg(help_heading = COMPUTING, hide_short_help = true, long, value_name = "TYPE")]
    pub cache_dtype: Option<KvDtype>,
    /// Texts that are written at once
    #[arg(help_heading = MANY, long, value_name = "N", default_value = "16", value_parser = from_1)]
    pub parallel: NonZeroUsize,
    /// Requests that wait for a place; one more is refused
    #[arg(help_heading = MANY, long, value_name = "N", default_value = "256", value_parser = from_0::<usize>)]
    pub queue: usize,
    /// Tokens of a text with its prompt, at most [default: the model's context]
    #[arg(help_heading = MANY, long, value_name = "N", value_parser = from_1)]
    pub context: Option<NonZeroUsize>,
    /// Tokens of prompts that a step reads, at most
    ///
    /// Fewer keep the texts that are being written more even, and read more of what prompts begin with alike only once.
    #[arg(help_heading = MANY, hide_short_help = true, long, value_name = "N", default_value = "128", value_parser = from_1)]
    pub step_tokens: NonZeroUsize,
    /// Memory for the keys and values of texts [default: what --parallel texts of --context tokens take, as far as it is free]
    ///
    /// A number with MB, GB, MiB or GiB. A request waits until its own surely fit. By default it is four fifths of the memory
    /// that is free when the model is loaded, if the texts may take more; on a GPU, which does not tell, what they take.
    #[arg(help_heading = MANY, hide_short_help = true, long, value_name = "SIZE", value_parser = bytes)]
    pub memory: Option<u64>,
    /// Memory for beginnings of prompts that may come again; 0: none
    #[arg(help_heading = MANY, long, value_name = "SIZE", default_value = "1GiB", value_parser = bytes)]
    pub cache_memory: u64,
    /// Seconds that running requests have to end, after Ctrl-C or SIGTERM
    #[arg(help_heading = MANY, long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    pub grace: Duration,
    /// A Jinja template, in place of the one in the model's folder
    #[arg(help_heading = "Chats", hide_short_help = true, long, value_name = "FILE")]
    pub chat_template: Option<PathBuf>,
    /// Whether what a model thinks is told apart from its answer: auto, or none
    ///
    /// auto tells it as reasoning_content (in /v1/messages as blocks of thinking, in /v1/responses as items of reasoning). With
    /// none it stays in the text, with the marks around it, as <think>.
    #[arg(help_heading = "Chats", hide_short_help = true, long, value_name = "auto|none", default_value = "auto")]
    pub reasoning_format: ReasoningFormat,
    /// Variables for the chat template, as a JSON object: {"enable_thinking": false}
    #[arg(help_heading = "Chats", hide_short_help = true, long, value_name = "JSON", value_parser = parse_variables)]
    pub chat_template_kwargs: Option<Variables>,
}

/// What becomes of a model's thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum ReasoningFormat {
    Auto,
    None,
}

/// A size as of shards, or nothing.
fn bytes(text: &str) -> Result<u64, BadSize> {
    if text.trim() == "0" { Ok(0) } else { text.parse().map(ShardSize::bytes) }
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds = text.trim().parse().ok().filter(|seconds: &f64| (0.0..=86_400.0).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| "give seconds from 0 to 86400".to_owned())
}
