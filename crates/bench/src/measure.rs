//! One model, timed.
//!
//! A device may do its work later than it is asked for: when a call returns, nothing but a place in a queue may have been
//! made. So the clock is read only where nothing can be pending. Before each timed stretch the device is waited for
//! ([`Device::sync`]), and each stretch ends with its logits on the host, which cannot be there before everything that they
//! depend on is done; stretches without logits end with `sync` again. This is also how a text is written: no token can be
//! chosen before the logits of the last one have arrived.

use std::{ops::Range, time::Instant};

use glass_backend::{Device, peak_host_bytes};
use glass_generate::{Lane, Llama, PrefillOptions, Sampler, SamplingConfig, step};
use serde::{Deserialize, Serialize};

use crate::{BenchError, Task, costs};

/// What one round of a row took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Everything, the tokens before the prompt included.
    pub whole_s: f64,
    /// From the prompt to its logits.
    pub prefill_s: f64,
    /// From the prompt to the first token.
    pub first_s: f64,
    /// Each later token, from the one before it to itself.
    pub tokens_s: Vec<f64>,
    /// Of the prompt.
    pub flops: f64,
    /// The most that the process has had so far.
    pub peak_host_bytes: Option<u64>,
    /// What the device has set aside for the process, where it says; it gives nothing back while the process runs.
    pub device_bytes: Option<u64>,
}

/// Does the task once.
///
/// # Errors
/// The device fails, cannot hold the text, or gives logits that are no numbers.
pub fn round(llama: &Llama, task: Task) -> Result<Round, BenchError> {
    let Task { depth, prompt, new_tokens } = task;
    let mut text = Text::new(llama, depth + prompt + new_tokens)?;
    let mut sampler = Sampler::new(SamplingConfig::default())?;
    let start = Instant::now();
    text.read(0..depth)?;
    llama.device.sync()?;

    let clock = Instant::now();
    let mut logits = text.logits_after(depth..depth + prompt)?;
    let prefill_s = clock.elapsed().as_secs_f64();
    let mut id = sampler.sample(&mut logits, &[])?;
    let first_s = clock.elapsed().as_secs_f64();
    let mut tokens_s = Vec::with_capacity(new_tokens);
    for _ in 0..new_tokens {
        let clock = Instant::now();
        let mut logits = text.step(id)?;
        id = sampler.sample(&mut logits, &[])?;
        tokens_s.push(clock.elapsed().as_secs_f64());
    }
    Ok(Round {
        whole_s: start.elapsed().as_secs_f64(),
        prefill_s,
        first_s,
        tokens_s,
        flops: costs::flops(&llama.config, depth, prompt),
        peak_host_bytes: peak_host_bytes(),
        device_bytes: reserved(&llama.device),
    })
}

/// Bytes of its own memory that the device has set aside for this process; `None` where the backend does not say.
fn reserved(device: &Device) -> Option<u64> {
    Some(device.burn().memory_pool_usage()?.bytes_reserved)
}

/// A text as far as a model has read it, as [`generate`](glass_generate::generate) reads it.
pub struct Text<'a> {
    pub(crate) llama: &'a Llama,
    pub(crate) lane: Lane,
}

impl<'a> Text<'a> {
    /// Nothing yet, with room for `len` tokens.
    ///
    /// # Errors
    /// The device cannot hold so many.
    pub fn new(llama: &'a Llama, len: usize) -> Result<Self, BenchError> {
        let mut lane = Lane::new(llama, PrefillOptions::default())?;
        lane.reserve(len, len)?;
        Ok(Self { llama, lane })
    }

    /// Reads the tokens at these positions, and asks for no logits.
    ///
    /// # Errors
    /// The device fails.
    pub fn read(&mut self, positions: Range<usize>) -> Result<(), BenchError> {
        self.logits_of(&self.tokens(positions), 0)?;
        Ok(())
    }

    /// Reads them, and returns the logits `[vocab_size]` of the last one.
    ///
    /// # Errors
    /// The device fails.
    pub fn logits_after(&mut self, positions: Range<usize>) -> Result<Vec<f32>, BenchError> {
        self.logits_of(&self.tokens(positions), 1)
    }

    /// Reads one token, and returns the logits `[vocab_size]` of what follows it.
    ///
    /// # Errors
    /// The device fails.
    pub fn step(&mut self, id: u32) -> Result<Vec<f32>, BenchError> {
        self.logits_of(&[id], 1)
    }

    /// Reads some tokens, and returns the logits of the last `rows`, `[rows, vocab_size]`.
    ///
    /// # Errors
    /// The device fails.
    pub fn logits_of(&mut self, ids: &[u32], rows: usize) -> Result<Vec<f32>, BenchError> {
        self.lane.push(ids, rows);
        let mut logits = Vec::new();
        while self.lane.unread() > 0 {
            let some = step(self.llama, [&mut self.lane])?.read()?.into_values();
            if logits.is_empty() {
                logits = some;
            } else {
                logits.extend(some);
            }
        }
        Ok(logits)
    }

    /// The same text for everybody.
    pub fn tokens(&self, positions: Range<usize>) -> Vec<u32> {
        let vocab = self.llama.config.vocab_size;
        // 7919 is a prime that divides no usual vocabulary: neighbours differ.
        positions.map(|position| (position.wrapping_mul(7919) % vocab) as u32).collect()
    }
}
