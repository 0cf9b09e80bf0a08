//! One file on its way from the hub, by `hf-hub`, watched from outside.

use std::path::PathBuf;
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread;

use hf_hub::Cache;
use hf_hub::api::Progress;
use hf_hub::api::sync::ApiError;

use super::fetch::Download;
use super::{HubError, HubProgress};

impl Download<'_> {
    /// One try at one file: its path in the cache and the length the server announced.
    ///
    /// `hf-hub` sets no time limits and lets none be set. So the request runs in a thread of its own, which is left
    /// behind if it has been silent for too long; the lock it holds in the cache ends with the process.
    pub(super) fn attempt(
        &self,
        file: &str,
        commit: &str,
        progress: &mut dyn HubProgress,
    ) -> Result<(PathBuf, Option<u64>), HubError> {
        let (events, inbox) = mpsc::channel();
        let api = self.api.clone();
        let repo = api.repo(self.repo(commit));
        let cache = Cache::new(self.cache.to_owned()).repo(self.repo(commit));
        let name = file.to_owned();
        let work = move || {
            let reporter = Reporter {
                events: events.clone(),
                started: false,
            };
            let result = repo.download_with_progress(&name, reporter);
            if result.as_ref().is_err_and(cannot_resume)
                && let Ok(metadata) = api.metadata(&repo.url(&name))
            {
                // Fails only if the part is gone already, which is what is wanted.
                let _ =
                    std::fs::remove_file(cache.blob_path(metadata.etag()).with_extension("part"));
            }
            // Nobody listens any more once this thread has been given up.
            let _ = events.send(Event::Done(result));
        };
        let spawned = thread::Builder::new()
            .name("download".to_owned())
            .spawn(work);
        spawned.map_err(|error| self.interrupted(file, error.to_string()))?;

        let mut announced = None;
        loop {
            match inbox.recv_timeout(self.options.patience) {
                Ok(Event::Start(bytes)) => {
                    announced = Some(bytes);
                    progress.start(file, bytes);
                }
                Ok(Event::Advance(bytes)) => progress.advance(bytes),
                Ok(Event::Done(Ok(path))) => return Ok((path, announced)),
                Ok(Event::Done(Err(error))) => return Err(self.failure(file, commit, error)),
                Err(RecvTimeoutError::Timeout) => {
                    return Err(HubError::Stalled {
                        model: self.name(),
                        file: file.to_owned(),
                        patience: self.options.patience,
                    });
                }
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(
                        self.interrupted(file, "the server's answer makes no sense".to_owned())
                    );
                }
            }
        }
    }

    fn failure(&self, file: &str, commit: &str, error: ApiError) -> HubError {
        use std::io::ErrorKind;
        let not_a_hub = |reason: String| HubError::NotAHub {
            model: self.name(),
            url: self.url(file, commit),
            reason,
        };
        match error {
            error if cannot_resume(&error) => self.interrupted(
                file,
                "what an earlier download left does not fit and was removed".to_owned(),
            ),
            ApiError::RequestError(error) => match *error {
                ureq::Error::StatusCode(status) => self.status(status, "", self.url(file, commit)),
                error => self.interrupted(file, error.to_string()),
            },
            ApiError::IoError(source)
                if matches!(
                    source.kind(),
                    ErrorKind::StorageFull
                        | ErrorKind::QuotaExceeded
                        | ErrorKind::PermissionDenied
                        | ErrorKind::ReadOnlyFilesystem
                        | ErrorKind::NotADirectory
                        | ErrorKind::NotFound
                        | ErrorKind::AlreadyExists
                ) =>
            {
                HubError::Cache {
                    path: self.cache.to_owned(),
                    source,
                }
            }
            ApiError::IoError(error) => self.interrupted(file, error.to_string()),
            ApiError::MissingHeader(name) => not_a_hub(format!("no header {name}")),
            ApiError::InvalidHeader(name) => not_a_hub(format!("bad header {name}")),
            ApiError::ParseIntError(_) => {
                not_a_hub("bad length in header Content-Range".to_owned())
            }
            ApiError::LockAcquisition(lock) => HubError::Locked {
                model: self.name(),
                file: file.to_owned(),
                lock,
            },
            other => self.interrupted(file, other.to_string()),
        }
    }

    fn interrupted(&self, file: &str, reason: String) -> HubError {
        HubError::Interrupted {
            model: self.name(),
            file: file.to_owned(),
            reason,
        }
    }
}

/// Whether the part of the file that is on disk stands in the way: it is longer than the file, or as long, so that
/// there is nothing left to ask for (HTTP 416). `hf-hub` would fail on it for ever.
fn cannot_resume(error: &ApiError) -> bool {
    match error {
        ApiError::InvalidResume => true,
        ApiError::RequestError(error) => matches!(**error, ureq::Error::StatusCode(416)),
        _ => false,
    }
}

enum Event {
    Start(u64),
    Advance(u64),
    Done(Result<PathBuf, ApiError>),
}

/// Passes what `hf-hub` reports to the thread that waits.
struct Reporter {
    events: Sender<Event>,
    started: bool,
}

impl Progress for Reporter {
    fn init(&mut self, size: usize, _filename: &str) {
        // hf-hub calls this twice per file.
        if !std::mem::replace(&mut self.started, true) {
            let _ = self.events.send(Event::Start(size as u64));
        }
    }

    fn update(&mut self, size: usize) {
        let _ = self.events.send(Event::Advance(size as u64));
    }

    fn finish(&mut self) {}
}
