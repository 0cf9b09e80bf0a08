//! Where a model comes from: a folder of this machine, or a name on the Hugging Face hub, fetched once and then cached in
//! the place and layout that the Python library `huggingface_hub` uses, so that both share one copy.

mod cache;
mod error;
mod fetch;
mod listing;
mod options;
mod transfer;

use std::path::{Path, PathBuf};

pub use error::HubError;
pub use options::HubOptions;

/// The revision that is meant when none is named.
const DEFAULT_REVISION: &str = "main";

/// What a caller sees of a download.
pub trait HubProgress {
    /// A file of `bytes` bytes begins, or begins again after a broken connection.
    fn start(&mut self, file: &str, bytes: u64);
    /// That many more bytes of it are on disk; bytes kept from an earlier, broken run count too.
    fn advance(&mut self, bytes: u64);
    /// The file is whole.
    fn finish(&mut self);
    /// One line to show to the user.
    fn warn(&mut self, message: &str);
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
    progress: &mut dyn HubProgress,
) -> Result<PathBuf, HubError> {
    let folder = Path::new(model);
    if folder.is_dir() {
        return match revision {
            None => Ok(folder.to_owned()),
            Some(revision) => Err(HubError::RevisionOfFolder {
                folder: folder.to_owned(),
                revision: revision.to_owned(),
            }),
        };
    }
    if folder.exists() {
        return Err(HubError::NotAFolder(folder.to_owned()));
    }
    if !is_hub_name(model) {
        return Err(HubError::NoFolder(model.to_owned()));
    }
    let revision = revision.unwrap_or(DEFAULT_REVISION);
    if !is_revision(revision) {
        return Err(HubError::BadRevision(revision.to_owned()));
    }
    let cache = options.cache.as_deref().ok_or(HubError::NoCacheFolder)?;
    let cache = std::path::absolute(cache).map_err(|source| HubError::Cache {
        path: cache.to_owned(),
        source,
    })?;

    let cached = cache::find(&cache, model, revision);
    match cached {
        Some(snapshot) if snapshot.missing.is_none() && (snapshot.certain || options.offline) => {
            Ok(snapshot.folder)
        }
        _ if options.offline => Err(HubError::Offline {
            model: format!("{model}@{revision}"),
            missing: cached.and_then(|snapshot| snapshot.missing),
            cache,
        }),
        _ => match (
            fetch::fetch(model, revision, &cache, options, progress),
            cached,
        ) {
            (Err(error), Some(snapshot)) if error.is_outage() && snapshot.missing.is_none() => {
                progress.warn(&format!(
                    "{} cannot be reached or fails; the cached {} is used, which may lack optional files of the model",
                    options.endpoint,
                    snapshot.folder.display()
                ));
                Ok(snapshot.folder)
            }
            (fetched, _) => fetched,
        },
    }
}

/// Whether `model` has the form `org/name` of the hub: no path that starts with `/`, `./`, `../` or `~` does, nor one of
/// more than two parts.
fn is_hub_name(model: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty()
            && part.len() <= 96
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !part.starts_with(['-', '.'])
            && !part.ends_with(['-', '.'])
            && !part.contains("--")
            && !part.contains("..")
    };
    model
        .split_once('/')
        .is_some_and(|(org, name)| is_part(org) && is_part(name))
}

/// Whether `revision` can be a git reference that is also safe as a path in the cache and in a URL.
fn is_revision(revision: &str) -> bool {
    revision.split('/').all(|part| {
        !part.is_empty()
            && part
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
            && !part.starts_with(['-', '.'])
            && !part.contains("..")
    })
}

/// Whether `revision` is a full commit hash.
fn is_commit(revision: &str) -> bool {
    revision.len() == 40 && revision.bytes().all(|b| b.is_ascii_hexdigit())
}
