//! Which of a repository's GGUF files is meant.

use glass_gguf::{Gguf, SplitName};

use crate::name::{Part, is_safe_path};

/// What is taken where no quantization is named, as llama.cpp does.
pub const DEFAULT: &str = "Q4_K_M";

/// The model files among all files of a repository; of several splits the first.
pub fn models<'a>(files: &[&'a str]) -> Vec<&'a str> {
    // Vision towers and statistics lie beside models, in the same format.
    let is_model = |file: &&str| {
        let lower = base(file).to_ascii_lowercase();
        Gguf::is_name(file.as_ref()) && is_safe_path(file) && !lower.contains("mmproj") && !lower.contains("imatrix")
    };
    let is_first = |file: &&str| SplitName::parse(base(file)).is_none_or(|split| split.number == 1);
    files.iter().copied().filter(is_model).filter(is_first).collect()
}

/// Those of `models` that can be meant.
pub fn choices<'a>(models: &[&'a str], part: Part<'_>) -> Vec<&'a str> {
    match part {
        Part::File(file) => models.iter().copied().filter(|model| *model == file).collect(),
        Part::Quantization(name) => models.iter().copied().filter(|model| is_of(model, name)).collect(),
        Part::Any => match choices(models, Part::Quantization(DEFAULT)) {
            none if none.is_empty() => models.to_vec(),
            some => some,
        },
    }
}

/// A file and, if it is the first of several splits, the others.
pub fn with_splits(file: &str) -> Vec<String> {
    match SplitName::parse(base(file)) {
        None => vec![file.to_owned()],
        Some(split) => {
            let folder = &file[..file.len() - base(file).len()];
            (1..=split.count).map(|number| format!("{folder}{}", split.of(number))).collect()
        }
    }
}

/// Whether the quantization `name` is a word of the path `file`, in any case: `Q4_K` is none in `Q4_K_M`.
pub fn is_of(file: &str, name: &str) -> bool {
    let (file, name) = (file.to_ascii_uppercase(), name.to_ascii_uppercase());
    file.match_indices(&name).any(|(at, _)| {
        let before = file[..at].chars().next_back();
        let behind = file[at + name.len()..].chars().next();
        !before.is_some_and(char::is_alphanumeric) && !behind.is_some_and(|it| it.is_alphanumeric() || it == '_')
    })
}

/// What a user can name the file by: its quantization, or else the file.
pub fn label(file: &str) -> String {
    let words = base(file).split(['-', '.']).map(str::to_ascii_uppercase);
    let is_quantization = |word: &String| {
        let digits = ["Q", "IQ", "TQ"].iter().find_map(|start| word.strip_prefix(start));
        digits.is_some_and(|rest| rest.starts_with(|it: char| it.is_ascii_digit()))
            || ["F32", "F16", "BF16"].contains(&word.as_str())
            || word.starts_with("MXFP4")
    };
    words.rev().find(is_quantization).unwrap_or_else(|| file.to_owned())
}

/// The last part of a path.
fn base(file: &str) -> &str {
    file.rsplit('/').next().unwrap_or(file)
}
