//! What was measured, in one table of Markdown.

use crate::{outcome::Outcome, rounds::Row};

const HEADER: [&str; 9] = [
    "engine",
    "dtype",
    "prefill tok/s",
    "glass is",
    "decode tok/s",
    "glass is",
    "load s",
    "peak MB",
    "same tokens",
];

/// How to read the table.
const LEGEND: &str = "Rates are medians of the rounds, with half of their range. `glass is`: its rate by this row's, the median of the rounds' \
    ratios. `same tokens`: how many of the chosen ones are glass's with the same dtype before the first that is not, in the worst round.";

/// The table, its legend, and which version each engine is.
pub fn render(rows: &[Row], generated: usize) -> String {
    let mut cells: Vec<Vec<String>> = vec![HEADER.map(str::to_owned).to_vec()];
    cells.extend(
        rows.iter()
            .map(|row| line(row, base_of(row, rows), generated)),
    );
    let mut text = String::new();
    for (i, line) in cells.iter().enumerate() {
        text += &padded(line, &cells);
        if i == 0 {
            let rule = HEADER.map(|_| "---".to_owned());
            text += &padded(&rule, &cells);
        }
    }
    text + "\n" + LEGEND + "\n\n" + &versions(rows).join("\n")
}

/// What glass measured with the same float type.
fn base_of<'a>(row: &Row, rows: &'a [Row]) -> Option<&'a [Outcome]> {
    let mut same = rows.iter().filter(|other| other.dtype == row.dtype);
    let base = same.find(|other| other.engine == "glass")?;
    base.outcomes.as_deref().ok()
}

fn line(row: &Row, base: Option<&[Outcome]>, generated: usize) -> Vec<String> {
    let mut line = vec![row.engine.clone(), row.dtype.to_string()];
    let outcomes = match &row.outcomes {
        Ok(outcomes) => outcomes,
        Err(error) => {
            line.extend(["-"; 6].map(str::to_owned));
            line.push(format!(
                "failed: {}",
                error.replace('|', "/").replace('\n', " ")
            ));
            return line;
        }
    };
    let pairs = || base.into_iter().flatten().zip(outcomes);
    let rates: [fn(&Outcome) -> f64; 2] = [
        |o| o.prefill_tokens_per_second,
        |o| o.decode_tokens_per_second,
    ];
    for rate in rates {
        line.push(spread(outcomes.iter().map(rate).collect()));
        let ratio = median(
            pairs()
                .map(|(glass, own)| rate(glass) / rate(own))
                .collect(),
        );
        line.push(ratio.map_or("-".to_owned(), |ratio| format!("{ratio:.2} x")));
    }
    let load = median(outcomes.iter().map(|o| o.load_seconds).collect());
    line.push(load.map_or("-".to_owned(), |seconds| format!("{seconds:.2}")));
    let peak = outcomes.iter().filter_map(|o| o.peak_memory_bytes).max();
    line.push(peak.map_or("-".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6)));
    let same = pairs()
        .map(|(glass, own)| agreement(glass.ids(), own.ids()))
        .min();
    line.push(same.map_or("-".to_owned(), |same| format!("{same}/{generated}")));
    line
}

/// Tokens before the first difference.
fn agreement(one: &[u32], other: &[u32]) -> usize {
    one.iter().zip(other).take_while(|(a, b)| a == b).count()
}

/// The middle one, or the mean of the two in the middle; `None` of none.
pub fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let upper = *values.get(values.len() / 2)?;
    let lower = values[(values.len() - 1) / 2];
    Some((lower + upper) / 2.0)
}

/// `median ± half of the range`, to three digits or more.
pub fn spread(values: Vec<f64>) -> String {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(0.0, f64::max);
    let Some(middle) = median(values) else {
        return "-".to_owned();
    };
    let digits = match middle {
        ..10.0 => 2,
        ..100.0 => 1,
        _ => 0,
    };
    let half = (most - least) / 2.0;
    format!("{middle:.digits$} ± {half:.digits$}")
}

/// Cells in columns of one width.
pub fn aligned(cells: &[Vec<String>]) -> String {
    cells.iter().map(|line| padded(line, cells)).collect()
}

/// One line of the table; the last column stays as it is, for an error may be long.
fn padded(line: &[String], cells: &[Vec<String>]) -> String {
    let mut text = String::from("|");
    for (column, cell) in line.iter().enumerate() {
        let last = column + 1 == line.len();
        let widths = cells.iter().map(|line| line[column].chars().count());
        let width = if last { 0 } else { widths.max().unwrap_or(0) };
        text += &format!(" {cell:<width$} |");
    }
    text + "\n"
}

/// `- engine version`, once for each engine that ran.
fn versions(rows: &[Row]) -> Vec<String> {
    let mut lines = Vec::new();
    for row in rows {
        let first = row.outcomes.iter().flatten().next();
        if let Some(version) = first.and_then(|outcome| outcome.version.as_deref()) {
            let line = format!("- {} {version}", row.engine);
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{args::Dtype, outcome::Times};

    fn outcome(prefill: f64, decode: f64, ids: &[u32]) -> Outcome {
        let mut times = Times {
            load: 0.25,
            prefill: 1.0,
            decode: 1.0,
        };
        times.prefill = 1000.0 / prefill;
        times.decode = (ids.len() - 1) as f64 / decode;
        let mut outcome = Outcome::new(1000, ids.to_vec(), times);
        outcome.peak_memory_bytes = Some(123_456_789);
        outcome.version = Some("1.2".to_owned());
        outcome
    }

    fn row(engine: &str, dtype: Dtype, outcomes: Vec<Outcome>) -> Row {
        let engine = engine.to_owned();
        Row {
            engine,
            dtype,
            outcomes: Ok(outcomes),
        }
    }

    fn cells(text: &str, line: usize) -> Vec<String> {
        let line = text.lines().nth(line).unwrap();
        line.trim_matches('|')
            .split('|')
            .map(|cell| cell.trim().to_owned())
            .collect()
    }

    #[test]
    fn ratios_are_of_rounds_that_ran_together() {
        // The machine was half as fast in the second round: the ratio stays, the rates do not.
        let glass = vec![
            outcome(400.0, 40.0, &[1, 2, 3]),
            outcome(200.0, 20.0, &[1, 2, 3]),
        ];
        let other = vec![
            outcome(200.0, 80.0, &[1, 2, 3]),
            outcome(100.0, 40.0, &[1, 4, 3]),
        ];
        let rows = [
            row("glass", Dtype::F32, glass),
            row("candle", Dtype::F32, other),
        ];
        let text = render(&rows, 3);
        let own = [
            "glass",
            "f32",
            "300 ± 100",
            "1.00 x",
            "30.0 ± 10.0",
            "1.00 x",
            "0.25",
            "123",
            "3/3",
        ];
        assert_eq!(cells(&text, 2), own);
        let other = [
            "candle",
            "f32",
            "150 ± 50",
            "2.00 x",
            "60.0 ± 20.0",
            "0.50 x",
            "0.25",
            "123",
            "1/3",
        ];
        assert_eq!(cells(&text, 3), other);
        assert!(text.ends_with("- glass 1.2\n- candle 1.2"), "{text}");
    }

    #[test]
    fn a_row_is_compared_to_its_own_dtype_only() {
        let rows = [
            row("glass", Dtype::F32, vec![outcome(400.0, 40.0, &[1, 2])]),
            row("candle", Dtype::Bf16, vec![outcome(9.0, 40.0, &[1, 2])]),
        ];
        let line = cells(&render(&rows, 2), 3);
        assert_eq!(line[2..4], ["9.00 ± 0.00", "-"]);
        assert_eq!(line[8], "-", "nobody to agree with");
    }

    #[test]
    fn a_failure_is_said_in_its_row() {
        let mut rows = [
            row("glass", Dtype::F32, Vec::new()),
            row("candle", Dtype::F32, vec![outcome(1.0, 1.0, &[1, 2])]),
        ];
        rows[0].outcomes = Err("a|b".to_owned());
        let text = render(&rows, 2);
        assert_eq!(cells(&text, 2)[8], "failed: a/b");
        assert_eq!(cells(&text, 3)[3], "-");
        assert_eq!(versions(&rows), ["- candle 1.2"]);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }
}
