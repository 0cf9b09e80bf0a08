//! Numbers for Prometheus, in its text format.

use std::fmt::Write as _;

use crate::engine::Stats;

/// What the service does and has done.
pub fn text(stats: &Stats) -> String {
    let gauges = [
        ("running_texts", "Texts that are being written, or whose prompt is being read", stats.running as u64),
        ("waiting_requests", "Requests that wait for a place", stats.waiting as u64),
        ("planned_bytes", "Bytes of keys and values that running texts may come to need", stats.planned_bytes),
        ("prefix_cache_bytes", "Bytes of keys and values of beginnings that are kept", stats.cache_bytes),
        ("prefix_cache_entries", "Beginnings that are kept", stats.cache_entries as u64),
    ];
    let counters = [
        ("prompt_tokens", "Tokens of prompts", stats.prompt_tokens),
        ("cached_prompt_tokens", "Tokens of prompts whose keys and values were there", stats.cached_tokens),
        ("generated_tokens", "Tokens that were generated", stats.generated_tokens),
        ("steps", "Forward passes", stats.steps),
        ("finished_requests", "Requests that ended of themselves", stats.finished),
        ("failed_requests", "Requests that ended by an error", stats.failed),
        ("abandoned_requests", "Requests that nobody waited for any more", stats.abandoned),
        ("refused_requests", "Requests for which the queue had no room", stats.refused),
    ];
    let mut text = String::new();
    let mut put = |name: &str, help: &str, kind: &str, value: u64| {
        // Writing to a string does not fail.
        let _ = write!(text, "# HELP glass_{name} {help}.\n# TYPE glass_{name} {kind}\nglass_{name} {value}\n");
    };
    for (name, help, value) in gauges {
        put(name, help, "gauge", value);
    }
    for (name, help, value) in counters {
        put(&format!("{name}_total"), help, "counter", value);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_has_a_help_and_a_type() {
        let text = text(&Stats { running: 3, generated_tokens: 70, ..Stats::default() });
        assert!(text.contains("\nglass_generated_tokens_total 70\n") && text.contains("\nglass_running_texts 3\n"));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len() % 3, 0);
        for metric in lines.chunks(3) {
            let name = metric[2].split(' ').next().unwrap();
            assert!(
                metric[0].starts_with(&format!("# HELP {name} ")) && metric[1].starts_with(&format!("# TYPE {name} "))
            );
        }
    }
}
