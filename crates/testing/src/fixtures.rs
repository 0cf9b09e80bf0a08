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
    assert_eq!(folders.len(), 25, "fixtures are missing");
    folders
}

/// The folder of a real model's files, which may not be redistributed with this repository: they are read from the folder
/// named by GLASS_SHARED, or else from `shared` beside the repository. `None`, and a line that says so, where they are not
/// there.
pub fn real(name: &str) -> Option<PathBuf> {
    let shared = env::var_os("GLASS_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared"), PathBuf::from);
    let folder = shared.join("real").join(name);
    if folder.is_dir() {
        return Some(folder);
    }
    println!("skipped: no {name} in the shared reference data (set GLASS_SHARED)");
    None
}
