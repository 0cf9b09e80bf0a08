//! The keys of one architecture, each read by its type, and what becomes of the others.

use std::collections::BTreeSet;

use glass_gguf::{Array, GgufError, Metadata, Value};

use crate::error::ConfigError;
use crate::fields::IgnoredField;

type Read<T> = Result<T, ConfigError>;

/// Keys beside those of the architecture, which are no matter of the config: who made the file, its tokenizer and its sampling
/// (whose readers are others), how it was made.
const ELSEWHERE: [&str; 8] =
    ["general.", "tokenizer.", "split.", "quantize.", "imatrix.", "mergekit.", "adapter.", "prompt."];

/// Keys of an architecture that say nothing of what is computed.
const HARMLESS: [(&str, &str); 3] = [
    ("rope.scaling.finetuned", "it only says how the model was trained"),
    ("tensor_data_layout", "the architecture says how the rows lie"),
    ("vocab_size", "the embedding says how many tokens there are"),
];

pub(crate) struct Keys<'a> {
    metadata: &'a Metadata,
    architecture: &'a str,
    /// Whole names of the keys that were asked for.
    read: BTreeSet<String>,
}

impl<'a> Keys<'a> {
    pub fn new(metadata: &'a Metadata, architecture: &'a str) -> Self {
        Self { metadata, architecture, read: BTreeSet::new() }
    }

    pub fn usize(&mut self, key: &str) -> Read<Option<usize>> {
        let name = self.name(key);
        self.metadata.usize(&name).map_err(|error| self.error(&error))
    }

    /// A key that must be there.
    pub fn size(&mut self, key: &str) -> Read<usize> {
        let read = self.usize(key)?;
        read.ok_or_else(|| self.missing(key))
    }

    /// A number that may be said once for all layers or once for each, if it is the same for all.
    pub fn size_of_layers(&mut self, key: &str) -> Read<Option<usize>> {
        let name = self.name(key);
        if !matches!(self.metadata.get(&name), Some(Value::Array(_))) {
            return self.usize(key);
        }
        let each = self.metadata.u64s(&name).map_err(|error| self.error(&error))?.unwrap_or_default();
        match each.first() {
            Some(first) if each.iter().all(|n| n == first) => Ok(usize::try_from(*first).ok()),
            _ => Err(self.refused(key, "layers that differ in it are not supported")),
        }
    }

    /// A float. Files have them in 32 bits: the shortest decimal that these stand for is the one that was meant.
    pub fn float(&mut self, key: &str) -> Read<Option<f64>> {
        let name = self.name(key);
        let wide = self.metadata.f64(&name).map_err(|error| self.error(&error))?;
        Ok(wide.map(|wide| (wide as f32).to_string().parse().unwrap_or(wide)))
    }

    /// A float that must be there.
    pub fn needed_float(&mut self, key: &str) -> Read<f64> {
        let read = self.float(key)?;
        read.ok_or_else(|| self.missing(key))
    }

    pub fn bool(&mut self, key: &str) -> Read<Option<bool>> {
        let name = self.name(key);
        self.metadata.bool(&name).map_err(|error| self.error(&error))
    }

    pub fn string(&mut self, key: &str) -> Read<Option<&'a str>> {
        let name = self.name(key);
        self.metadata.string(&name).map_err(|error| self.error(&error))
    }

    /// Which of `layers` layers slide: said of each, or as a period of which the last does not.
    pub fn pattern(&mut self, key: &str, layers: usize, absent: usize) -> Read<Vec<bool>> {
        let name = self.name(key);
        let every = |period: usize| (0..layers).map(|i| period == 0 || !(i + 1).is_multiple_of(period)).collect();
        let each = match self.metadata.get(&name) {
            None => return Ok(every(absent)),
            Some(Value::Array(Array::Bool(each))) => each.clone(),
            Some(Value::Array(array)) => {
                array.as_u64s().unwrap_or_default().into_iter().map(|slides| slides != 0).collect()
            }
            Some(_) => return Ok(every(self.size(key)?)),
        };
        match each.len() == layers {
            true => Ok(each),
            false => Err(self.refused(key, "a truth value for each layer, or a period, belongs there")),
        }
    }

    /// An id of the tokenizer.
    pub fn token(&self, name: &str) -> Read<Option<u64>> {
        self.metadata.u64(&format!("tokenizer.ggml.{name}_token_id")).map_err(|error| self.error(&error))
    }

    /// The error of a key whose value is not supported.
    pub fn refused(&self, key: &str, why: &str) -> ConfigError {
        let name = format!("{}.{key}", self.architecture);
        let value = self.metadata.get(&name).map_or("absent".to_owned(), ToString::to_string);
        self.problem(format!("{name} = {value} is not supported: {why}"))
    }

    pub fn problem(&self, problem: impl ToString) -> ConfigError {
        ConfigError::new(self.metadata.origin().display().to_string(), problem)
    }

    /// The keys that were not asked for: those that may change something, and those that do not.
    pub fn rest(&self) -> (Vec<IgnoredField>, Vec<IgnoredField>) {
        let (mut unknown, mut harmless) = (Vec::new(), Vec::new());
        for (name, value) in self.metadata.iter().filter(|(name, _)| !self.read.contains(*name)) {
            let own = name.strip_prefix(self.architecture).and_then(|key| key.strip_prefix('.'));
            let known = HARMLESS.iter().find(|(key, _)| own == Some(*key));
            let note =
                |why: &str| IgnoredField { name: name.to_owned(), value: value.to_string(), why: why.to_owned() };
            match known {
                Some((_, why)) => harmless.push(note(why)),
                None if ELSEWHERE.iter().any(|prefix| name.starts_with(prefix)) => {}
                None => unknown.push(note(&format!("{} has no such key here", self.architecture))),
            }
        }
        (unknown, harmless)
    }

    fn name(&mut self, key: &str) -> String {
        let name = format!("{}.{key}", self.architecture);
        self.read.insert(name.clone());
        name
    }

    fn missing(&self, key: &str) -> ConfigError {
        self.error(&self.metadata.missing(&format!("{}.{key}", self.architecture)))
    }

    /// The file stands before every config error anyway.
    fn error(&self, error: &GgufError) -> ConfigError {
        let (text, file) = (error.to_string(), format!("{}: ", self.metadata.origin().display()));
        self.problem(text.strip_prefix(&file).unwrap_or(&text))
    }
}
