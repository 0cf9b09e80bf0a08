//! The result as a bar chart.

use glass_plot::{Bar, BarRow, PlotError, bars};

use crate::Record;

/// Bars of tokens per second, prefill beside decode, grouped by model, prompt and depth; the text of an SVG file.
///
/// # Errors
/// The drawing's own.
pub fn chart(records: &[Record], title: &str, subtitle: &str) -> Result<String, PlotError> {
    let rows: Vec<BarRow<2>> = records.iter().map(row).collect();
    let panels = ["prefill (tokens per second)", "decode (tokens per second)"];
    bars(&rows, panels, title, subtitle)
}

fn row(record: &Record) -> BarRow<2> {
    let Record { model, prompt, depth, .. } = record;
    let name = [&record.device, &record.dtype, &record.kernels].map(String::as_str);
    let name: Vec<&str> = name.into_iter().filter(|part| !part.is_empty()).collect();
    // Rates measured before an error are not those of the whole task.
    let complete = record.error.is_none() || record.failed;
    let bar = |value: Option<f64>, deviation| {
        let value = value.filter(|_| complete)?;
        Some(Bar { value, deviation })
    };
    BarRow {
        group: format!("{model}, prompt {prompt}, depth {depth}"),
        name: name.join(" "),
        values: [bar(record.prefill_tps, record.prefill_tps_sd), bar(record.decode_tps, record.decode_tps_sd)],
        failed: record.failed,
        note: record.error.clone().unwrap_or_default(),
    }
}
