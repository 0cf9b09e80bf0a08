//! One row of the result: a model of a dtype on a device, prefilling a prompt and decoding after it.

use serde::{Deserialize, Serialize};

/// Speed and correctness side by side. Rates are tokens per second (`tps`), `_s` seconds, `_ms` milliseconds.
///
/// A field that was not measured is `None`. A row with an `error` that has not `failed` was not measured to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Its name on the command line: `flex`, `wgpu:0`.
    pub device: String,
    /// The driver's description of the device.
    pub adapter: String,
    pub dtype: String,
    /// Whether operations are fused or plain.
    pub kernels: String,
    pub model: String,
    /// Numbers in the model's weights, a tied head counted once.
    pub parameters: Option<u64>,
    /// Tokens prefilled at once.
    pub prompt: usize,
    /// Tokens decoded after them.
    #[serde(rename = "gen")]
    pub new_tokens: usize,
    /// Tokens in the cache before the prompt.
    pub depth: usize,
    /// Rounds asked for, not counting the cold one.
    pub repeat: usize,
    /// Rounds measured: fewer where they take long.
    pub rounds: usize,
    /// Median over the rounds.
    pub prefill_tps: Option<f64>,
    pub prefill_tps_mean: Option<f64>,
    /// Standard deviation of the sample.
    pub prefill_tps_sd: Option<f64>,
    /// Median over the rounds.
    pub decode_tps: Option<f64>,
    pub decode_tps_mean: Option<f64>,
    /// Standard deviation of the sample.
    pub decode_tps_sd: Option<f64>,
    /// From the prompt to the first token.
    pub ttft_ms: Option<f64>,
    pub token_ms_p50: Option<f64>,
    pub token_ms_p95: Option<f64>,
    /// The first round, in which kernels are compiled and tuned, with the tokens before the prompt. The first row of a model,
    /// device and dtype pays for what its other rows share.
    pub cold_s: Option<f64>,
    pub load_s: Option<f64>,
    pub peak_host_bytes: Option<u64>,
    pub peak_device_bytes: Option<u64>,
    /// Bytes of weights read to decode one token.
    pub bytes_per_token: Option<u64>,
    /// Memory bandwidth measured on this device, bytes per second.
    pub bandwidth: Option<f64>,
    /// The part of it that decoding uses to read the weights, from 0 to 1.
    pub bandwidth_share: Option<f64>,
    /// Floating-point operations of prefill, per second.
    pub flops: Option<f64>,
    /// Those of a matrix product measured on this device, per second.
    pub gemm_flops: Option<f64>,
    /// `flops` divided by `gemm_flops`.
    pub gemm_share: Option<f64>,
    /// Kernels that a graphics adapter is asked for to prefill the prompt; other devices have none of these ten.
    pub prefill_launches: Option<u64>,
    /// Lists of commands that its driver is handed.
    pub prefill_submissions: Option<u64>,
    /// Writes of the host to its memory.
    pub prefill_uploads: Option<u64>,
    /// Bytes that come to the host.
    pub prefill_bytes_read: Option<u64>,
    /// Times that the host waits for it.
    pub prefill_waits: Option<u64>,
    /// The same for each later token.
    pub token_launches: Option<u64>,
    pub token_submissions: Option<u64>,
    pub token_uploads: Option<u64>,
    pub token_bytes_read: Option<u64>,
    pub token_waits: Option<u64>,
    /// From the reference, over all compared logits. JSON has no NaN: it is `null` there, and `error` says so.
    pub max_logit_diff: Option<f64>,
    /// Of the reference's compared logits, regardless of sign.
    pub largest_logit: Option<f64>,
    /// Tokens before the first difference, divided by those compared: 0 to 1.
    pub greedy_agreement: Option<f64>,
    /// Tokens compared.
    pub greedy_tokens: Option<usize>,
    /// Nats per token of the greedy text of float32, above those of float32 itself: what the dtype costs. Random weights have
    /// none.
    pub loss_above_f32: Option<f64>,
    /// [`Record::name`] of the row that ratios are to.
    pub base: String,
    /// Median rate divided by that of the base row.
    pub prefill_ratio: Option<f64>,
    /// Median rate divided by that of the base row.
    pub decode_ratio: Option<f64>,
    /// The row does not compute what the reference does, so its speed means nothing: `error` says why.
    pub failed: bool,
    pub error: Option<String>,
}

impl Record {
    /// Device, dtype and kernels.
    pub fn name(&self) -> String {
        format!("{} {} {}", self.device, self.dtype, self.kernels)
    }

    /// Fills in both ratios; a base that was not measured, or whose rate is zero, gives none.
    pub fn compare(&mut self, base: &Record) {
        let ratio = |own: Option<f64>, base: Option<f64>| {
            let ratio = own? / base?;
            ratio.is_finite().then_some(ratio)
        };
        self.base = base.name();
        self.prefill_ratio = ratio(self.prefill_tps, base.prefill_tps);
        self.decode_ratio = ratio(self.decode_tps, base.decode_tps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_of_medians_and_need_both() {
        let base = Record { prefill_tps: Some(100.0), decode_tps: Some(0.0), ..Record::default() };
        let mut row = Record { prefill_tps: Some(250.0), decode_tps: Some(7.0), ..Record::default() };
        row.compare(&base);
        assert_eq!((row.prefill_ratio, row.decode_ratio), (Some(2.5), None));
        row.compare(&Record::default());
        assert_eq!(row.prefill_ratio, None);
    }
}
