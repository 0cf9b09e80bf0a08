//! What was measured of one row, and the record that it makes.

use std::time::Duration;

use crate::{Better, Opened, Peaks, Record, Round, Setup, Summary, Task, TaskTraffic};

/// One setup with one task.
#[derive(Clone, Debug)]
pub struct Row {
    /// Its place among the setups that are measured.
    pub subject: usize,
    pub task: Task,
    pub cold: Option<Round>,
    pub warm: Vec<Round>,
    /// What it asks of the device, where that can be counted.
    pub traffic: Option<TaskTraffic>,
    /// Why there is no more of it.
    pub error: Option<String>,
}

impl Row {
    pub fn new(subject: usize, task: Task) -> Self {
        Self { subject, task, cold: None, warm: Vec::new(), traffic: None, error: None }
    }

    pub fn add(&mut self, round: Round) {
        match self.cold {
            None => self.cold = Some(round),
            Some(_) => self.warm.push(round),
        }
    }

    /// How long the warm rounds took together.
    pub fn took(&self) -> Duration {
        let seconds = self.warm.iter().map(|round| round.whole_s).sum();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }

    /// The rates of every round, and what follows from them under these roofs.
    pub fn record(&self, setup: &Setup, opened: Option<&Opened>, roofs: Peaks) -> Record {
        let Task { depth, prompt, new_tokens } = self.task;
        let rates = |seconds: fn(&Round) -> f64, tokens: usize| {
            let rates: Vec<f64> = self.warm.iter().map(|round| tokens as f64 / seconds(round)).collect();
            Summary::of(&rates, Better::Higher)
        };
        let prefill = rates(|round| round.prefill_s, prompt);
        let decode = rates(|round| round.tokens_s.iter().sum(), new_tokens);
        let times = |seconds: Vec<f64>| Summary::of(&seconds, Better::Lower);
        let first = times(self.warm.iter().map(|round| round.first_s).collect());
        let tokens = times(self.warm.iter().flat_map(|round| round.tokens_s.iter().copied()).collect());
        let rounds = || self.cold.iter().chain(&self.warm);
        let share = |own: Option<f64>, roof: Option<f64>| {
            let share = own? / roof?;
            share.is_finite().then_some(share)
        };
        let bytes_per_token = opened.map(|opened| opened.bytes_per_token);
        let read = decode.and_then(|rate| Some(bytes_per_token? as f64 * rate.median));
        let prompt_asks = self.traffic.map(|traffic| traffic.prefill);
        let token_asks = self.traffic.map(|traffic| traffic.token);
        let flops = prefill.and_then(|rate| Some(self.cold.as_ref()?.flops * rate.median / prompt as f64));
        Record {
            device: setup.device.clone(),
            adapter: opened.map_or(String::new(), |opened| opened.adapter.clone()),
            dtype: setup
                .cache_dtype
                .as_ref()
                .map_or(setup.dtype.clone(), |cache| format!("{} (cache {cache})", setup.dtype)),
            kernels: setup.kernels.clone(),
            prompt,
            new_tokens,
            depth,
            rounds: self.warm.len(),
            prefill_tps: prefill.map(|rate| rate.median),
            prefill_tps_mean: prefill.map(|rate| rate.mean),
            prefill_tps_sd: prefill.and_then(|rate| rate.standard_deviation),
            decode_tps: decode.map(|rate| rate.median),
            decode_tps_mean: decode.map(|rate| rate.mean),
            decode_tps_sd: decode.and_then(|rate| rate.standard_deviation),
            ttft_ms: first.map(|time| 1e3 * time.median),
            token_ms_p50: tokens.map(|time| 1e3 * time.median),
            token_ms_p95: tokens.map(|time| 1e3 * time.p95),
            cold_s: self.cold.as_ref().map(|round| round.whole_s),
            load_s: opened.map(|opened| opened.load_s),
            peak_host_bytes: rounds().filter_map(|round| round.peak_host_bytes).max(),
            peak_device_bytes: rounds().filter_map(|round| round.device_bytes).max(),
            bytes_per_token,
            bandwidth: roofs.bandwidth,
            bandwidth_share: share(read, roofs.bandwidth),
            flops,
            gemm_flops: roofs.gemm_flops,
            gemm_share: share(flops, roofs.gemm_flops),
            prefill_launches: prompt_asks.map(|asks| asks.launches),
            prefill_submissions: prompt_asks.map(|asks| asks.submissions),
            prefill_uploads: prompt_asks.map(|asks| asks.uploads),
            prefill_bytes_read: prompt_asks.map(|asks| asks.bytes_read),
            prefill_waits: prompt_asks.map(|asks| asks.waits),
            token_launches: token_asks.map(|asks| asks.launches),
            token_submissions: token_asks.map(|asks| asks.submissions),
            token_uploads: token_asks.map(|asks| asks.uploads),
            token_bytes_read: token_asks.map(|asks| asks.bytes_read),
            token_waits: token_asks.map(|asks| asks.waits),
            error: self.error.clone(),
            ..Record::default()
        }
    }
}
