//! Where a model comes from: a folder of this machine, or a name on the Hugging Face hub, fetched once and then cached in
//! the place and layout that the Python library `huggingface_hub` uses, so that both share one copy.

mod cache;
mod client;
mod download;
mod error;
mod options;

use std::path::{Path, PathBuf};

use client::Client;
use download::Download;
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

/// The folder with the model's config.json, tokenizer files and safetensors weights.
///
/// `model` is a folder if one of that name exists; else it is a hub name `org/name`, at `revision` (a branch, tag or
/// commit, `main` if `None`). A model that lies whole in the cache is used as it is, without asking the network whether
/// the branch has moved on. Else only the files that loading needs are fetched. A file counts once it is there in its
/// full length; what a broken download left behind is resumed or thrown away by the next.
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
    let folder = Path::new(model).to_owned();
    match revision {
        None if folder.is_dir() => return Ok(folder),
        Some(revision) if folder.is_dir() => {
            return Err(HubError::RevisionOfFolder(revision.to_owned(), folder));
        }
        _ if folder.exists() => return Err(HubError::NotAFolder(folder)),
        _ if !is_hub_name(model) => return Err(HubError::NoFolder(model.to_owned())),
        _ => {}
    }
    let revision = revision.unwrap_or("main");
    if !revision.split('/').all(is_safe) {
        return Err(HubError::BadRevision(revision.to_owned()));
    }
    let cache = options.cache.as_deref().ok_or(HubError::NoCacheFolder)?;
    let cache = std::path::absolute(cache).map_err(|error| HubError::Cache(cache.into(), error))?;

    let repo = cache.join(format!("models--{}", model.replace('/', "--")));
    let snapshot = cache::find(&repo, revision);
    let missing = |snapshot: &Path| match weights {
        true => cache::missing(snapshot),
        false => cache::missing_besides_weights(snapshot),
    };
    let lack = match snapshot.as_deref().map(missing) {
        Some(missing) => missing.map(|file| format!("lacks its {file}")),
        None => Some("does not hold it".to_owned()),
    };
    let whole = snapshot.filter(|_| lack.is_none());
    match (&whole, lack) {
        (Some(folder), _) if options.offline || cache::is_settled(&repo, folder) => {
            return Ok(folder.clone());
        }
        (None, Some(lack)) if options.offline => {
            let model = format!("{model}@{revision}");
            return Err(HubError::Model(model, Fault::Offline(cache, lack)));
        }
        _ => {}
    }
    let client = Client::new(options)?;
    let download = Download { client, options, model, revision, repo, weights };
    match (download.fetch(progress), whole) {
        (Err(HubError::Model(_, Fault::Unreachable(..) | Fault::Server(..))), Some(folder)) => {
            progress(HubProgress::Warning(&format!(
                "{} cannot be reached or fails; the cached {} is used, which may lack optional files of the model",
                options.endpoint,
                folder.display()
            )));
            Ok(folder)
        }
        (fetched, _) => fetched,
    }
}

/// Whether `model` has the form `org/name` of the hub: no path that starts with `/`, `./`, `../` or `~` does, nor one of
/// more than two parts.
fn is_hub_name(model: &str) -> bool {
    let is_part = |part: &str| is_safe(part) && part.len() <= 96 && !part.ends_with(['-', '.']) && !part.contains("--");
    let parts = model.split_once('/');
    parts.is_some_and(|(org, name)| is_part(org) && is_part(name))
}

/// Whether `part` can be a part of a git reference that is also safe as a file's name in the cache and in a URL.
fn is_safe(part: &str) -> bool {
    let is_allowed = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
    let is_start = !part.is_empty() && !part.starts_with(['-', '.']);
    is_start && part.bytes().all(is_allowed) && !part.contains("..")
}
