//! What the cache holds of a model.
//!
//! Layout, shared with `huggingface_hub`: `models--org--name/refs/<revision>` holds a commit hash,
//! `snapshots/<commit>/<file>` links to `blobs/<etag>`, and an empty `.no_exist/<commit>/<file>` records that the commit
//! has no such file.

use std::path::{Path, PathBuf};

use glass_checkpoint::{Index, WEIGHTS, WEIGHTS_INDEX};
use hf_hub::{Repo, RepoType};

use super::is_commit;

/// Files without which a model cannot be loaded, weights apart.
pub(super) const CONFIG: &str = "config.json";
/// Files that say more about a model, if it has them.
pub(super) const OPTIONAL: [&str; 5] = [
    "tokenizer.json",
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
];

/// The cached copy of one commit.
pub(super) struct Snapshot {
    pub folder: PathBuf,
    /// The first file that it needs and lacks.
    pub missing: Option<String>,
    /// Whether each optional file is there or known not to exist.
    pub certain: bool,
}

/// The copy that `revision` of `model` refers to, as far as the cache knows.
pub(super) fn find(cache: &Path, model: &str, revision: &str) -> Option<Snapshot> {
    let repo = repo_folder(cache, model);
    let commit = match std::fs::read_to_string(repo.join("refs").join(revision)) {
        Ok(commit) => commit.trim().to_owned(),
        // The Python library keeps no reference for a revision that is a commit itself.
        Err(_) => revision.to_owned(),
    };
    if !is_commit(&commit) {
        return None;
    }
    let folder = repo.join("snapshots").join(&commit);
    if !folder.is_dir() {
        return None;
    }
    let absent = absent_folder(cache, model, &commit);
    Some(Snapshot {
        missing: missing(&folder),
        certain: OPTIONAL
            .iter()
            .all(|file| folder.join(file).exists() || absent.join(file).exists()),
        folder,
    })
}

fn missing(folder: &Path) -> Option<String> {
    let lacks = |file: &str| !folder.join(file).exists();
    if lacks(CONFIG) {
        return Some(CONFIG.to_owned());
    }
    if !lacks(WEIGHTS) {
        return None;
    }
    if lacks(WEIGHTS_INDEX) {
        return Some(WEIGHTS.to_owned());
    }
    match Index::read(&folder.join(WEIGHTS_INDEX)) {
        Ok(index) => index
            .shards()
            .into_iter()
            .find(|shard| lacks(shard))
            .map(str::to_owned),
        Err(_) => Some(WEIGHTS_INDEX.to_owned()),
    }
}

/// Where the cache records which optional files `commit` does not have.
pub(super) fn absent_folder(cache: &Path, model: &str, commit: &str) -> PathBuf {
    repo_folder(cache, model).join(".no_exist").join(commit)
}

fn repo_folder(cache: &Path, model: &str) -> PathBuf {
    cache.join(Repo::new(model.to_owned(), RepoType::Model).folder_name())
}
