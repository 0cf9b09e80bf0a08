//! Progress bars on standard error; indicatif draws none where that is not a terminal.

use std::{fmt::Write, time::Duration};

use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use crate::{info::size, say::is_quiet, terminal::Stream};

/// Columns below which a line has room for a share, and no bar.
const NARROW: usize = 60;
/// Columns from which it has room for the rate.
const WIDE: usize = 80;

/// What is counted.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Things(&'static str),
}

pub fn bytes(what: &str) -> ProgressBar {
    bar(what, Unit::Bytes, 0)
}

pub fn tokens(what: &str) -> ProgressBar {
    bar(what, Unit::Things("tokens"), 0)
}

pub fn prompts(what: &str) -> ProgressBar {
    bar(what, Unit::Things("prompts"), 0)
}

/// Of a run that goes on after so many steps.
pub fn steps(what: &str, first: usize) -> ProgressBar {
    bar(what, Unit::Things("steps"), first as u64)
}

/// A rate, with one decimal and a unit.
pub fn rate(per_second: f64, unit: &str) -> String {
    format!("{per_second:.1} {unit}/s")
}

/// How long it may still take, in the two largest units; never 0.
pub fn time(left: Duration) -> String {
    let seconds = left.as_secs_f64().ceil().max(1.0) as u64;
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Columns of the terminal.
fn width() -> usize {
    Stream::Err.width().unwrap_or(WIDE)
}

/// A bar that any text may stand behind: `{prefix}`.
pub fn with_prefix() -> ProgressBar {
    styled(ProgressStyle::with_template(if width() < NARROW {
        "{wide_msg}{prefix}"
    } else {
        "{msg} {wide_bar}{prefix}"
    }))
}

fn bar(what: &str, unit: Unit, first: u64) -> ProgressBar {
    let style = ProgressStyle::with_template(if width() < NARROW {
        "{wide_msg} {numbers}"
    } else {
        "{msg} {wide_bar} {numbers}"
    });
    let numbers = move |state: &ProgressState, to: &mut dyn Write| {
        // There is nowhere to report a line that cannot be drawn.
        let _ = to.write_str(&numbers(state, unit, first, width()));
    };
    let bar = styled(style.map(|style| style.with_key("numbers", numbers)));
    bar.set_message(what.to_owned());
    bar.set_position(first);
    bar.reset_eta();
    bar
}

fn styled<E>(style: Result<ProgressStyle, E>) -> ProgressBar {
    if is_quiet() {
        return ProgressBar::hidden();
    }
    ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

/// How far, how fast, how long still: as much of it as is known and as there is room for.
fn numbers(state: &ProgressState, unit: Unit, first: u64, columns: usize) -> String {
    let (done, total) = (state.pos(), state.len().unwrap_or(0));
    if columns < NARROW {
        return (100 * done.min(total)).checked_div(total).map_or_else(String::new, |percent| format!("{percent}%"));
    }
    let mut parts = vec![match (unit, total) {
        (Unit::Bytes, 0) => size(done),
        (Unit::Bytes, total) => format!("{} of {}", size(done), size(total)),
        (Unit::Things(unit), 0) => format!("{done} {unit}"),
        (Unit::Things(unit), total) => format!("{done} of {total} {unit}"),
    }];
    let speed = state.per_sec();
    // Neither is known before the first piece is done.
    if done > first && speed > 0.0 && speed.is_finite() {
        if columns >= WIDE {
            parts.push(match unit {
                Unit::Bytes => format!("{}/s", size(speed as u64)),
                Unit::Things(unit) => rate(speed, unit),
            });
        }
        if total > done {
            parts.push(format!("{} left", time(Duration::from_secs_f64((total - done) as f64 / speed))));
        }
    }
    parts.join(", ")
}
