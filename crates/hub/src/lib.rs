//! Where a model comes from: a folder or GGUF file of this machine, or a name on the Hugging Face hub, fetched once and then
//! cached in the place and layout that the Python library `huggingface_hub` uses, so that both share one copy.

mod cache;
mod choice;
mod client;
mod download;
mod error;
mod name;
mod options;

use std::path::{Path, PathBuf};

use client::Client;
use download::Download;
use glass_checkpoint::WEIGHTS;
use glass_gguf::Gguf;
use name::{Name, Part, is_safe_path};

pub use error::{Fault, HubError};
pub use options::HubOptions;

/// What a caller sees of a download.
pub enum HubProgress<'a> {
    /// A file of so many bytes begins, or begins again after a broken connection.
    Start(&'a str, u64),
    /// That many more bytes of it are on disk; bytes kept from an earlier, broken run count too.
    Advance(u64),
    /// One line to show to the user.
    Warning(&'a str),
}

/// The folder with the model's config.json, tokenizer files and safetensors weights, or its GGUF file (of several splits the
/// first).
///
/// `model` is a folder or file if one of that name exists; else it is a hub name at `revision` (a branch, tag or commit,
/// `main` if `None`):
///
/// - `org/name`: the folder; where the repository has GGUF files and no safetensors, that of Q4_K_M, else the first.
/// - `org/name:Q8_0`: the GGUF file whose name has this word, in any case.
/// - `org/name/file.gguf`: this file.
///
/// A model that lies whole in the cache is used as it is, without asking the network whether the branch has moved on. Else
/// only the files that loading needs are fetched. A file counts once it is there in its full length; what a broken download
/// left behind is resumed or thrown away by the next.
///
/// # Errors
/// See [`HubError`]; each is one line that says what would fix it.
pub fn resolve(
    model: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(HubProgress),
) -> Result<PathBuf, HubError> {
    resolve_parts(model, revision, options, progress, true)
}

/// As [`resolve`], for those who need no weights: the folder has them only if they were fetched before.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_without_weights(
    model: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(HubProgress),
) -> Result<PathBuf, HubError> {
    resolve_parts(model, revision, options, progress, false)
}

fn resolve_parts(
    model: &str,
    revision: Option<&str>,
    options: &HubOptions,
    progress: &mut dyn FnMut(HubProgress),
    weights: bool,
) -> Result<PathBuf, HubError> {
    let path = Path::new(model);
    match revision {
        None if path.is_dir() || Gguf::is_at(path) => return Ok(path.to_owned()),
        Some(revision) if path.exists() => return Err(HubError::RevisionOfPath(revision.to_owned(), path.to_owned())),
        _ if path.exists() => return Err(HubError::NotGguf(path.to_owned())),
        _ => {}
    }
    let name = Name::parse(model).ok_or_else(|| HubError::NothingThere(model.to_owned()))?;
    let revision = revision.unwrap_or("main");
    if !is_safe_path(revision) {
        return Err(HubError::BadRevision(revision.to_owned()));
    }
    let cache = options.cache.as_deref().ok_or(HubError::NoCacheFolder)?;
    let cache = std::path::absolute(cache).map_err(|error| HubError::Cache(cache.into(), error))?;

    let repo = cache.join(format!("models--{}", name.repository.replace('/', "--")));
    let cached = match cache::find(&repo, revision) {
        Some(snapshot) => cached(&repo, &snapshot, name.part, weights),
        None => Err("does not hold it".to_owned()),
    };
    let whole = match cached {
        Ok(Cached { path, settled: true }) => return Ok(path),
        Ok(Cached { path, .. }) if options.offline => {
            if path.is_file() {
                let message = format!("{} is taken, the first GGUF file of {model} in the cache", path.display());
                progress(HubProgress::Warning(&message));
            }
            return Ok(path);
        }
        Err(lack) if options.offline => {
            let model = format!("{}@{revision}", name.repository);
            return Err(HubError::Model(model, Fault::Offline(cache, lack)));
        }
        cached => cached.ok(),
    };
    let client = Client::new(options)?;
    let download = Download { client, options, name, revision, repo, weights };
    match (download.fetch(progress), whole) {
        (Err(HubError::Model(_, Fault::Unreachable(..) | Fault::Server(..))), Some(Cached { path, .. })) => {
            progress(HubProgress::Warning(&format!(
                "{} cannot be reached or fails; the cached {} is used, {}",
                options.endpoint,
                path.display(),
                if path.is_file() { "the first GGUF file there" } else { "which may lack optional files of the model" }
            )));
            Ok(path)
        }
        (fetched, _) => fetched,
    }
}

/// What lies whole in the cache.
struct Cached {
    /// A folder, or a GGUF file.
    path: PathBuf,
    /// Whether the hub has nothing to add.
    settled: bool,
}

/// Looks for a part of a model in `snapshot`, a commit's folder in that of the model, `repo`; an error says what the cache
/// lacks or does.
fn cached(repo: &Path, snapshot: &Path, part: Part<'_>, weights: bool) -> Result<Cached, String> {
    let missing = match weights {
        true => cache::missing(snapshot),
        false => cache::missing_besides_weights(snapshot),
    };
    if part == Part::Any && missing.is_none() {
        return Ok(Cached { path: snapshot.to_owned(), settled: cache::is_settled(repo, snapshot) });
    }
    let ggufs = cache::ggufs(snapshot);
    let ggufs: Vec<&str> = ggufs.iter().map(String::as_str).collect();
    match choice::choices(&ggufs, part).first() {
        Some(file) => {
            let by_default = choice::is_of(file, choice::DEFAULT) && cache::is_absent(repo, snapshot, WEIGHTS);
            Ok(Cached { path: snapshot.join(file), settled: part != Part::Any || by_default })
        }
        None => Err(match (part, missing) {
            (Part::Quantization(name), _) => format!("lacks its GGUF file of {name}"),
            (Part::File(file), _) => format!("lacks its {file}"),
            (Part::Any, missing) => format!("lacks its {}", missing.unwrap_or_default()),
        }),
    }
}
