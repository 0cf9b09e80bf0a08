//! Where the time of a step goes, op by op: `glass bench --ops`.

use serde::{Deserialize, Serialize};

use crate::{
    Format, Look, RenderError, Setup,
    render::{self, Column, Grid, Line, Mark, figure, percent, scaled},
};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    Prefill,
    Decode,
}

/// One op of a step on a device, summed over all layers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpRow {
    pub model: String,
    pub device: String,
    pub dtype: String,
    /// Whether operations are fused or plain.
    pub kernels: String,
    /// Tokens of the prompt: those of a prefill, those before a decoded token.
    pub prompt: usize,
    /// Tokens before the prompt.
    pub depth: usize,
    pub phase: Phase,
    pub op: String,
    pub seconds: f64,
    /// The part of the whole step's time, 0 to 1: [`fill_shares`].
    pub share: Option<f64>,
    /// The least that must be read and written.
    pub bytes: Option<u64>,
    /// Floating-point operations.
    pub flops: Option<f64>,
    /// The least time that the device's measured bandwidth and GEMM rate allow, divided by the time it took (Williams et al.
    /// 2009, "Roofline").
    pub roofline_share: Option<f64>,
    /// Kernels that a graphics adapter is asked for; other devices have none of these three.
    pub launches: Option<u64>,
    /// Writes of the host to its memory.
    pub uploads: Option<u64>,
    /// Bytes that come to the host.
    pub bytes_read: Option<u64>,
    /// The whole step without a stop after each op: an asynchronous device is faster then than all ops together.
    pub unobserved_s: f64,
}

/// Fills in `share`, by device and phase.
pub fn fill_shares(rows: &mut [OpRow]) {
    let totals: Vec<f64> = rows
        .iter()
        .map(|row| {
            let same = rows.iter().filter(|other| row.is_of_step(other));
            same.map(|other| other.seconds).sum()
        })
        .collect();
    for (row, total) in rows.iter_mut().zip(totals) {
        let share = row.seconds / total;
        row.share = share.is_finite().then_some(share);
    }
}

impl OpRow {
    fn is_of_step(&self, other: &OpRow) -> bool {
        let step = |row: &OpRow| (row.prompt, row.depth, row.phase);
        let by = |row: &OpRow| {
            let names = [&row.model, &row.device, &row.dtype, &row.kernels];
            names.map(String::clone)
        };
        step(self) == step(other) && by(self) == by(other)
    }

    /// Whether it belongs to this model in this setup.
    pub fn of(&self, model: &str, setup: &Setup) -> bool {
        let own = [&self.device, &self.dtype, &self.kernels];
        self.model == model && own == [&setup.device, &setup.dtype, &setup.kernels]
    }
}

/// A table for each device and phase, in the order in which they first appear, with the ops in the order given (that of the
/// forward pass) and a total. Csv and jsonl have no totals, which a program would count twice.
///
/// # Errors
/// As for [`render`](crate::render).
pub fn render_ops(rows: &[OpRow], format: Format, look: impl Into<Look>) -> Result<String, RenderError> {
    render::write(rows, || grids(rows), format, look.into())
}

const COLUMNS: [Column; 9] = [
    column("op", ""),
    column("time", "ms"),
    column("share", "%"),
    column("moved", "MB"),
    column("computed", "GFLOP"),
    column("roofline", "%"),
    column("launches", ""),
    column("uploads", ""),
    column("read", "kB"),
];
/// Of these, those of every device.
const EVERYWHERE: usize = 6;

const fn column(head: &'static str, unit: &'static str) -> Column {
    Column { head, unit }
}

fn grids(rows: &[OpRow]) -> Vec<Grid> {
    let mut steps: Vec<Vec<&OpRow>> = Vec::new();
    for row in rows {
        match steps.iter_mut().find(|step| step[0].is_of_step(row)) {
            Some(step) => step.push(row),
            None => steps.push(vec![row]),
        }
    }
    let grid = |step: &Vec<&OpRow>| {
        let OpRow { model, device, dtype, kernels, prompt, depth, .. } = step[0];
        let phase = match step[0].phase {
            Phase::Prefill => format!("prefill of {prompt} tokens at depth {depth}"),
            Phase::Decode => format!("one token of decode at depth {}", depth + prompt),
        };
        let total = total(step);
        let shown = if total.launches.is_some() { COLUMNS.len() } else { EVERYWHERE };
        let alone = figure(Some(1e3 * step[0].unobserved_s));
        Grid {
            title: format!("{model} on {device} {dtype} {kernels}, {phase} ({alone} ms without a halt after each op)"),
            columns: COLUMNS[..shown].into(),
            names: 1,
            lines: step.iter().copied().chain([&total]).map(|row| line(row, shown)).collect(),
            ..Grid::default()
        }
    };
    steps.iter().map(grid).collect()
}

fn line(row: &OpRow, shown: usize) -> Line {
    let count = |calls: Option<u64>| calls.map_or("-".into(), |calls| calls.to_string());
    let cells = [
        row.op.clone(),
        figure(Some(1e3 * row.seconds)),
        percent(row.share),
        scaled(row.bytes.map(|bytes| bytes as f64), 1e6),
        scaled(row.flops, 1e9),
        percent(row.roofline_share),
        count(row.launches),
        count(row.uploads),
        scaled(row.bytes_read.map(|bytes| bytes as f64), 1e3),
    ];
    Line { cells: cells[..shown].into(), mark: Mark::Counts }
}

/// The sum of one step. Its share of the roofline is the least time of the ops that have one, divided by the time of all.
fn total(step: &[&OpRow]) -> OpRow {
    let seconds = step.iter().map(|row| row.seconds).sum();
    let least = sum(step, |row| Some(row.roofline_share? * row.seconds));
    OpRow {
        op: "total".into(),
        seconds,
        share: sum(step, |row| row.share),
        bytes: count(step, |row| row.bytes),
        launches: count(step, |row| row.launches),
        uploads: count(step, |row| row.uploads),
        bytes_read: count(step, |row| row.bytes_read),
        flops: sum(step, |row| row.flops),
        roofline_share: least.map(|least| least / seconds).filter(|share| share.is_finite()),
        ..step[0].clone()
    }
}

fn count(step: &[&OpRow], of: fn(&OpRow) -> Option<u64>) -> Option<u64> {
    step.iter().filter_map(|row| of(row)).reduce(u64::saturating_add)
}

/// The sum of the known values; `None` if there are none.
fn sum(step: &[&OpRow], of: fn(&OpRow) -> Option<f64>) -> Option<f64> {
    step.iter().filter_map(|row| of(row)).reduce(|a, b| a + b)
}
