//! The text: what is learned from, and what is kept back to measure with.

use std::{fs, io::ErrorKind, path::Path};

use serde::{Deserialize, Serialize};

use crate::{Recipe, TrainError, init::fnv};

/// A text, cut in two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    whole: String,
    /// Byte at which the held-out part begins.
    cut: usize,
}

/// What a text is known by: a run that goes on must go on with the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextMark {
    pub bytes: usize,
    /// FNV-1a, 64 bits.
    pub fnv: String,
}

impl Text {
    /// Reads a UTF-8 file, whose last `held_out` (a share of its bytes) is kept back.
    ///
    /// # Errors
    /// It cannot be read, is not UTF-8, or is empty.
    pub fn read(path: &Path, held_out: f64) -> Result<Self, TrainError> {
        let failed = |reason: String| TrainError::Text {
            path: path.to_owned(),
            reason,
        };
        let bytes = fs::read(path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => failed("does not exist".into()),
            ErrorKind::IsADirectory => failed("is a folder: give one text file".into()),
            _ => failed(format!("cannot be read ({error})")),
        })?;
        let whole = String::from_utf8(bytes).map_err(|error| {
            let at = error.utf8_error().valid_up_to();
            failed(format!(
                "is not UTF-8 at byte {at}: convert it to UTF-8 first"
            ))
        })?;
        if whole.is_empty() {
            return Err(failed("is empty: there is nothing to learn from".into()));
        }
        let cut = whole.floor_char_boundary((whole.len() as f64 * (1.0 - held_out)) as usize);
        Ok(Self { whole, cut })
    }

    pub fn whole(&self) -> &str {
        &self.whole
    }

    /// The part that is trained on.
    pub fn train(&self) -> &str {
        &self.whole[..self.cut]
    }

    /// The part that is kept back.
    pub fn held_out(&self) -> &str {
        &self.whole[self.cut..]
    }

    pub fn mark(&self) -> TextMark {
        TextMark {
            bytes: self.whole.len(),
            fnv: format!("{:016x}", fnv(self.whole.as_bytes())),
        }
    }
}

/// The same as token ids.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Corpus {
    pub train: Vec<u32>,
    pub held_out: Vec<u32>,
}

impl Corpus {
    /// # Errors
    /// [`TrainError::TooShort`]: not one sequence can be made of it, or nothing is left to measure with.
    pub fn check(&self, recipe: &Recipe) -> Result<(), TrainError> {
        let short = |part, tokens, needed| {
            Err(TrainError::TooShort {
                part,
                tokens,
                needed,
            })
        };
        if self.train.len() < recipe.context + 1 {
            return short("train on", self.train.len(), recipe.context + 1);
        }
        if self.held_out.len() < 2 {
            return short("measure with", self.held_out.len(), 2);
        }
        Ok(())
    }
}
