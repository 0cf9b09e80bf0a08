//! What a prompt and a token ask of a graphics adapter, in calls and bytes.

use glass_backend::{Traffic, TrafficCounter};
use glass_generate::{Llama, Sampler, SamplingConfig};
use serde::{Deserialize, Serialize};

use crate::{BenchError, Task, measure::Text};

/// Tokens that are written before the one that counts: the first has shapes that the prompt had not.
const BEFORE: usize = 2;

/// What was counted of one pass. Kernels, submissions and waits cost a graphics adapter microseconds each, however little they do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub launches: u64,
    pub submissions: u64,
    pub uploads: u64,
    pub bytes_read: u64,
    pub waits: u64,
}

impl From<Traffic> for Counts {
    fn from(traffic: Traffic) -> Self {
        let Traffic { launches, submissions, uploads, bytes_read, waits } = traffic;
        Self { launches, submissions, uploads, bytes_read, waits }
    }
}

/// The prompt, and one token after it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskTraffic {
    pub prefill: Counts,
    pub token: Counts,
}

/// Does the task as [`round`](crate::round) does, but for the number of tokens, and counts. `None` on a device without a driver
/// that could be asked for anything.
///
/// # Errors
/// The device fails, or cannot hold the text.
pub fn traffic(llama: &Llama, task: Task) -> Result<Option<TaskTraffic>, BenchError> {
    let Task { depth, prompt, .. } = task;
    let mut text = Text::new(llama, depth + prompt + BEFORE + 1)?;
    let mut sampler = Sampler::new(SamplingConfig::default())?;
    text.read(0..depth)?;
    llama.device.sync()?;
    let Some(mut counter) = TrafficCounter::start(&llama.device) else {
        return Ok(None);
    };
    let mut logits = text.logits_after(depth..depth + prompt)?;
    let prefill = counter.take().into();
    for _ in 0..BEFORE {
        let id = sampler.sample(&mut logits, &[])?;
        logits = text.step(id)?;
    }
    let id = sampler.sample(&mut logits, &[])?;
    counter.take();
    text.step(id)?;
    Ok(Some(TaskTraffic { prefill, token: counter.take().into() }))
}
