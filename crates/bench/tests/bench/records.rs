//! Results as benchmarks report them, and their text in a format.

use glass_bench::{Format, Record, render};

pub fn measured(device: &str) -> Record {
    Record {
        device: device.into(),
        adapter: "a machine, of two cores".into(),
        dtype: "f32".into(),
        kernels: "fused".into(),
        model: "llama-40M".into(),
        parameters: Some(39_979_520),
        prompt: 512,
        new_tokens: 64,
        depth: 4096,
        repeat: 5,
        rounds: 5,
        prefill_tps: Some(1234.5678),
        prefill_tps_mean: Some(1230.1),
        prefill_tps_sd: Some(12.25),
        decode_tps: Some(98.7654),
        decode_tps_mean: Some(97.5),
        decode_tps_sd: Some(0.3125),
        ttft_ms: Some(414.7),
        token_ms_p50: Some(10.125),
        token_ms_p95: Some(11.0625),
        cold_s: Some(1.5),
        load_s: Some(0.8),
        peak_host_bytes: Some(512_000_000),
        peak_device_bytes: Some(256_000_000),
        bytes_per_token: Some(159_918_080),
        bandwidth: Some(2.05e10),
        bandwidth_share: Some(0.7705),
        flops: Some(9.87e10),
        gemm_flops: Some(1.4e11),
        gemm_share: Some(0.705),
        prefill_launches: None,
        prefill_submissions: None,
        prefill_uploads: None,
        prefill_bytes_read: None,
        prefill_waits: None,
        token_launches: None,
        token_submissions: None,
        token_uploads: None,
        token_bytes_read: None,
        token_waits: None,
        max_logit_diff: Some(1.25e-5),
        largest_logit: Some(12.5),
        greedy_agreement: Some(1.0),
        greedy_tokens: Some(128),
        loss_above_f32: Some(0.0),
        base: "ndarray f32 plain".into(),
        prefill_ratio: Some(1.0),
        decode_ratio: Some(12.345),
        failed: false,
        error: None,
    }
}

pub fn failed() -> Record {
    Record {
        failed: true,
        max_logit_diff: Some(f64::NAN),
        greedy_agreement: Some(0.25),
        error: Some("its logits are no numbers".into()),
        ..measured("ndarray")
    }
}

/// Nothing but what is known before it is tried.
pub fn lost() -> Record {
    Record {
        device: "wgpu:0".into(),
        dtype: "f16".into(),
        kernels: "plain".into(),
        model: "llama-40M".into(),
        parameters: Some(39_979_520),
        prompt: 512,
        new_tokens: 64,
        depth: 0,
        repeat: 5,
        error: Some("wgpu:0 ran out of memory".into()),
        ..Record::default()
    }
}

pub fn all() -> [Record; 3] {
    [measured("flex"), failed(), lost()]
}

pub fn text(records: &[Record], format: Format, colour: bool) -> String {
    render(records, format, colour).unwrap()
}
