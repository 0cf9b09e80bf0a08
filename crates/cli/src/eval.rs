//! `glass eval`: how good a model is.

mod needle;
mod perplexity;

use std::{fs, path::Path};

use glass_generate::{Llama, PrefillOptions};
use glass_kv_cache::CacheConfig;

use crate::{
    args::{self, Measure},
    error::CliError,
    options,
};

pub fn run(args: args::Eval) -> Result<(), CliError> {
    match args.measure {
        Measure::Perplexity(args) => perplexity::run(args),
        Measure::Needle(args) => needle::run(args),
    }
}

/// How texts of up to `longest` tokens are read and cached, once for each policy; by the config if none is given.
fn prefills(caches: &args::Caches, llama: &Llama, longest: usize) -> Result<Vec<PrefillOptions>, CliError> {
    let configs = match caches.cache.as_slice() {
        [] => &[CacheConfig::default()],
        configs => configs,
    };
    configs
        .iter()
        .map(|&config| {
            let cache = args::Cache { policy: Some(config), cache_dtype: None, prefill_chunk: caches.prefill_chunk };
            options::prefill(&cache, llama, longest)
        })
        .collect()
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = fs::read(path).map_err(CliError::reading(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        CliError::input(path, format!("not UTF-8 text, from byte {valid} on: convert it"))
    })?;
    if text.is_empty() {
        return Err(CliError::input(path, "an empty file: give one with text"));
    }
    Ok(text)
}
