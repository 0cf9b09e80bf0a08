//! Splits: a model in several files, `NAME-00001-of-0000N.gguf` and so on, each with some of the tensors. The first has the
//! keys; all have `split.no`, counted from 0, and `split.count`.

use std::io;
use std::path::{Path, PathBuf};

use crate::{GgufError, Metadata};

/// The name of a split.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SplitName {
    stem: String,
    /// Counted from 1.
    pub number: u64,
    /// Of all splits.
    pub count: u64,
}

impl SplitName {
    /// Takes a file's name apart; `None` if it is not that of a split.
    pub fn parse(name: &str) -> Option<Self> {
        let number = |digits: &str| {
            let number = digits.parse().ok()?;
            (format!("{number:05}") == digits && number > 0).then_some(number)
        };
        let (rest, count) = name.strip_suffix(".gguf")?.rsplit_once("-of-")?;
        let (stem, place) = rest.rsplit_once('-')?;
        let (place, count) = (number(place)?, number(count)?);
        (place <= count).then(|| Self { stem: stem.to_owned(), number: place, count })
    }

    /// The name of another split of the same model, counted from 1.
    pub fn of(&self, number: u64) -> String {
        format!("{}-{number:05}-of-{:05}.gguf", self.stem, self.count)
    }
}

/// What the keys of a file say of splits.
pub struct Split {
    /// Counted from 1.
    number: u64,
    /// 1 if the file is the whole model.
    pub count: u64,
    /// Tensors in all splits.
    tensors: Option<u64>,
}

impl Split {
    pub fn of(metadata: &Metadata) -> Result<Self, GgufError> {
        let whole = Self { number: 1, count: 1, tensors: None };
        match metadata.u64("split.count")? {
            // llama.cpp writes 0 into what it merges.
            None | Some(0 | 1) => Ok(whole),
            Some(count) => {
                let number = metadata.u64("split.no")?.ok_or_else(|| metadata.missing("split.no"))?;
                match number < count {
                    true => Ok(Self { number: number + 1, count, tensors: metadata.u64("split.tensors.count")? }),
                    false => Err(metadata.wrong("split.no", "a number less than split.count")),
                }
            }
        }
    }

    /// Checks that the file is no part, for those who have only one.
    pub fn check_whole(&self, file: &Path) -> Result<(), GgufError> {
        match self.count {
            1 => Ok(()),
            count => {
                let reason =
                    format!("it is split {} of {count}; give the path of the first, or merge them", self.number);
                Err(fault(file, reason))
            }
        }
    }

    /// The names of all splits, by that of the first, `file`; none if it is the whole model.
    ///
    /// # Errors
    /// It is not the first, or is not called so.
    pub fn names(&self, file: &Path) -> Result<Option<SplitName>, GgufError> {
        let Self { number, count, .. } = *self;
        if count == 1 {
            return Ok(None);
        }
        let name = file.file_name().and_then(|name| SplitName::parse(name.to_str()?));
        let name = name.filter(|name| (name.number, name.count) == (number, count));
        match name {
            None => Err(fault(
                file,
                format!(
                    "it is split {number} of {count}, and its name does not end in -{number:05}-of-{count:05}.gguf; give all splits such names"
                ),
            )),
            Some(name) if number > 1 => {
                Err(fault(file, format!("it is split {number} of {count}; give the first, {}", name.of(1))))
            }
            name => Ok(name),
        }
    }

    /// Checks that this, the keys of `file`, is split `number` of the model that begins in `first`, whose keys are `of`.
    pub fn check(&self, file: &Path, number: u64, of: &Self, first: &Path) -> Result<(), GgufError> {
        if (self.number, self.count) == (number, of.count) {
            return Ok(());
        }
        let (is, count) = (self.number, self.count);
        let what = format!("it is split {is} of {count} where split {number} of {} belongs", of.count);
        Err(fault(file, format!("{what}; the splits are not those of {}, fetch them again", first.display())))
    }

    /// Checks the number of tensors in all splits; `first` is the first of them.
    pub fn check_tensors(&self, first: &Path, tensors: usize) -> Result<(), GgufError> {
        match self.tensors {
            Some(expected) if expected != tensors as u64 => {
                let what = format!("its splits have {tensors} tensors together where it says {expected}");
                Err(fault(first, format!("{what}; they are not those of one model, fetch them again")))
            }
            _ => Ok(()),
        }
    }
}

/// The error for a split that cannot be opened.
pub fn not_there(first: &Path, file: PathBuf, source: io::Error) -> GgufError {
    match source.kind() {
        io::ErrorKind::NotFound => {
            let name = file.file_name().unwrap_or_default().display();
            fault(first, format!("the split {name} is not in the same folder; fetch or copy it too"))
        }
        _ => GgufError::Read { file, source },
    }
}

fn fault(file: &Path, reason: String) -> GgufError {
    GgufError::Split { file: file.to_owned(), reason }
}
