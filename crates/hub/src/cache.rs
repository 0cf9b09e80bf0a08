//! A model in the cache, in the layout of `huggingface_hub`: in `models--org--name`, `refs/<revision>` holds a commit hash,
//! `snapshots/<commit>/<file>` links to `blobs/<etag>`, and an empty `.no_exist/<commit>/<file>` records that the commit
//! has no such file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use glass_checkpoint::{Index, WEIGHTS, WEIGHTS_INDEX};

use crate::HubError;
use crate::choice::{models, with_splits};

/// The file without which a model cannot be loaded, weights apart.
pub const CONFIG: &str = "config.json";
/// Files that say more about a model, if it has them.
pub const OPTIONAL: [&str; 6] = [
    "tokenizer.json",
    "generation_config.json",
    "tokenizer_config.json",
    "chat_template.jinja",
    "special_tokens_map.json",
    "added_tokens.json",
];

/// The folder of the commit that `revision` refers to, if any of it is in the cache.
pub fn find(repo: &Path, revision: &str) -> Option<PathBuf> {
    let commit = fs::read_to_string(repo.join("refs").join(revision));
    // The Python library keeps no reference for a revision that is a commit itself.
    let commit = commit.as_deref().unwrap_or(revision).trim();
    let snapshot = repo.join("snapshots").join(commit);
    (is_commit(commit) && snapshot.is_dir()).then_some(snapshot)
}

/// Whether `revision` is a full commit hash.
pub fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}

/// The first file that a model needs, weights apart, and `snapshot` lacks.
pub fn missing_besides_weights(snapshot: &Path) -> Option<String> {
    (!snapshot.join(CONFIG).exists()).then(|| CONFIG.to_owned())
}

/// The first file that loading a model needs and `snapshot` lacks.
pub fn missing(snapshot: &Path) -> Option<String> {
    let lacks = |file: &&str| !snapshot.join(file).exists();
    match Index::read(&snapshot.join(WEIGHTS_INDEX)) {
        _ if lacks(&CONFIG) => Some(CONFIG.to_owned()),
        _ if !lacks(&WEIGHTS) => None,
        _ if lacks(&WEIGHTS_INDEX) => Some(WEIGHTS.to_owned()),
        Ok(index) => index.shards().into_iter().find(lacks).map(str::to_owned),
        Err(_) => Some(WEIGHTS_INDEX.to_owned()),
    }
}

/// The GGUF files in `snapshot` that hold a model, sorted; of several splits the first, if all are there.
pub fn ggufs(snapshot: &Path) -> Vec<String> {
    let mut files = Vec::new();
    collect(snapshot, "", &mut files);
    files.sort();
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    let is_whole = |file: &&str| with_splits(file).iter().all(|split| snapshot.join(split).exists());
    models(&files).into_iter().filter(is_whole).map(str::to_owned).collect()
}

/// Adds the names of all files in a folder and those below, with `prefix` in front.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<String>) {
    // A folder that cannot be read has no model.
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{prefix}{}", entry.file_name().to_string_lossy());
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => collect(&entry.path(), &format!("{name}/"), files),
            _ => files.push(name),
        }
    }
}

/// Whether the hub has said that the commit of `snapshot` has no such file.
pub fn is_absent(repo: &Path, snapshot: &Path, file: &str) -> bool {
    repo.join(".no_exist").join(snapshot.file_name().unwrap_or_default()).join(file).exists()
}

/// Whether each optional file is in `snapshot` or known not to exist.
pub fn is_settled(repo: &Path, snapshot: &Path) -> bool {
    let is_known = |file| snapshot.join(file).exists() || is_absent(repo, snapshot, file);
    OPTIONAL.into_iter().all(is_known)
}

/// Does something at `path`, in a folder that is made if it is not there.
pub fn at<T>(path: &Path, act: impl FnOnce(&Path) -> io::Result<T>) -> Result<T, HubError> {
    let folder = fs::create_dir_all(path.parent().unwrap_or(path));
    let done = folder.and_then(|()| act(path));
    done.map_err(|error| HubError::Cache(path.to_owned(), error))
}

/// Opens a file for writing as it is, made if it is not there.
pub fn open(path: &Path) -> io::Result<File> {
    File::options().write(true).create(true).truncate(false).open(path)
}

/// Makes `path`, which is so many folders below the model's, stand for a blob.
pub fn link(path: &Path, depth: usize, blob: &Path) -> io::Result<()> {
    if path.is_symlink() || path.exists() {
        fs::remove_file(path)?;
    }
    #[cfg(unix)]
    {
        let repo: PathBuf = std::iter::repeat_n("..", depth).collect();
        let name = blob.file_name().unwrap_or_default();
        std::os::unix::fs::symlink(repo.join("blobs").join(name), path)
    }
    // Links are a privilege on Windows: the Python library moves the file there too.
    #[cfg(not(unix))]
    fs::rename(blob, path)
}
