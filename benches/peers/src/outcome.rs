//! What one process reports: the fields of `glass generate --json` that are compared, which the other engines print too.

use serde::{Deserialize, Serialize};

use crate::error::PeerError;

/// One prompt and what was generated after it.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Outcome {
    sequences: Vec<Sequence>,
    pub load_seconds: f64,
    /// Tokens of the prompt by the time until its logits are there.
    pub prefill_tokens_per_second: f64,
    /// Passes after the prompt's (one fewer than tokens) by the time from the prompt's logits to the last token.
    pub decode_tokens_per_second: f64,
    pub peak_memory_bytes: Option<u64>,
    /// Name and version, where the process knows better than this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
struct Sequence {
    ids: Vec<u32>,
}

/// Seconds that the parts of a run took.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub load: f64,
    pub prefill: f64,
    pub decode: f64,
}

impl Outcome {
    pub fn new(prompt: usize, ids: Vec<u32>, times: Times) -> Self {
        Self {
            load_seconds: times.load,
            prefill_tokens_per_second: prompt as f64 / times.prefill,
            decode_tokens_per_second: ids.len().saturating_sub(1) as f64 / times.decode,
            peak_memory_bytes: peak_memory_bytes(),
            version: None,
            sequences: vec![Sequence { ids }],
        }
    }

    /// The tokens that were chosen.
    pub fn ids(&self) -> &[u32] {
        self.sequences.first().map_or(&[], |first| &first.ids)
    }

    pub fn to_json(&self) -> String {
        // Numbers and strings under fixed names are always JSON.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The last line of `stdout`; libraries may have printed something before.
    pub fn parse(stdout: &str) -> Result<Self, PeerError> {
        let last = stdout.trim_end().lines().next_back().unwrap_or_default();
        serde_json::from_str(last).map_err(PeerError::Output)
    }
}

/// The most memory this process has had; `None` where there is no `/proc`.
fn peak_memory_bytes() -> Option<u64> {
    high_water_mark(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// `VmHWM` of a `/proc/PID/status`, in bytes.
fn high_water_mark(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GLASS: &str = r#"{"sequences":[{"ids":[683,7],"text":null,"score":-53.6,"finish_reason":"length"}],
        "prompt_tokens":64,"generated_tokens":2,"load_seconds":0.3,"prefill_tokens_per_second":740.5,
        "decode_tokens_per_second":59.25,"peak_memory_bytes":182362112,"device":"flex","dtype":"f32"}"#;

    #[test]
    fn what_glass_prints_is_read() {
        let line = GLASS.replace('\n', " ");
        let outcome = Outcome::parse(&format!("a word before\n{line}\n")).unwrap();
        assert_eq!(outcome.ids(), [683, 7]);
        assert_eq!(outcome.prefill_tokens_per_second, 740.5);
        assert_eq!(outcome.decode_tokens_per_second, 59.25);
        assert_eq!(outcome.peak_memory_bytes, Some(182_362_112));
        assert_eq!(outcome.version, None);
    }

    #[test]
    fn what_is_written_is_read_again() {
        let times = Times {
            load: 0.5,
            prefill: 2.0,
            decode: 0.25,
        };
        let outcome = Outcome::new(64, vec![1, 2, 3], times);
        assert_eq!(outcome.prefill_tokens_per_second, 32.0);
        assert_eq!(
            outcome.decode_tokens_per_second, 8.0,
            "two passes for three tokens"
        );
        assert_eq!(Outcome::parse(&outcome.to_json()).unwrap(), outcome);
    }

    #[test]
    fn other_output_is_an_error() {
        for text in ["", "killed", r#"{"sequences":[]}"#] {
            assert!(
                matches!(Outcome::parse(text), Err(PeerError::Output(_))),
                "{text}"
            );
        }
    }

    #[test]
    fn the_high_water_mark_is_found() {
        let status = "Name:\tx\nVmPeak:\t 9 kB\nVmHWM:\t  178088 kB\nVmRSS:\t 1 kB\n";
        assert_eq!(high_water_mark(status), Some(178_088 * 1024));
        assert_eq!(high_water_mark("Name:\tx\n"), None);
    }
}
