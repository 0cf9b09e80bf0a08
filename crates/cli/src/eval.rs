//! `glass eval`: how good a model is.

mod needle;
mod perplexity;

use std::{fs, path::Path};

use glass_attention::CachePlan;
use glass_generate::{Llama, Memory};

use crate::{
    args::{self, Measure},
    error::CliError,
    load,
};

pub fn run(args: args::Eval) -> Result<(), CliError> {
    match args.measure {
        Measure::Perplexity(args) => perplexity::run(args),
        Measure::Needle(args) => needle::run(args),
    }
}

/// How texts of up to `longest` tokens are read and remembered: once as the config asks for it, if no plan is given.
fn memories(caches: &args::Caches, llama: &Llama, longest: usize) -> Result<Vec<Memory>, CliError> {
    let plans = match caches.cache.as_slice() {
        [] => &[CachePlan::default()],
        plans => plans,
    };
    plans
        .iter()
        .map(|&plan| load::memory(plan, caches.prefill_chunk, llama, longest))
        .collect()
}

fn read_text(path: &Path) -> Result<String, CliError> {
    let bytes = fs::read(path).map_err(|source| CliError::Read {
        path: path.to_owned(),
        source,
    })?;
    let refuse = |reason| CliError::Input {
        path: path.to_owned(),
        reason,
    };
    let text = String::from_utf8(bytes).map_err(|error| {
        refuse(format!(
            "not UTF-8 text, from byte {} on: convert it",
            error.utf8_error().valid_up_to()
        ))
    })?;
    match text.is_empty() {
        true => Err(refuse("an empty file: give one with text".into())),
        false => Ok(text),
    }
}
