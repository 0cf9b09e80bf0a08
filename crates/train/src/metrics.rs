//! `metrics.jsonl`: what a training run measured, one JSON object per line.
//!
//! A line reports the training steps since the last one, or an evaluation on the held-out text:
//!
//! ```text
//! {"step":120,"train_loss":1.9,"lr":0.001,"grad_norm":0.8,"tokens":491520,"seconds":60.1}
//! {"step":250,"val_loss":1.7}
//! ```
//!
//! A run that was broken off may leave lines of steps after its last checkpoint, and incomplete ones after a kill, a full disk
//! or a power cut. [`MetricsLog::resume`] discards both: the file of a resumed run is that of an unbroken one.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Its name in the folder of a run.
pub const METRICS: &str = "metrics.jsonl";

/// One line of the file.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// A line with a `train_loss`.
    Train(TrainRecord),
    /// A line with a `val_loss`.
    Evaluation(EvaluationRecord),
}

/// Training since the last such line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainRecord {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean negative log-likelihood over the steps since the last line, in nats per token.
    pub train_loss: f64,
    /// Learning rate of this step.
    pub lr: f64,
    /// Norm of this step's gradients before clipping.
    pub grad_norm: f64,
    /// Tokens trained on in all steps.
    pub tokens: u64,
    /// Seconds spent training, over all resumed parts.
    pub seconds: f64,
}

/// One evaluation on the held-out text.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EvaluationRecord {
    /// Optimizer steps done.
    pub step: u64,
    /// Mean negative log-likelihood in nats per token.
    pub val_loss: f64,
}

/// Why `metrics.jsonl` could not be written or read.
#[derive(Debug, Error)]
pub enum MetricsError {
    #[error("{}: cannot {action}: {source}", path.display())]
    Io { path: PathBuf, action: &'static str, source: io::Error },
    /// A line that is not a record, nor the incomplete last line of a killed run. Lines count from 1.
    #[error("{}, line {line}: {problem}: correct or remove this line", path.display())]
    DamagedLine { path: PathBuf, line: usize, problem: String },
    /// JSON has neither NaN nor infinity: the record is refused and the file unchanged.
    #[error("{}: {field} is {value} at step {step}, which JSON cannot hold: training has diverged, lower the learning rate", path.display())]
    NotFinite { path: PathBuf, field: &'static str, value: f64, step: u64 },
}

impl Record {
    /// Optimizer steps done.
    pub fn step(&self) -> u64 {
        match self {
            Record::Train(record) => record.step,
            Record::Evaluation(record) => record.step,
        }
    }

    /// Parses one line, with or without its newline. The kind is chosen before the fields are read, so that the error
    /// names the field that is missing or unknown.
    fn parse(line: &[u8]) -> Result<Self, serde_json::Error> {
        let object: serde_json::Map<_, _> = serde_json::from_slice(line)?;
        if object.contains_key("val_loss") {
            serde_json::from_slice(line).map(Record::Evaluation)
        } else {
            serde_json::from_slice(line).map(Record::Train)
        }
    }

    fn not_finite(&self) -> Option<(&'static str, f64)> {
        let values: &[(&str, f64)] = match self {
            Record::Train(record) => &[
                ("train_loss", record.train_loss),
                ("lr", record.lr),
                ("grad_norm", record.grad_norm),
                ("seconds", record.seconds),
            ],
            Record::Evaluation(record) => &[("val_loss", record.val_loss)],
        };
        values.iter().copied().find(|(_, value)| !value.is_finite())
    }
}

/// `metrics.jsonl`, open for appending, and its records.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
    records: Vec<Record>,
}

impl MetricsLog {
    /// Creates an empty file for a new run, replacing any other.
    pub fn create(path: &Path) -> Result<Self, MetricsError> {
        Ok(Self {
            path: path.to_owned(),
            file: File::create(path).map_err(failed(path, "create it"))?,
            records: Vec::new(),
        })
    }

    /// Opens the file of a run that resumes from its checkpoint of `step`, and truncates it after the last line of that
    /// step. A missing file counts as empty: a run can resume without its history.
    ///
    /// # Errors
    /// [`MetricsError::DamagedLine`] before the end of that step; the file is unchanged then.
    pub fn resume(path: &Path, step: u64) -> Result<Self, MetricsError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).append(true).create(true);
        let mut file = options.open(path).map_err(failed(path, "open it"))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(failed(path, "read it"))?;
        let (mut records, mut whole) = (Vec::new(), &bytes[..0]);
        for (end, record) in parse_lines(path, &bytes, step)? {
            whole = &bytes[..end];
            records.push(record);
        }
        file.set_len(whole.len() as u64)
            .and_then(|()| match whole.last() {
                None | Some(b'\n') => Ok(()),
                Some(_) => file.write_all(b"\n"),
            })
            .and_then(|()| file.sync_all())
            .map_err(failed(path, "truncate it"))?;
        Ok(Self { path: path.to_owned(), file, records })
    }

    /// All records, in the order of the file.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Step and loss of every training record.
    pub(crate) fn train_losses(&self) -> Vec<(f64, f64)> {
        let losses = self.records.iter().filter_map(|record| match record {
            Record::Train(record) => Some((record.step as f64, record.train_loss)),
            Record::Evaluation(_) => None,
        });
        losses.collect()
    }

    pub(crate) fn evaluations(&self) -> impl DoubleEndedIterator<Item = &EvaluationRecord> {
        self.records.iter().filter_map(|record| match record {
            Record::Evaluation(record) => Some(record),
            Record::Train(_) => None,
        })
    }

    /// Appends one line. The operating system has the whole line before this returns, so a killed process does not lose
    /// it.
    pub fn append(&mut self, record: Record) -> Result<(), MetricsError> {
        if let Some((field, value)) = record.not_finite() {
            return Err(MetricsError::NotFinite { path: self.path.clone(), field, value, step: record.step() });
        }
        serde_json::to_vec(&record)
            .map_err(io::Error::from)
            .and_then(|mut line| {
                line.push(b'\n');
                self.file.write_all(&line)
            })
            .map_err(failed(&self.path, "append to it"))?;
        self.records.push(record);
        Ok(())
    }

    /// Waits until the disk has all lines. Called before a checkpoint is saved, it keeps the file from falling behind the
    /// checkpoint when the machine stops.
    pub fn sync(&self) -> Result<(), MetricsError> {
        self.file.sync_data().map_err(failed(&self.path, "sync it to the disk"))
    }
}

/// The records of `bytes` up to the last of `step`, each with the end of its line. What comes after them need not be whole,
/// nor need a last line without a newline; one that lacks only that is complete: no prefix of an object is an object.
fn parse_lines(path: &Path, bytes: &[u8], step: u64) -> Result<Vec<(usize, Record)>, MetricsError> {
    let (mut lines, mut end) = (Vec::<(usize, Record)>::new(), 0);
    for (index, line) in bytes.split_inclusive(|&byte| byte == b'\n').enumerate() {
        end += line.len();
        match Record::parse(line) {
            Ok(record) if record.step() > step => break,
            Ok(record) => lines.push((end, record)),
            Err(_) if !line.ends_with(b"\n") || lines.last().is_some_and(|(_, last)| last.step() == step) => break,
            Err(error) => {
                return Err(MetricsError::DamagedLine {
                    path: path.to_owned(),
                    line: index + 1,
                    // The parser sees one line only, and calls it line 1 (or 2, past its newline).
                    problem: match error.to_string().split_once(" at line ") {
                        Some((problem, _)) => problem.to_owned(),
                        None => error.to_string(),
                    },
                });
            }
        }
    }
    Ok(lines)
}

fn failed(path: &Path, action: &'static str) -> impl FnOnce(io::Error) -> MetricsError {
    let path = path.to_owned();
    move |source| MetricsError::Io { path, action, source }
}
