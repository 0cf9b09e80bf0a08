//! What is said between the process that measures and the one that shows: a line of JSON each way.
//!
//! Each model has a process of its own, so that its peak memory is its own, a cold start is cold, and whatever kills it
//! kills nobody else.

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Instant,
};

use glass_backend::{Device, DeviceError};
use glass_config::Override;
use glass_generate::Llama;
use serde::{Deserialize, Serialize};

use crate::{
    BenchError, Correctness, Greedy, Peaks, Precision, Round, Setup, Task, TaskTraffic, correct, costs, host_memory,
    measure,
    stopwatch::{self, OpTime},
    traffic,
};

/// What is asked, in this order; the first opens the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    Open(Setup),
    /// Write the reference's logits to this file.
    Reference(PathBuf),
    Round(Task),
    /// Compare with the reference in this file, and its greedy text.
    Check(PathBuf, Vec<u32>),
    /// The mean negative log-likelihood of this text, in nats.
    Loss(Vec<u32>),
    Peaks,
    /// What the task asks of the device.
    Traffic(Task),
    /// Op by op, in so many rounds.
    Ops(Task, usize),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    Opened(Opened),
    Reference(Vec<u32>),
    Round(Round),
    Checked(Checked),
    Loss(Option<f64>),
    Peaks(Peaks),
    Traffic(Option<TaskTraffic>),
    Ops(Vec<OpTime>),
    Failed(Failure),
}

/// A model that is ready.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Opened {
    /// What the device is, in its driver's words.
    pub adapter: String,
    /// Which bodies the fused operations really have there.
    pub kernels: String,
    /// What is really computed with.
    pub dtype: String,
    pub bytes_per_token: u64,
    pub load_s: f64,
    /// One line each.
    pub warnings: Vec<String>,
}

/// JSON has no NaN: `None` stands for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checked {
    pub max_logit_diff: Option<f64>,
    pub largest_logit: f64,
    pub equal: usize,
    pub compared: usize,
    pub gap: Option<f64>,
    pub tolerance: f64,
}

impl Checked {
    pub fn correctness(&self) -> Correctness {
        Correctness {
            max_logit_diff: self.max_logit_diff.unwrap_or(f64::NAN),
            largest_logit: self.largest_logit,
            greedy: Greedy { equal: self.equal, compared: self.compared, gap: self.gap },
        }
    }
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub reason: String,
    /// There is no such device in this build or machine.
    pub missing: bool,
}

impl Failure {
    pub fn new(reason: impl ToString) -> Self {
        Self { reason: reason.to_string(), missing: false }
    }
}

impl From<DeviceError> for Failure {
    fn from(error: DeviceError) -> Self {
        Self {
            reason: error.to_string(),
            missing: matches!(
                error,
                DeviceError::NotBuilt { .. } | DeviceError::NoAdapter { .. } | DeviceError::Start { .. }
            ),
        }
    }
}

impl From<BenchError> for Failure {
    fn from(error: BenchError) -> Self {
        Self::new(error)
    }
}

/// Answers lines until there are no more.
///
/// # Errors
/// Whoever asked is gone.
pub fn serve(requests: impl IntoIterator<Item = String>, mut answers: impl Write) -> io::Result<()> {
    let mut model = None;
    for line in requests {
        let answer = match serde_json::from_str(&line) {
            Ok(request) => answer(request, &mut model).unwrap_or_else(Answer::Failed),
            Err(error) => Answer::Failed(Failure::new(error)),
        };
        let text = serde_json::to_string(&answer)?;
        writeln!(answers, "{text}")?;
        answers.flush()?;
    }
    Ok(())
}

fn answer(request: Request, model: &mut Option<(Llama, Precision)>) -> Result<Answer, Failure> {
    if let Request::Open(setup) = request {
        let (llama, precision, opened) = open(&setup)?;
        *model = Some((llama, precision));
        return Ok(Answer::Opened(opened));
    }
    let Some((llama, precision)) = model else {
        return Err(Failure::new("no model was opened"));
    };
    Ok(match request {
        Request::Open(_) => unreachable!("answered above"),
        Request::Round(task) => Answer::Round(measure::round(llama, task)?),
        Request::Peaks => Answer::Peaks(Peaks::measure(&llama.device, llama.dtype)?),
        Request::Traffic(task) => Answer::Traffic(traffic::traffic(llama, task)?),
        Request::Ops(task, rounds) => Answer::Ops(stopwatch::ops(llama, *precision, task, rounds)?),
        Request::Reference(file) => Answer::Reference(correct::write_reference(llama, &file)?),
        Request::Loss(tokens) => Answer::Loss(finite(correct::loss(llama, &tokens)?)),
        Request::Check(file, tokens) => {
            let (seen, tolerance) = correct::check(llama, *precision, &file, &tokens)?;
            Answer::Checked(Checked {
                max_logit_diff: finite(seen.max_logit_diff),
                largest_logit: seen.largest_logit,
                equal: seen.greedy.equal,
                compared: seen.greedy.compared,
                gap: seen.greedy.gap.and_then(finite),
                tolerance,
            })
        }
    })
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

fn open(setup: &Setup) -> Result<(Llama, Precision, Opened), Failure> {
    let device = Device::open(&setup.device)?.with_kernel_mode(setup.kernels.parse()?);
    let precision: Precision = setup.dtype.parse().map_err(Failure::new)?;
    let (precision, next_best) = if setup.any_dtype { precision.on(&device) } else { (precision, None) };
    device.check_dtype(device.computes(precision.dtype))?;
    let overrides: Vec<Override> =
        setup.overrides.iter().map(|text| text.parse()).collect::<Result<_, _>>().map_err(Failure::new)?;
    let (config, _) = setup.origin.config(&overrides)?;
    host_memory::check(&device, costs::weight_bytes(&config, precision))?;
    let start = Instant::now();
    let mut llama = setup.origin.load(&overrides, device, precision)?;
    llama.kv_dtype = setup.cache_dtype.as_ref().map(|name| name.parse()).transpose().map_err(Failure::new)?;
    let opened = Opened {
        adapter: llama.device.description().to_owned(),
        kernels: llama.device.kernel_mode().to_string(),
        dtype: precision.to_string(),
        bytes_per_token: costs::bytes_per_token(&config, precision),
        load_s: start.elapsed().as_secs_f64(),
        warnings: next_best.into_iter().chain(llama.warnings.iter().cloned()).collect(),
    };
    Ok((llama, precision, opened))
}
