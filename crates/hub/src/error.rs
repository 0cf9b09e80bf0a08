//! What can go wrong between a model's name and its folder.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use thiserror::Error;

use glass_checkpoint::CheckpointError;

/// Why a model could not be had. `model` is `org/name@revision`. Every message is one line.
#[derive(Debug, Error)]
pub enum HubError {
    #[error("{0:?}: no such folder, and no hub name either, which is written org/name")]
    NoFolder(String),

    #[error("{} is a file; give the folder that holds it", .0.display())]
    NotAFolder(PathBuf),

    #[error("revision {revision:?} given with the local folder {}; a revision belongs to a hub name, drop it", folder.display())]
    RevisionOfFolder { folder: PathBuf, revision: String },

    #[error("revision {0:?} is not a branch, tag or commit name")]
    BadRevision(String),

    #[error(
        "no folder to cache models in: neither HF_HUB_CACHE, HF_HOME nor a home folder is set; set HF_HOME"
    )]
    NoCacheFolder,

    #[error("endpoint {0:?} is not a http:// or https:// address; correct or unset HF_ENDPOINT")]
    BadEndpoint(String),

    #[error("{model}: HF_HUB_OFFLINE is set and the cache {} {}; unset it, or give a local folder", cache.display(), lack(missing))]
    Offline {
        model: String,
        cache: PathBuf,
        missing: Option<String>,
    },

    #[error(
        "{model}: not in the cache, and {endpoint} cannot be reached ({reason}); check the connection and HF_ENDPOINT, or give a local folder"
    )]
    Unreachable {
        model: String,
        endpoint: String,
        reason: String,
    },

    #[error(
        "{model}: access refused (HTTP {status}{reason}) by {url}; check the name; if the model is gated or private, accept its licence at {page} and set HF_TOKEN to a token that may read it"
    )]
    Denied {
        model: String,
        status: u16,
        reason: String,
        url: String,
        page: String,
    },

    #[error(
        "{model}: not found (HTTP 404{reason}) at {url}; check the name and the revision, or give a local folder"
    )]
    NotFound {
        model: String,
        reason: String,
        url: String,
    },

    #[error("{model}: the server failed (HTTP {status}{reason}) at {url}; try again later")]
    Server {
        model: String,
        status: u16,
        reason: String,
        url: String,
    },

    #[error(
        "{model}: {url} did not answer as a Hugging Face hub does ({reason}); check HF_ENDPOINT and any proxy"
    )]
    NotAHub {
        model: String,
        url: String,
        reason: String,
    },

    #[error("{model}: the repository has {lacks}; {fix}")]
    Unfit {
        model: String,
        lacks: String,
        fix: &'static str,
    },

    #[error("{model}: the download of {file} broke off ({reason}); run again to go on with it")]
    Interrupted {
        model: String,
        file: String,
        reason: String,
    },

    #[error(
        "{model}: {file} came with {actual} bytes where the hub has {expected}; it was thrown away, run again"
    )]
    Length {
        model: String,
        file: String,
        actual: u64,
        expected: u64,
    },

    #[error(
        "{model}: {file} came as something that is not JSON ({reason}); it was thrown away, run again or check any proxy"
    )]
    NotJson {
        model: String,
        file: String,
        reason: String,
    },

    #[error("{model}: no data of {file} for {} s; check the connection and run again to go on with it", patience.as_secs_f32())]
    Stalled {
        model: String,
        file: String,
        patience: Duration,
    },

    #[error("{model}: another process holds {}; wait until it has downloaded {file}, then run again", lock.display())]
    Locked {
        model: String,
        file: String,
        lock: PathBuf,
    },

    #[error("cannot use the model cache at {}: {source}", path.display())]
    Cache { path: PathBuf, source: io::Error },

    #[error(transparent)]
    Index(#[from] CheckpointError),
}

impl HubError {
    /// Whether the hub could not be asked at all, so that a copy in the cache is the best there is.
    pub(super) fn is_outage(&self) -> bool {
        matches!(self, Self::Unreachable { .. } | Self::Server { .. })
    }

    /// Whether the same request may well succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::Server { .. } | Self::Interrupted { .. } | Self::Length { .. }
        )
    }
}

fn lack(missing: &Option<String>) -> String {
    match missing {
        Some(file) => format!("lacks its {file}"),
        None => "does not hold it".to_owned(),
    }
}
