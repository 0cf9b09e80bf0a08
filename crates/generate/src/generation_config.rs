//! `generation_config.json`: how a model's makers want it to generate.
//!
//! The fields are transformers' (`generation/configuration_utils.py`). Those that would change the generated ids and
//! are not computed here become warnings, as do unknown ones; those that cannot change the ids are passed over. A value
//! that means nothing is an error for whoever uses it, and for nobody else: a file may hold numbers for sampling that nobody
//! looks at.

mod fields;
mod gguf;

use std::path::Path;

use glass_text::read_small_file;
use thiserror::Error;

pub(crate) use gguf::gguf_fields;

use crate::{
    EarlyStopping,
    sampling::{SamplingConfig, SamplingError, SequenceBias},
};

const FILE: &str = "generation_config.json";

/// transformers samples from the 50 most probable tokens when a model's file does not say how many.
const DEFAULT_TOP_K: usize = 50;

/// Why a `generation_config.json` could not be read. Each message is one line.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum GenerationConfigError {
    #[error("{path}: cannot be read ({reason}); check the path and its permissions")]
    Unreadable { path: String, reason: String },
    #[error("{path}: not a JSON object ({reason}); download it again, or remove it to do without")]
    Broken { path: String, reason: String },
    #[error("{path}: {error}")]
    Range { path: String, field: &'static str, error: SamplingError },
    #[error("{path}: {field} = {value}: {rule}")]
    Field { path: String, field: &'static str, value: String, rule: &'static str },
}

impl GenerationConfigError {
    /// The field that is wrong, if not the whole file is.
    fn field(&self) -> Option<&'static str> {
        match self {
            Self::Unreadable { .. } | Self::Broken { .. } => None,
            Self::Range { field, .. } | Self::Field { field, .. } => Some(field),
        }
    }
}

/// The fields that are honoured; `None` (or empty) where the file says nothing or null.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct GenerationConfig {
    /// In the file one id or a list of them.
    pub eos_token_id: Vec<u32>,
    pub bos_token_id: Option<u32>,
    pub pad_token_id: Option<u32>,
    /// Draw tokens by chance instead of greedily.
    pub do_sample: Option<bool>,
    pub temperature: Option<f32>,
    /// 0 is off, as is the -1 of vLLM.
    pub top_k: Option<usize>,
    pub top_p: Option<f32>,
    pub min_p: Option<f32>,
    pub repetition_penalty: Option<f32>,
    pub typical_p: Option<f32>,
    pub no_repeat_ngram_size: Option<usize>,
    /// In the file a list of pairs `[[id, ...], bias]`.
    pub sequence_bias: Vec<SequenceBias>,
    /// Of beam search, where somebody asks for it: see [`super::BeamOptions`].
    pub length_penalty: Option<f64>,
    pub early_stopping: Option<EarlyStopping>,
    /// Most tokens to generate.
    pub max_new_tokens: Option<usize>,
    /// Most tokens, the prompt's included; `max_new_tokens` goes before it.
    pub max_length: Option<usize>,
    /// In the file one string or a list of them.
    pub stop_strings: Vec<String>,
    /// What the file asks for and is not honoured, one line each.
    pub warnings: Vec<String>,
    /// Values that mean nothing, and are as good as none: see [`check`](Self::check).
    pub problems: Vec<GenerationConfigError>,
}

impl GenerationConfig {
    /// Reads `generation_config.json` in a model's folder; a folder without one gives the default.
    ///
    /// # Errors
    /// An unreadable or broken file.
    pub fn from_folder(folder: &Path) -> Result<Self, GenerationConfigError> {
        let path = folder.join(FILE);
        let origin = path.display().to_string();
        match read_small_file(&path) {
            Ok(Some(json)) => Self::from_json(&json, &origin),
            Ok(None) => Ok(Self::default()),
            Err(error) => Err(GenerationConfigError::Unreadable { path: origin, reason: error.to_string() }),
        }
    }

    /// Reads the contents of a `generation_config.json`; `origin` names it in errors and warnings.
    ///
    /// # Errors
    /// As [`Self::from_folder`].
    pub fn from_json(json: &[u8], origin: &str) -> Result<Self, GenerationConfigError> {
        let fields = glass_json::parse_object(json)
            .map_err(|error| GenerationConfigError::Broken { path: origin.to_owned(), reason: error.to_string() })?;
        Ok(fields::read(&fields, origin))
    }

    /// Whether these fields mean something; whoever goes by them asks.
    ///
    /// # Errors
    /// The first of them whose value is of the wrong type or out of its range.
    pub fn check(&self, fields: &[&str]) -> Result<(), GenerationConfigError> {
        let problem = self.problems.iter().find(|problem| problem.field().is_some_and(|field| fields.contains(&field)));
        problem.cloned().map_or(Ok(()), Err)
    }

    /// The end-of-sequence ids: this file's, or where it has none `config_eos`, those of `config.json`.
    pub fn eos_ids(&self, config_eos: &[u32]) -> Vec<u32> {
        if self.eos_token_id.is_empty() { config_eos.to_vec() } else { self.eos_token_id.clone() }
    }

    /// How transformers would sample with this file alone: greedily unless `do_sample`, and then with its defaults
    /// (temperature 1, top-k 50) for what is missing.
    pub fn sampling(&self, seed: u64) -> SamplingConfig {
        let greedy = SamplingConfig {
            repetition_penalty: self.repetition_penalty.unwrap_or(1.0),
            no_repeat_ngram_size: self.no_repeat_ngram_size.unwrap_or(0),
            sequence_bias: self.sequence_bias.clone(),
            seed,
            ..SamplingConfig::default()
        };
        if self.do_sample != Some(true) {
            return greedy;
        }
        SamplingConfig {
            temperature: self.temperature.unwrap_or(1.0),
            top_k: self.top_k.unwrap_or(DEFAULT_TOP_K),
            top_p: self.top_p.unwrap_or(1.0),
            min_p: self.min_p.unwrap_or(0.0),
            typical_p: self.typical_p.unwrap_or(1.0),
            ..greedy
        }
    }
}
