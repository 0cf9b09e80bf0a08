//! Tiny models in the Hugging Face layout, and what `transformers` computes from them: `crates/testing/fixtures`.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The folder of the thirteen shared fixtures; the extra ones are in `extra` below it.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures")
}

/// Folders of all fixtures, the thirteen shared ones and the extra ones, sorted.
///
/// # Panics
/// One is missing.
pub fn all() -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = [root(), root().join("extra")]
        .iter()
        .flat_map(|folder| fs::read_dir(folder).expect("the fixtures are in the repository"))
        .map(|entry| entry.expect("readable").path())
        .filter(|path| path.join("expected.safetensors").is_file())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 13 + 9, "fixtures are missing");
    folders
}

/// Folders of the fixtures of the other families, one each, sorted: in `families` below the root.
///
/// # Panics
/// One is missing.
pub fn families() -> Vec<PathBuf> {
    let folder = root().join("families");
    let entries = fs::read_dir(&folder).expect("the fixtures are in the repository");
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    folders.retain(|path| path.is_dir());
    folders.sort();
    assert_eq!(folders.len(), 32, "fixtures are missing");
    folders
}

/// Folders of the GGUF fixtures, each with a `model.gguf` and what is expected of it, sorted: those of the repository, and the
/// larger ones of the shared reference data where that is there.
///
/// # Panics
/// One of the repository's is missing.
pub fn gguf() -> Vec<PathBuf> {
    let entries = |folder: PathBuf| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut folders: Vec<PathBuf> = entries(root().join("gguf")).filter(|path| path.is_dir()).collect();
    assert_eq!(folders.len(), 17, "fixtures are missing");
    let larger = entries(shared().join("fixtures/gguf")).filter(|path| path.is_dir());
    folders.extend(larger.filter(|path| path.file_name().is_some_and(|name| !root().join("gguf").join(name).is_dir())));
    folders.sort_by_key(|path| path.file_name().map(ToOwned::to_owned));
    folders
}

/// Models of [`families`] as GGUF files, each with the family's folder, which has what is expected of it, sorted.
///
/// # Panics
/// One is missing.
pub fn architectures() -> Vec<(PathBuf, PathBuf)> {
    let entries = fs::read_dir(root().join("architectures")).expect("the fixtures are in the repository");
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("readable").path()).collect();
    files.retain(|path| path.extension().is_some_and(|end| end == "gguf"));
    files.sort();
    assert_eq!(files.len(), 12, "fixtures are missing");
    let family = |file: &Path| root().join("families").join(file.file_stem().unwrap_or_default());
    let families: Vec<PathBuf> = files.iter().map(|file| family(file)).collect();
    files.into_iter().zip(families).collect()
}

fn shared() -> PathBuf {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    env::var_os("GLASS_SHARED").map_or_else(beside, PathBuf::from)
}

/// The folder of a real model's files, which may not be redistributed with this repository: they are read from the folder
/// named by GLASS_SHARED, or else from `shared` beside the repository. `None`, and a line that says so, where they are not
/// there.
pub fn real(name: &str) -> Option<PathBuf> {
    let folder = shared().join("real").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no {name} in the shared reference data (set GLASS_SHARED)");
    None
}
