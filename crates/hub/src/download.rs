//! Fetching the files of a model into the cache: all of one commit, each whole or not there.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use glass_checkpoint::{Index, WEIGHTS, WEIGHTS_INDEX};
use serde::Deserialize;
use serde::de::IgnoredAny;
use ureq::http::{HeaderMap, StatusCode};

use crate::Fault::{self, *};
use crate::cache::{CONFIG, OPTIONAL, at, is_commit, link, open};
use crate::choice::{self, with_splits};
use crate::client::{Client, header};
use crate::error::shown;
use crate::name::{Name, Part, is_safe};
use crate::{HubError, HubOptions, HubProgress};

/// Tries for one file before a passing failure is taken for a lasting one, and the pause after the first of them.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_millis(400);

/// One model on its way into the cache.
pub struct Download<'a> {
    pub client: Client,
    pub options: &'a HubOptions,
    pub name: Name<'a>,
    pub revision: &'a str,
    /// The model's folder in the cache.
    pub repo: PathBuf,
    /// Also fetch the weights.
    pub weights: bool,
}

/// The hub's description of a repository at one commit.
#[derive(Deserialize)]
struct Listing {
    sha: String,
    siblings: Vec<Sibling>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
    size: Option<u64>,
}

type Progress<'a> = &'a mut dyn FnMut(HubProgress);

impl Download<'_> {
    /// Fetches what is not cached yet and returns the folder of the commit, or the GGUF file in it.
    ///
    /// The branch's name is bound to the commit only after the last file, so that a later run does not take a part for all.
    pub fn fetch(&self, progress: Progress) -> Result<PathBuf, HubError> {
        let Listing { sha, siblings } = self.listing()?;
        let get = |name: &str| siblings.iter().find(|file| file.rfilename == name);
        let names: Vec<&str> = siblings.iter().map(|file| file.rfilename.as_str()).collect();
        let gguf = self.gguf(&names, progress)?;
        let (mut files, mut weights) = (Vec::new(), None);
        match gguf {
            Some(first) => {
                for split in with_splits(first) {
                    files.push(get(&split).ok_or_else(|| self.fault(NoSplit(split)))?);
                }
            }
            None => {
                weights = self.weights_of_folder(&names)?;
                files.extend([CONFIG].into_iter().chain(OPTIONAL).chain(weights).filter_map(get));
            }
        }
        let _lock = at(&self.repo.join(".lock"), |path| {
            let lock = open(path)?;
            if lock.try_lock().is_err() {
                let message = "another process is downloading this model; waiting for it";
                progress(HubProgress::Warning(message));
                lock.lock()?;
            }
            Ok(lock)
        })?;
        let snapshot = self.repo.join("snapshots").join(&sha);
        for file in files {
            self.file(file, &sha, progress)?;
        }
        let known: &[&str] = if gguf.is_some() { &[WEIGHTS] } else { &OPTIONAL };
        for absent in known.iter().filter(|name| !names.contains(name)) {
            at(&self.repo.join(".no_exist").join(&sha).join(absent), |path| fs::write(path, ""))?;
        }
        if weights == Some(WEIGHTS_INDEX) {
            for shard in Index::read(&snapshot.join(WEIGHTS_INDEX))?.shards() {
                let file = get(shard).ok_or_else(|| self.fault(NoShard(shard.to_owned())))?;
                self.file(file, &sha, progress)?;
            }
        }
        let reference = self.repo.join("refs").join(self.revision);
        at(&reference, |path| fs::write(path, &sha))?;
        Ok(gguf.map_or(snapshot.clone(), |file| snapshot.join(file)))
    }

    /// The GGUF file that is meant, of several splits the first; `None` if the model is the folder. Which of several is taken
    /// is said.
    fn gguf<'f>(&self, names: &[&'f str], progress: Progress) -> Result<Option<&'f str>, HubError> {
        let models = choice::models(names);
        let has = |name| names.contains(&name);
        let is_folder = has(WEIGHTS) || has(WEIGHTS_INDEX) || !self.weights && has(CONFIG) && has(OPTIONAL[0]);
        let Name { repository, part } = self.name;
        if part == Part::Any && (is_folder || models.is_empty()) {
            return Ok(None);
        }
        let choices = choice::choices(&models, part);
        let Some(&first) = choices.first() else {
            let list = |of: Vec<String>| if of.is_empty() { "none".to_owned() } else { of.join(", ") };
            return Err(self.fault(match part {
                Part::Quantization(name) => {
                    NoQuantization(name.to_owned(), list(models.iter().map(|file| choice::label(file)).collect()))
                }
                Part::File(file) => NoGguf(file.to_owned(), list(models.iter().map(ToString::to_string).collect())),
                Part::Any => unreachable!("some model is chosen"),
            }));
        };
        let of = if part == Part::Any { models.len() } else { choices.len() };
        if of > 1 {
            progress(HubProgress::Warning(&format!(
                "of {of} GGUF files {first} is taken; another is named as {repository}:QUANTIZATION or {repository}/FILE"
            )));
        }
        Ok(Some(first))
    }

    /// The file of a folder's weights that comes with config and tokenizer, if weights are wanted.
    fn weights_of_folder(&self, names: &[&str]) -> Result<Option<&'static str>, HubError> {
        match [CONFIG, WEIGHTS, WEIGHTS_INDEX].map(|name| names.contains(&name)) {
            [false, _, _] => Err(self.fault(NoConfig)),
            _ if !self.weights => Ok(None),
            [_, false, false] => Err(self.fault(NoWeights)),
            [_, false, true] => Ok(Some(WEIGHTS_INDEX)),
            _ => Ok(Some(WEIGHTS)),
        }
    }

    /// Asks which commit the revision is, which files it has and how long they are.
    fn listing(&self) -> Result<Listing, HubError> {
        let (hub, model) = (&self.options.endpoint, self.name.repository);
        let revision = self.revision.replace('/', "%2F");
        let url = format!("{hub}/api/models/{model}/revision/{revision}?blobs=true");
        let unreachable = |error: ureq::Error| self.fault(Unreachable(shown(hub), error.to_string()));
        let mut answer = self.client.get(&url, 0, |_| ()).map_err(unreachable)?;
        if answer.status() != StatusCode::OK {
            let reason = header(answer.headers(), "x-error-message");
            return Err(self.refused(answer.status(), reason, url));
        }
        let text = answer.body_mut().read_to_string().map_err(unreachable)?;
        let reason = match serde_json::from_str::<Listing>(&text) {
            Ok(listing) if is_commit(&listing.sha) => return Ok(listing),
            Ok(listing) => format!("commit {:?}", listing.sha),
            Err(error) => error.to_string(),
        };
        Err(self.fault(NotAHub(reason, shown(&url))))
    }

    /// Brings one file to its place in the cache, whole.
    fn file(&self, file: &Sibling, sha: &str, progress: Progress) -> Result<(), HubError> {
        let path = self.repo.join("snapshots").join(sha).join(&file.rfilename);
        let mut attempt = 1;
        while self.check(&path, &file.rfilename, file.size).is_err() {
            match self.blob(file, sha, progress) {
                Ok(blob) => {
                    let depth = 2 + file.rfilename.matches('/').count();
                    return at(&path, |path| link(path, depth, &blob));
                }
                Err(error) if attempt == ATTEMPTS || !error.may_pass() => return Err(error),
                Err(_) => sleep(PAUSE * attempt),
            }
            attempt += 1;
        }
        Ok(())
    }

    /// One try to fetch what is not there yet of a file: where it is then, under the hub's name for its content.
    fn blob(&self, file: &Sibling, sha: &str, progress: Progress) -> Result<PathBuf, HubError> {
        let (name, size) = (&file.rfilename, file.size);
        let blobs = self.repo.join("blobs");
        let part = blobs.join(format!("{sha}-{}.part", name.replace('/', "-")));
        let disk = |error| HubError::Cache(part.clone(), error);
        let mut out = at(&part, open)?;
        let have = out.seek(SeekFrom::End(0)).map_err(disk)?;

        let (hub, model) = (&self.options.endpoint, self.name.repository);
        let url = format!("{hub}/{model}/resolve/{sha}/{name}");
        let broken = |error| match error {
            ureq::Error::Timeout(_) => Stalled(name.clone(), self.options.patience),
            error => Interrupted(name.clone(), error.to_string()),
        };
        let mut etag = None;
        let see = |headers: &HeaderMap| etag = etag.take().or(blob_name(headers));
        let answer = self.client.get(&url, have, see);
        let answer = answer.map_err(|error| self.fault(broken(error)))?;
        let status = answer.status();
        let is_past_end = have > 0 && status == StatusCode::RANGE_NOT_SATISFIABLE;
        if !status.is_success() && !is_past_end {
            return Err(self.refused(status, None, url));
        }
        let etag = etag.ok_or_else(|| self.fault(NotAHub("no header ETag".to_owned(), shown(&url))))?;
        let blob = blobs.join(etag);
        if self.check(&blob, name, size).is_ok() {
            // Another revision has the same content.
            return fs::remove_file(&part).map(|()| blob).map_err(disk);
        }
        // For example `bytes 200-999/1000`.
        let range = header(answer.headers(), "content-range");
        if have > 0 && !range.is_some_and(|r| r.starts_with(&format!("bytes {have}-"))) {
            out.set_len(0).map_err(disk)?;
            let reason = "the server cannot go on with the part on disk, which was removed";
            return Err(self.fault(Interrupted(name.clone(), reason.to_owned())));
        }
        let length = match range.map(|range| range.rsplit_once('/')) {
            Some(length) => length.and_then(|(_, length)| length.parse().ok()),
            None => answer.body().content_length(),
        };
        progress(HubProgress::Start(name, length.or(size).unwrap_or(0)));
        progress(HubProgress::Advance(have));
        let (mut body, mut buffer) = (answer.into_body().into_reader(), vec![0; 1 << 16]);
        loop {
            let read = body.read(&mut buffer);
            let read = read.map_err(|error| self.fault(broken(error.into())))?;
            if read == 0 {
                break;
            }
            out.write_all(&buffer[..read]).map_err(disk)?;
            progress(HubProgress::Advance(read as u64));
        }
        let checked = self.check(&part, name, size.or(length));
        checked.inspect_err(|_| drop(fs::remove_file(&part)))?;
        fs::rename(&part, &blob).map(|()| blob).map_err(disk)
    }

    /// Checks that what is at `path` can be the hub's file.
    fn check(&self, path: &Path, name: &str, size: Option<u64>) -> Result<(), HubError> {
        let disk = |error| HubError::Cache(path.to_owned(), error);
        let actual = fs::metadata(path).map_err(disk)?.len();
        if let Some(size) = size.filter(|size| *size != actual) {
            return Err(self.fault(Length(name.to_owned(), actual, size)));
        }
        if name.ends_with(".json") {
            let text = fs::read(path).map_err(disk)?;
            let json = serde_json::from_slice::<IgnoredAny>(&text);
            json.map_err(|error| self.fault(NotJson(name.to_owned(), error.to_string())))?;
        }
        Ok(())
    }

    /// The error that an HTTP status other than success stands for.
    fn refused(&self, status: StatusCode, reason: Option<&str>, url: String) -> HubError {
        let url = shown(&url);
        let page = format!("{}/{}", shown(&self.options.endpoint), self.name.repository);
        let reason = reason.map_or(String::new(), |reason| format!(": {reason:.200}"));
        let answer = format!("{}{reason}", status.as_u16());
        self.fault(match status.as_u16() {
            401 | 403 => Denied(answer, url, page),
            404 => NotFound(answer, url),
            429 | 500.. => Server(answer, url),
            _ => NotAHub(format!("HTTP {answer}"), url),
        })
    }

    fn fault(&self, fault: Fault) -> HubError {
        HubError::Model(format!("{}@{}", self.name.repository, self.revision), fault)
    }
}

/// The hub's name for a file's content, its hash as a rule.
fn blob_name(headers: &HeaderMap) -> Option<String> {
    let etag = header(headers, "x-linked-etag").or(header(headers, "etag"))?;
    let etag = etag.trim_start_matches("W/").trim_matches('"');
    is_safe(etag).then(|| etag.to_owned())
}
