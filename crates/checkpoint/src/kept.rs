//! A quantized copy of a folder, kept for the next time that it is loaded.

use std::{
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use glass_backend::quant::QuantFormat;

use crate::{COMPANIONS, ConvertError, Existing, SaveError, SaveProgress, ShardSize, quantize, saving::is_weights};

/// The file of a copy that says what it is a copy of. It is written last, and removed before anything else changes.
const ORIGIN: &str = "origin.txt";

/// A copy that fits.
#[derive(Debug)]
pub struct Kept {
    pub folder: PathBuf,
    /// It was written now.
    pub is_new: bool,
}

/// The copy of `folder` in this format below `caches`, written if there is none that fits.
///
/// A copy fits a folder at the same path whose model files have the sizes and the times of change that they had, for the
/// program that wrote it: another build may quantize otherwise. Any other is replaced. There is one for each folder and format.
///
/// # Errors
/// As [`quantize`](crate::quantize()); the folder changes meanwhile. Then there is no copy.
pub fn kept(
    folder: &Path,
    caches: &Path,
    format: QuantFormat,
    progress: SaveProgress<'_>,
) -> Result<Kept, ConvertError> {
    let source = fs::canonicalize(folder).map_err(|source| read_error(folder, source))?;
    let copy = caches.join(name(&source, format));
    let origin = origin(&source, format)?;
    if fits(&copy, &origin) {
        return Ok(Kept { folder: copy, is_new: false });
    }
    fs::create_dir_all(caches).map_err(|source| SaveError::write(caches, source))?;
    let place = copy.join(ORIGIN);
    match fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(SaveError::write(&place, error).into()),
        _ => {}
    }
    quantize(&source, &copy, format, ShardSize::default(), Existing::Replace, progress)?;
    if origin != self::origin(&source, format)? {
        let changed = io::Error::other("its files change while they are read: wait until they are whole");
        return Err(read_error(folder, changed).into());
    }
    let sizes = model_files(&copy).and_then(|files| described(&copy, &files));
    let text = origin + &sizes.map_err(|source| read_error(&copy, source))?;
    let new = copy.join("origin.new");
    let written = fs::write(&new, text).and_then(|()| fs::rename(&new, &place));
    written.map_err(|source| SaveError::write(&place, source))?;
    Ok(Kept { folder: copy, is_new: true })
}

/// Whether a copy is of this origin, and has the files that it was left with.
fn fits(copy: &Path, origin: &str) -> bool {
    let Ok(text) = fs::read_to_string(copy.join(ORIGIN)) else {
        return false;
    };
    let sizes = model_files(copy).and_then(|files| described(copy, &files));
    text.strip_prefix(origin).is_some_and(|rest| sizes.is_ok_and(|sizes| rest == sizes))
}

/// What a copy is made of, and by whom: a line each.
fn origin(folder: &Path, format: QuantFormat) -> Result<String, SaveError> {
    let program =
        std::env::current_exe().and_then(|program| described(Path::new(""), &[program.display().to_string()]));
    let program = program.map_err(|source| read_error(Path::new("this program"), source))?;
    let files = model_files(folder).and_then(|files| described(folder, &files));
    let files = files.map_err(|source| read_error(folder, source))?;
    Ok(format!("q{format} of {}\nby {program}{files}\n", folder.display()))
}

/// Weights, config and what stands beside them, sorted.
fn model_files(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name == "config.json" || is_weights(&name) || COMPANIONS.contains(&name.as_str()) {
            names.push(name);
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// The size and the time of change of each file.
fn described(folder: &Path, names: &[String]) -> io::Result<String> {
    let mut text = String::new();
    for name in names {
        let file = fs::metadata(folder.join(name))?;
        let changed = file.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let _ = writeln!(text, "{name}: {} bytes, of {}", file.len(), changed.as_nanos());
    }
    Ok(text)
}

/// The folder's own name, and a hash of its path (FNV-1a), so that folders of one name do not share a copy.
fn name(folder: &Path, format: QuantFormat) -> String {
    let hash = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = folder.as_os_str().as_encoded_bytes().iter().fold(0xcbf2_9ce4_8422_2325, hash);
    let own = folder.file_name().unwrap_or_default().to_string_lossy();
    format!("{own}-q{format}-{hash:016x}")
}

fn read_error(file: &Path, source: io::Error) -> SaveError {
    SaveError::Read { file: file.to_owned(), source }
}
