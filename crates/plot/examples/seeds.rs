//! Draws what several kinds of model do, each trained from several seeds: means, and bars from the lowest to the highest. The
//! figures of docs/beyond-attention.md are made with it.
//!
//!     cargo run --release -p glass-plot --example seeds -- needle|letters|position OUT.svg TITLE SUBTITLE KIND=FILE,FILE,.. KIND=..
//!
//! A file is what `glass eval needle --depth 0 --json` or `glass eval perplexity --by-position --json` printed of one model. The
//! numbers go to standard output, as a table.

use std::{collections::BTreeMap, env, error::Error, fs, process::ExitCode};

use glass_plot::{Axis, Scale, Series, curves};
use serde_json::Value;

/// Fewest tokens of a point: the mean of fewer says little.
const TOKENS: u64 = 200;

fn main() -> ExitCode {
    match run(&env::args().skip(1).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[String]) -> Result<(), Box<dyn Error>> {
    let [what, out, title, subtitle, kinds @ ..] = args else {
        return Err(
            "give needle, letters or position, a file to write, a title, a subtitle, and KIND=FILE,FILE,..".into()
        );
    };
    let (read, x, y): (fn(&Value) -> Option<Points>, _, _) = match what.as_str() {
        "needle" => (needle, "letters from the needle to the end of the text", "share of values found"),
        "letters" => {
            (letters, "letters from the needle to the end of the text", "share of letters that are the most probable")
        }
        "position" => (position, "tokens read before, from here to the next point", "nats per token"),
        other => return Err(format!("{other}: needle, letters or position").into()),
    };
    let mut series = Vec::new();
    for kind in kinds {
        let (name, files) = kind.split_once('=').ok_or_else(|| format!("{kind}: KIND=FILE,FILE,.."))?;
        let mut all: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
        for file in files.split(',') {
            let text = fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
            let json: Value = serde_json::from_str(&text).map_err(|error| format!("{file}: {error}"))?;
            for (x, y) in read(&json).ok_or_else(|| format!("{file}: not what glass eval prints of a {what}"))? {
                all.entry(x).or_default().push(y);
            }
        }
        series.push(of_seeds(name, &all));
    }
    let axis = |label| Axis { label, scale: Scale::Linear };
    fs::write(out, curves(&series, [Axis { scale: Scale::Log2, ..axis(x) }, axis(y)], title, subtitle)?)
        .map_err(|error| format!("{out}: {error}"))?;
    for Series { name, points, bars } in &series {
        let cells =
            points.iter().zip(bars).map(|((x, y), (_, [low, high]))| format!("{x}: {y:.3} ({low:.3} to {high:.3})"));
        println!("{name} | {}", cells.collect::<Vec<_>>().join(" | "));
    }
    Ok(())
}

type Points = Vec<(u64, f64)>;

/// Whole values, by the letters of the text.
fn needle(json: &Value) -> Option<Points> {
    cells(json, "found")
}

/// Letters of values, each behind the right ones before it, by the letters of the text.
fn letters(json: &Value) -> Option<Points> {
    cells(json, "tokens_right")
}

/// Of all depths only the beginning says how far away the needle is.
fn cells(json: &Value, what: &str) -> Option<Points> {
    let cells = json["runs"][0]["cells"].as_array()?;
    let at_start = cells.iter().filter(|cell| cell["depth"].as_f64() == Some(0.0));
    at_start.map(|cell| Some((cell["length"].as_u64()?, cell[what].as_f64()?))).collect()
}

/// The loss, by the fewest tokens read before.
fn position(json: &Value) -> Option<Points> {
    let buckets = json["by_position"].as_array()?;
    let large = buckets.iter().filter(|bucket| bucket["tokens"].as_u64().is_some_and(|tokens| tokens >= TOKENS));
    large.map(|bucket| Some((bucket["from"].as_u64()?, bucket["mean_nll"].as_f64()?))).collect()
}

fn of_seeds(name: &str, all: &BTreeMap<u64, Vec<f64>>) -> Series {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let ends = |values: &[f64]| {
        let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
        [lowest, values.iter().copied().fold(f64::NEG_INFINITY, f64::max)]
    };
    Series {
        name: name.to_owned(),
        points: all.iter().map(|(x, values)| (*x as f64, mean(values))).collect(),
        bars: all.iter().map(|(x, values)| (*x as f64, ends(values))).collect(),
    }
}
