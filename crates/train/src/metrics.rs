//! `metrics.jsonl`: what a training run measured, one JSON object per line.
//!
//! A line tells of the training steps since the last one, or of an evaluation on the held-out text:
//!
//! ```text
//! {"step":120,"train_loss":1.9,"lr":0.001,"grad_norm":0.8,"tokens":491520,"seconds":60.1}
//! {"step":250,"val_loss":1.7}
//! ```
//!
//! A killed run leaves at worst half a line at the end, and lines of steps that its last checkpoint does not know.
//! [`MetricsLog::resume`] drops both, so that the file of a resumed run says what that of an unbroken one would.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A line with a `train_loss`.
    Train(TrainRecord),
    /// A line with a `val_loss`.
    Evaluation(EvaluationRecord),
}

/// What training measured since the last such line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRecord {
    /// Optimizer steps taken so far.
    pub step: u64,
    /// Mean negative log-likelihood in nats per token, over the steps since the last line.
    pub train_loss: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Norm of this step's gradient before clipping.
    pub grad_norm: f64,
    /// Tokens trained on so far, over all steps.
    pub tokens: u64,
    /// Seconds spent training so far, over all resumed parts.
    pub seconds: f64,
}

/// One evaluation on the held-out text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRecord {
    /// Optimizer steps taken before it.
    pub step: u64,
    /// Mean negative log-likelihood in nats per token.
    pub val_loss: f64,
}

/// Why `metrics.jsonl` could not be written or read.
#[derive(Debug, Error)]
pub enum MetricsError {
    /// The file system said no.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        path: PathBuf,
        action: &'static str,
        source: io::Error,
    },
    /// A line that is no record, and not the half line a killed run leaves at the end. Lines count from 1.
    #[error("{}, line {line}: {problem}: mend or remove this line", path.display())]
    DamagedLine {
        path: PathBuf,
        line: usize,
        problem: String,
    },
    /// JSON has no NaN and no infinity, so such a record is refused and the file stays as it was.
    #[error("{}: {field} is {value} at step {step}, which JSON cannot hold: training has diverged, lower the learning rate", path.display())]
    NotFinite {
        path: PathBuf,
        field: &'static str,
        value: f64,
        step: u64,
    },
}

impl Record {
    /// Optimizer steps taken when it was written.
    pub fn step(&self) -> u64 {
        match self {
            Record::Train(record) => record.step,
            Record::Evaluation(record) => record.step,
        }
    }

    /// Reads one line, with or without its newline. The kind is chosen before the fields are read, so that the error
    /// names the field that is missing or too much.
    fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        let object: serde_json::Map<_, _> = serde_json::from_slice(line)?;
        if object.contains_key("val_loss") {
            serde_json::from_slice(line).map(Record::Evaluation)
        } else {
            serde_json::from_slice(line).map(Record::Train)
        }
    }

    fn not_finite(&self) -> Option<(&'static str, f64)> {
        let measured = match self {
            Record::Train(record) => vec![
                ("train_loss", record.train_loss),
                ("lr", record.lr),
                ("grad_norm", record.grad_norm),
                ("seconds", record.seconds),
            ],
            Record::Evaluation(record) => vec![("val_loss", record.val_loss)],
        };
        measured.into_iter().find(|(_, value)| !value.is_finite())
    }
}

/// `metrics.jsonl`, open for appending.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

/// What [`MetricsLog::resume`] found in the file.
#[derive(Debug, PartialEq)]
pub struct Resumed {
    /// The lines up to the checkpoint's step, which the file now consists of.
    pub kept: Vec<Record>,
    /// How many lines were dropped: those of later steps, and the half line if there was one.
    pub dropped: usize,
}

impl MetricsLog {
    /// Starts an empty file for a new run; one that is there already is replaced.
    pub fn create(path: &Path) -> Result<Self, MetricsError> {
        let file = File::create(path).map_err(failed(path, "create it"))?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Opens the file of a run that goes on from its checkpoint of `step`: whole lines up to and with that step stay as
    /// they are, byte for byte, the rest is dropped. The shorter file is written under a temporary name and renamed.
    ///
    /// A file that is missing counts as empty: a run can go on without its history.
    pub fn resume(path: &Path, step: u64) -> Result<(Self, Resumed), MetricsError> {
        let bytes = match fs::read(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            read => read.map_err(failed(path, "read it"))?,
        };
        let (lines, half_line) = whole_lines(path, &bytes)?;

        let read = lines.len() + usize::from(half_line);
        let mut whole = Vec::with_capacity(bytes.len() + 1);
        let mut kept = Vec::with_capacity(lines.len());
        for (line, record) in lines {
            if record.step() <= step {
                whole.extend_from_slice(line.trim_ascii_end());
                whole.push(b'\n');
                kept.push(record);
            }
        }

        let mut aside = OsString::from(path);
        aside.push(".tmp");
        let aside = PathBuf::from(aside);
        File::create(&aside)
            .and_then(|mut file| {
                file.write_all(&whole)?;
                file.sync_all()
            })
            .map_err(failed(&aside, "write it"))?;
        fs::rename(&aside, path).map_err(failed(path, "replace it"))?;

        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(failed(path, "append to it"))?;
        let dropped = read - kept.len();
        Ok((
            Self {
                path: path.to_owned(),
                file,
            },
            Resumed { kept, dropped },
        ))
    }

    /// Adds one line. It is handed to the operating system whole before this returns, so that killing the process
    /// afterwards does not lose it.
    pub fn append(&mut self, record: &Record) -> Result<(), MetricsError> {
        if let Some((field, value)) = record.not_finite() {
            return Err(MetricsError::NotFinite {
                path: self.path.clone(),
                field,
                value,
                step: record.step(),
            });
        }
        serde_json::to_vec(record)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            })
            .map_err(failed(&self.path, "append to it"))
    }

    /// Waits until all lines are on the disk: called before a checkpoint is renamed into place, it keeps the file from
    /// falling behind the checkpoint when the machine itself stops.
    pub fn sync(&self) -> Result<(), MetricsError> {
        self.file
            .sync_data()
            .map_err(failed(&self.path, "sync it to the disk"))
    }
}

/// All records of the file, in its order, without the half line that a killed run may have left at the end.
pub fn read_metrics(path: &Path) -> Result<Vec<Record>, MetricsError> {
    let bytes = fs::read(path).map_err(failed(path, "read it"))?;
    let (lines, _) = whole_lines(path, &bytes)?;
    Ok(lines.into_iter().map(|(_, record)| record).collect())
}

/// A line as it stands in the file, and what it says.
type Line<'a> = (&'a [u8], Record);

/// The lines of `bytes`, each with what it says, and whether half a line follows them. A last line that lacks only its
/// newline is whole: no part of an object is an object.
fn whole_lines<'a>(path: &Path, bytes: &'a [u8]) -> Result<(Vec<Line<'a>>, bool), MetricsError> {
    let mut lines = Vec::new();
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        match Record::parse(line) {
            Ok(record) => lines.push((line, record)),
            Err(_) if !line.ends_with(b"\n") => return Ok((lines, true)),
            Err(error) => {
                return Err(MetricsError::DamagedLine {
                    path: path.to_owned(),
                    line: index + 1,
                    // The parser saw one line only, and would call it line 1 (or 2, past its newline).
                    problem: match error.to_string().split_once(" at line ") {
                        Some((problem, _)) => problem.to_owned(),
                        None => error.to_string(),
                    },
                });
            }
        }
    }
    Ok((lines, false))
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> MetricsError {
    let path = path.to_owned();
    move |source| MetricsError::Io {
        path,
        action,
        source,
    }
}
