//! `glass eval`: how good a model is.

mod needle;
mod perplexity;

use std::{fs, path::Path};

use glass_attention::CachePlan;
use glass_generate::{Llama, Memory};

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
fn memories(caches: &args::Caches, llama: &Llama, longest: usize) -> Result<Vec<Memory>, CliError> {
    let plans = match caches.cache.as_slice() {
        [] => &[CachePlan::default()],
        plans => plans,
    };
    plans
        .iter()
        .map(|&plan| {
            let cache = args::Cache {
                policy: Some(plan),
                prefill_chunk: caches.prefill_chunk,
            };
            options::memory(&cache, llama, longest)
        })
        .collect()
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = fs::read(path).map_err(CliError::reading(path))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        CliError::input(
            path,
            format!("not UTF-8 text, from byte {valid} on: convert it"),
        )
    })?;
    if text.is_empty() {
        return Err(CliError::input(path, "an empty file: give one with text"));
    }
    Ok(text)
}
