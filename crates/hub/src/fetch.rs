//! Fetching the files of a model into the cache.
//!
//! The `hf-hub` crate does the requests, the resuming and the cache's layout. Around it stands what it leaves out: one
//! commit for all files, the check of each file's length, retries, and an end to waiting for a silent server.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use glass_checkpoint::{Index, WEIGHTS, WEIGHTS_INDEX};
use hf_hub::api::sync::{Api, ApiBuilder};
use hf_hub::{Cache, Repo, RepoType};

use super::cache::{CONFIG, OPTIONAL, absent_folder};
use super::listing::Listing;
use super::{HubError, HubOptions, HubProgress};

/// Tries for one file before a passing failure is taken for a lasting one, and the pause after the first of them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// One model on its way into the cache.
pub(super) struct Download<'a> {
    pub model: &'a str,
    pub revision: &'a str,
    pub cache: &'a Path,
    pub options: &'a HubOptions,
    pub api: Api,
}

/// Fetches what is not cached yet of `model` at `revision` and returns the folder of the commit.
///
/// The branch's name is bound to the commit only after the last file, so that a later run does not take a part for all.
pub(super) fn fetch(
    model: &str,
    revision: &str,
    cache: &Path,
    options: &HubOptions,
    progress: &mut dyn HubProgress,
) -> Result<PathBuf, HubError> {
    if !options.endpoint.starts_with("http://") && !options.endpoint.starts_with("https://") {
        return Err(HubError::BadEndpoint(options.endpoint.clone()));
    }
    let api = ApiBuilder::from_cache(Cache::new(cache.to_owned()))
        .with_endpoint(options.endpoint.clone())
        .with_token(options.token.clone())
        .with_progress(false)
        .build();
    let download = Download {
        model,
        revision,
        cache,
        options,
        api: api
            .map_err(|error| HubError::BadEndpoint(format!("{} ({error})", options.endpoint)))?,
    };
    download.all(progress)
}

impl Download<'_> {
    fn all(&self, progress: &mut dyn HubProgress) -> Result<PathBuf, HubError> {
        let listing = self.listing()?;
        let commit = listing.sha.as_str();
        let weights = self.weights(&listing)?;
        self.file(CONFIG, &listing, progress)?;
        let absent = absent_folder(self.cache, self.model, commit);
        for file in OPTIONAL {
            if listing.get(file).is_some() {
                self.file(file, &listing, progress)?;
            } else {
                let mark = absent.join(file);
                std::fs::create_dir_all(&absent)
                    .and_then(|()| std::fs::write(&mark, []))
                    .map_err(|source| HubError::Cache { path: mark, source })?;
            }
        }
        let path = self.file(weights, &listing, progress)?;
        if weights == WEIGHTS_INDEX {
            for shard in Index::read(&path)?.shards() {
                self.file(shard, &listing, progress)?;
            }
        }
        let repo = Cache::new(self.cache.to_owned()).repo(self.repo(self.revision));
        repo.create_ref(commit).map_err(|source| HubError::Cache {
            path: self.cache.to_owned(),
            source,
        })?;
        Ok(repo.pointer_path(commit))
    }

    /// Checks that the repository holds a model this crate can load, and names the file its weights begin with.
    fn weights(&self, listing: &Listing) -> Result<&'static str, HubError> {
        let unfit = |lacks: String, fix| HubError::Unfit {
            model: self.name(),
            lacks,
            fix,
        };
        if listing.get(CONFIG).is_none() {
            return Err(unfit(
                format!("no {CONFIG}"),
                "name a repository in the transformers layout",
            ));
        }
        let weights = [WEIGHTS, WEIGHTS_INDEX]
            .into_iter()
            .find(|file| listing.get(file).is_some());
        weights.ok_or_else(|| {
            unfit(
                format!("neither {WEIGHTS} nor {WEIGHTS_INDEX}"),
                "name a revision or repository with safetensors weights, or convert these with transformers' save_pretrained",
            )
        })
    }

    /// Brings one file into the cache, whole, and returns its path there.
    fn file(
        &self,
        file: &str,
        listing: &Listing,
        progress: &mut dyn HubProgress,
    ) -> Result<PathBuf, HubError> {
        let Some(sibling) = listing.get(file) else {
            return Err(HubError::Unfit {
                model: self.name(),
                lacks: format!("no {file}, although its {WEIGHTS_INDEX} names it"),
                fix: "tell its owner, or name another revision",
            });
        };
        let pinned = Cache::new(self.cache.to_owned()).repo(self.repo(&listing.sha));
        let path = pinned.pointer_path(&listing.sha).join(file);
        if path.exists() && self.check(&path, file, sibling.size).is_ok() {
            return Ok(path);
        }
        if path.symlink_metadata().is_ok() {
            // A link whose blob is gone; hf-hub would stumble over it.
            std::fs::remove_file(&path).map_err(|source| HubError::Cache {
                path: path.clone(),
                source,
            })?;
        }
        let mut attempt = 1;
        loop {
            let outcome =
                self.attempt(file, &listing.sha, progress)
                    .and_then(|(got, announced)| {
                        if got != path {
                            return Err(HubError::NotAHub {
                                model: self.name(),
                                url: self.url(file, &listing.sha),
                                reason: format!(
                                    "it gave another commit than the {} asked for",
                                    listing.sha
                                ),
                            });
                        }
                        self.check(&path, file, sibling.size.or(announced))
                    });
            match outcome {
                Ok(()) => {
                    progress.finish();
                    return Ok(path);
                }
                Err(error) if error.may_pass() && attempt < ATTEMPTS => {
                    thread::sleep(PAUSE * attempt)
                }
                Err(error) => return Err(error),
            }
            attempt += 1;
        }
    }

    /// Checks a file that has arrived, and throws it out of the cache if it cannot be what the hub has.
    fn check(&self, path: &Path, file: &str, expected: Option<u64>) -> Result<(), HubError> {
        let cache_error = |source| HubError::Cache {
            path: path.to_owned(),
            source,
        };
        let actual = std::fs::metadata(path).map_err(cache_error)?.len();
        let error = if let Some(expected) = expected.filter(|expected| *expected != actual) {
            HubError::Length {
                model: self.name(),
                file: file.to_owned(),
                actual,
                expected,
            }
        } else if file.ends_with(".json") {
            let text = std::fs::read(path).map_err(cache_error)?;
            match serde_json::from_slice::<serde::de::IgnoredAny>(&text) {
                Ok(_) => return Ok(()),
                Err(error) => HubError::NotJson {
                    model: self.name(),
                    file: file.to_owned(),
                    reason: error.to_string(),
                },
            }
        } else {
            return Ok(());
        };
        // The link and the blob behind it: either alone would be taken for the file.
        let blob = std::fs::canonicalize(path).map_err(cache_error)?;
        std::fs::remove_file(&blob).map_err(cache_error)?;
        if path.symlink_metadata().is_ok() {
            std::fs::remove_file(path).map_err(cache_error)?;
        }
        Err(error)
    }

    pub(super) fn repo(&self, revision: &str) -> Repo {
        Repo::with_revision(self.model.to_owned(), RepoType::Model, revision.to_owned())
    }

    pub(super) fn url(&self, file: &str, commit: &str) -> String {
        self.api.repo(self.repo(commit)).url(file)
    }

    pub(super) fn name(&self) -> String {
        format!("{}@{}", self.model, self.revision)
    }
}
