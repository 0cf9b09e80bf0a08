//! Why a model could not be had. Every message is one line that says what would fix it.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use glass_checkpoint::{CheckpointError, WEIGHTS, WEIGHTS_INDEX};
use thiserror::Error;

/// What can go wrong between a model's name and its files.
#[derive(Debug, Error)]
pub enum HubError {
    #[error(
        "{0:?}: no such folder or file, and no hub name either, which is written org/name, org/name:Q4_K_M or org/name/file.gguf"
    )]
    NothingThere(String),
    #[error("{0} is a file, and no GGUF file; give the folder that holds it, or a GGUF file")]
    NotGguf(PathBuf),
    #[error("revision {0:?} given with the local model {1}; a revision belongs to a hub name, drop it")]
    RevisionOfPath(String, PathBuf),
    #[error("revision {0:?} is not a branch, tag or commit name")]
    BadRevision(String),
    #[error("no folder to cache models in: neither HF_HUB_CACHE, HF_HOME nor a home folder is set; set HF_HOME")]
    NoCacheFolder,
    #[error("endpoint {0:?} is not a http:// or https:// address; correct or unset HF_ENDPOINT")]
    BadEndpoint(String),
    #[error("the token of HF_TOKEN, or of its file, has characters that no token has; copy it again, or unset it")]
    BadToken,
    #[error("cannot use the model cache at {0}: {1}")]
    Cache(PathBuf, #[source] io::Error),
    #[error(transparent)]
    Index(#[from] CheckpointError),
    /// `org/name@revision`, and what happened to it.
    #[error("{0}: {1}")]
    Model(String, Fault),
}

/// What keeps a model of the hub from being fetched.
#[derive(Debug, Error)]
pub enum Fault {
    #[error("HF_HUB_OFFLINE is set and the cache {0} {1}; unset it, or give a local folder")]
    Offline(PathBuf, String),
    #[error(
        "not in the cache, and {0} cannot be reached ({1}); check the connection and HF_ENDPOINT, or give a local folder"
    )]
    Unreachable(String, String),
    #[error(
        "access refused (HTTP {0}) by {1}; check the name; if the model is gated or private, accept its licence at {2} and set HF_TOKEN to a token that may read it"
    )]
    Denied(String, String, String),
    #[error("not found (HTTP {0}) at {1}; check the name and the revision, or give a local folder")]
    NotFound(String, String),
    #[error("the server failed (HTTP {0}) at {1}; try again later")]
    Server(String, String),
    #[error("{1} did not answer as a Hugging Face hub does ({0}); check HF_ENDPOINT and any proxy")]
    NotAHub(String, String),
    #[error("the repository has no GGUF file of {0:?}; it has {1}")]
    NoQuantization(String, String),
    #[error("the repository has no GGUF model {0}; it has {1}")]
    NoGguf(String, String),
    #[error("the repository has no {0}, one of the splits of its model; tell its owner, or name another file")]
    NoSplit(String),
    #[error(
        "the repository has neither config.json nor a GGUF file; name one in the transformers layout, or with a GGUF file"
    )]
    NoConfig,
    #[error(
        "the repository has neither {WEIGHTS} nor {WEIGHTS_INDEX} nor a GGUF file; name a revision or repository with such weights, or convert these with transformers' save_pretrained"
    )]
    NoWeights,
    #[error(
        "the repository has no {0}, although its {WEIGHTS_INDEX} names it; tell its owner, or name another revision"
    )]
    NoShard(String),
    #[error("the download of {0} broke off ({1}); run again to go on with it")]
    Interrupted(String, String),
    #[error("{0} came with {1} bytes where the hub has {2}; it was thrown away, run again")]
    Length(String, u64, u64),
    #[error("{0} came as something that is not JSON ({1}); it was thrown away, run again or check any proxy")]
    NotJson(String, String),
    #[error("no data of {} for {} s; check the connection and run again to go on with it", .0, .1.as_secs_f32())]
    Stalled(String, Duration),
}

/// An address without its user and password.
pub(crate) fn shown(address: &str) -> String {
    let start = address.find("://").map_or(0, |at| at + "://".len());
    let end = address[start..].find('/').map_or(address.len(), |at| start + at);
    match address[start..end].rfind('@') {
        Some(at) => format!("{}***{}", &address[..start], &address[start + at..]),
        None => address.to_owned(),
    }
}

impl HubError {
    /// Whether the same request may well succeed a moment later.
    pub(crate) fn may_pass(&self) -> bool {
        use Fault::*;
        matches!(self, Self::Model(_, Server(..) | Interrupted(..) | Length(..)))
    }
}
