//! Records as tables: speed and correctness side by side, then time, then memory.

use super::{Column, Grid, Line, Mark, figure, percent, scaled};
use crate::Record;

/// A column of a table of records.
struct Field {
    column: Column,
    text: fn(&Record) -> String,
}

const fn field(head: &'static str, unit: &'static str, text: fn(&Record) -> String) -> Field {
    Field { column: Column { head, unit }, text }
}

/// What identifies a row.
const NAMES: [Field; 5] = [
    field("device", "", |row| row.device.clone()),
    field("dtype", "", |row| row.dtype.clone()),
    field("kernels", "", |row| row.kernels.clone()),
    field("prompt", "tokens", |row| row.prompt.to_string()),
    field("depth", "tokens", |row| row.depth.to_string()),
];

const SPEED: [Field; 9] = [
    field("prefill", "t/s", |row| figure(row.prefill_tps)),
    field("", "±sd", |row| deviation(row.prefill_tps_sd)),
    field("ratio", "", |row| ratio(row.prefill_ratio)),
    field("decode", "t/s", |row| figure(row.decode_tps)),
    field("", "±sd", |row| deviation(row.decode_tps_sd)),
    field("ratio", "", |row| ratio(row.decode_ratio)),
    field("logits", "max diff", |row| {
        row.max_logit_diff.map_or("-".into(), |diff| match diff {
            0.0 => "0".into(),
            diff => format!("{diff:.1e}"),
        })
    }),
    field("greedy", "equal", greedy),
    field("loss", "nats", |row| row.loss_above_f32.map_or("-".into(), nats)),
];

const TIME: [Field; 7] = [
    field("prefill", "mean t/s", |row| figure(row.prefill_tps_mean)),
    field("decode", "mean t/s", |row| figure(row.decode_tps_mean)),
    field("first", "ms", |row| figure(row.ttft_ms)),
    field("a token", "ms p50", |row| figure(row.token_ms_p50)),
    field("a token", "ms p95", |row| figure(row.token_ms_p95)),
    field("cold", "s", |row| figure(row.cold_s)),
    field("load", "s", |row| figure(row.load_s)),
];

const MEMORY: [Field; 8] = [
    field("host", "MB", |row| megabytes(row.peak_host_bytes)),
    field("device", "MB", |row| megabytes(row.peak_device_bytes)),
    field("a token", "MB", |row| megabytes(row.bytes_per_token)),
    field("memory", "GB/s", |row| scaled(row.bandwidth, 1e9)),
    field("decode", "% of it", |row| percent(row.bandwidth_share)),
    field("prefill", "GFLOP/s", |row| scaled(row.flops, 1e9)),
    field("GEMM", "GFLOP/s", |row| scaled(row.gemm_flops, 1e9)),
    field("prefill", "% of it", |row| percent(row.gemm_share)),
];

const PROMPT: [Field; 5] = [
    field("launches", "", |row| count(row.prefill_launches)),
    field("submitted", "", |row| count(row.prefill_submissions)),
    field("uploads", "", |row| count(row.prefill_uploads)),
    field("read", "kB", |row| scaled(row.prefill_bytes_read.map(|bytes| bytes as f64), 1e3)),
    field("waits", "", |row| count(row.prefill_waits)),
];

const TOKEN: [Field; 5] = [
    field("launches", "", |row| count(row.token_launches)),
    field("submitted", "", |row| count(row.token_submissions)),
    field("uploads", "", |row| count(row.token_uploads)),
    field("read", "kB", |row| scaled(row.token_bytes_read.map(|bytes| bytes as f64), 1e3)),
    field("waits", "", |row| count(row.token_waits)),
];

/// Three tables for each model, and two of what graphics adapters are asked for, in the order in which models first appear.
pub fn grids(records: &[Record]) -> Vec<Grid> {
    let key = |row: &Record| {
        let numbers = (row.parameters, row.new_tokens, row.repeat);
        (row.model.clone(), numbers, row.base.clone())
    };
    let mut groups: Vec<Vec<&Record>> = Vec::new();
    for row in records {
        match groups.iter_mut().find(|group| key(group[0]) == key(row)) {
            Some(group) => group.push(row),
            None => groups.push(vec![row]),
        }
    }
    groups.iter().flat_map(|rows| tables(rows)).collect()
}

fn tables(rows: &[&Record]) -> Vec<Grid> {
    let mut speed = table(&SPEED, rows, mark);
    speed.title = title(rows[0]);
    speed.notes = [adapters(rows), shortened(rows), beyond_memory(rows), correctness(rows)].concat();
    let mut time = table(&TIME, rows, mark_again);
    time.title =
        "time: means of the rounds, from the prompt to the first token, each later token, the cold round, loading"
            .into();
    let mut memory = table(&MEMORY, rows, mark_again);
    memory.title = "memory and roofs: peaks, weights read for a token, bandwidth and GEMM as measured here".into();
    let mut tables = vec![speed, time, memory];
    let asked: Vec<&Record> = rows.iter().copied().filter(|row| row.token_launches.is_some()).collect();
    if !asked.is_empty() {
        for (fields, what) in [(&PROMPT, "the prompt"), (&TOKEN, "a token")] {
            let mut grid = table(fields, &asked, mark_again);
            grid.title =
                format!("asked of graphics adapters for {what}: kernels, lists of commands, writes, reads, waits");
            tables.push(grid);
        }
    }
    tables
}

fn title(row: &Record) -> String {
    let parameters = row.parameters.map(|count| format!(", {} M parameters", figure(Some(count as f64 / 1e6))));
    format!(
        "{}{}, {} tokens after the prompt: medians of {} rounds ± standard deviation{}",
        row.model,
        parameters.unwrap_or_default(),
        row.new_tokens,
        row.repeat,
        if row.base.is_empty() { String::new() } else { format!(", ratios to {}", row.base) }
    )
}

fn table(fields: &[Field], rows: &[&Record], mark: fn(&Record) -> Mark) -> Grid {
    let fields = || NAMES.iter().chain(fields);
    let line = |row: &&Record| Line { cells: fields().map(|field| (field.text)(row)).collect(), mark: mark(row) };
    Grid {
        columns: fields().map(|field| field.column).collect(),
        names: NAMES.len(),
        lines: rows.iter().map(line).collect(),
        ..Grid::default()
    }
}

fn mark(row: &Record) -> Mark {
    match &row.error {
        Some(why) if row.failed => Mark::Failed(why.clone()),
        None if row.failed => Mark::Failed("no reason given".into()),
        Some(what) => Mark::Error(what.clone()),
        None => Mark::Counts,
    }
}

/// The mark in the later tables: the reason is in the first.
fn mark_again(row: &Record) -> Mark {
    match mark(row) {
        Mark::Counts => Mark::Counts,
        Mark::Failed(_) => Mark::Failed("see above".into()),
        Mark::Error(_) => Mark::Error("see above".into()),
    }
}

/// Descriptions of the devices: a line each, because drivers' names are long.
fn adapters(rows: &[&Record]) -> Vec<String> {
    let mut notes = Vec::new();
    for row in rows.iter().filter(|row| !row.adapter.is_empty()) {
        let note = format!("{}: {}", row.device, row.adapter);
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    notes
}

/// Rows that ran fewer rounds than asked for.
fn shortened(rows: &[&Record]) -> Vec<String> {
    let short = |row: &&&Record| row.error.is_none() && row.rounds < row.repeat;
    let note = |row: &&Record| {
        format!(
            "{}, prompt {}, depth {}: {} of {} rounds, which took long",
            row.name(),
            row.prompt,
            row.depth,
            row.rounds,
            row.repeat
        )
    };
    rows.iter().filter(short).map(note).collect()
}

/// What the columns of correctness say, where that is not plain.
fn correctness(rows: &[&Record]) -> Vec<String> {
    let mut notes = Vec::new();
    if rows.iter().any(|row| row.loss_above_f32.is_some_and(|loss| nats(loss) != nats(0.0))) {
        notes.push(
            "loss: nats per token of float32's greedy text, above those of float32 itself: what the dtype costs".into(),
        );
    }
    let parts = |row: &&&Record| !row.failed && row.greedy_agreement.is_some_and(|share| share < 1.0);
    if rows.iter().any(|row| parts(&row)) {
        notes.push(
            "greedy: where two tokens are nearly tied, texts may part; what follows is another text and is not compared".into(),
        );
    }
    for row in rows.iter().filter(parts).filter(|row| row.loss_above_f32.is_none()) {
        if let (Some(diff), Some(largest)) = (row.max_logit_diff, row.largest_logit) {
            let share = 100.0 * diff / largest;
            let note = format!(
                "{}: its logits are up to {diff:.1e} from the reference's, {share:.2} % of the largest; random weights have no \
                 text to lose",
                row.name()
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
        }
    }
    notes
}

/// A difference of losses.
fn nats(value: f64) -> String {
    let rounded = (value * 1e4).round() / 1e4;
    if rounded == 0.0 { "0".into() } else { format!("{rounded:+.4}") }
}

/// An explanation of more than 100 % of the bandwidth.
fn beyond_memory(rows: &[&Record]) -> Vec<String> {
    let beyond = |row: &&Record| row.bandwidth_share.is_some_and(|share| share > 1.0);
    let note = "more than 100 % of the memory's bandwidth: the weights are read from the processor's caches";
    let any = rows.iter().any(beyond);
    any.then(|| note.to_owned()).into_iter().collect()
}

fn deviation(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("±{}", figure(Some(value))))
}

fn ratio(value: Option<f64>) -> String {
    value.map_or("-".into(), |value| format!("{value:.2}x"))
}

fn count(calls: Option<u64>) -> String {
    calls.map_or("-".into(), |calls| calls.to_string())
}

fn megabytes(bytes: Option<u64>) -> String {
    scaled(bytes.map(|bytes| bytes as f64), 1e6)
}

/// Tokens that agree, of those compared, where that is known.
fn greedy(row: &Record) -> String {
    match (row.greedy_agreement, row.greedy_tokens) {
        (Some(share), Some(tokens)) => format!("{:.0}/{tokens}", share * tokens as f64),
        (share, _) => share.map_or("-".into(), |share| format!("{share:.3}")),
    }
}
