//! What is read is not written over.

use std::{fs, path::Path};

use glass_checkpoint::{COMPANIONS, Index, WEIGHTS, WEIGHTS_INDEX};

use crate::error::CliError;

/// Refuses an output that is a file which the command reads, whatever it is called and whatever may be overwritten. `what`, such
/// as "the text is", says what is read from it.
///
/// # Errors
/// It is.
pub fn check_input(output: &Path, input: Option<&Path>, what: &str) -> Result<(), CliError> {
    match input {
        Some(input) if is_same_file(output, input) => {
            Err(CliError::input(output, format!("is the file {what} read from: give another one")))
        }
        _ => Ok(()),
    }
}

/// As [`check_input`], for a model: the files of its folder, or its GGUF file. A hub name is no path, and refuses nothing.
///
/// # Errors
/// As [`check_input`].
pub fn check_model(output: &Path, model: Option<&str>) -> Result<(), CliError> {
    let Some(model) = model.map(Path::new) else { return Ok(()) };
    let index = Index::read(&model.join(WEIGHTS_INDEX)).ok();
    let shards = index.iter().flat_map(Index::shards);
    let files = ["config.json", WEIGHTS, WEIGHTS_INDEX].into_iter().chain(COMPANIONS).chain(shards);
    let mut paths = files.map(|name| model.join(name)).chain([model.to_owned()]);
    paths.try_for_each(|file| check_input(output, Some(&file), "the model is"))
}

/// Whether both paths lead to one file, by links of any kind too. Devices and pipes are no files: nothing there is lost.
#[cfg(unix)]
fn is_same_file(a: &Path, b: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let (Ok(a), Ok(b)) = (fs::metadata(a), fs::metadata(b)) else { return false };
    a.is_file() && (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_file(a: &Path, b: &Path) -> bool {
    let (Ok(a), Ok(b)) = (fs::canonicalize(a), fs::canonicalize(b)) else { return false };
    a.is_file() && a == b
}
