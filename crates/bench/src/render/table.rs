//! Tables for a terminal.

use super::grid::{Column, Grid, Line, Mark, one_line};

/// Columns of the terminal that a text may take.
const WIDEST: usize = 115;
/// Of a name, in characters.
const MOST_LETTERS: usize = 12;
const GAP: &str = "  ";

// Select graphic rendition, ECMA-48 8.3.117.
const STRUCK: &str = "\u{1b}[9m";
const BOLD_RED: &str = "\u{1b}[1;31m";
const PLAIN: &str = "\u{1b}[0m";

/// The title, two lines of heads, the lines and the remarks.
pub fn draw(grid: &Grid, colour: bool) -> String {
    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &wrapped(&grid.title, "", "  ");
    }
    let lines: Vec<Line> = grid
        .lines
        .iter()
        .map(|line| fitting(line, grid.names))
        .collect();
    let widths = widths(grid, &lines);
    let heads = |text: fn(&Column) -> &'static str| {
        let cells: Vec<String> = grid
            .columns
            .iter()
            .map(|column| text(column).into())
            .collect();
        joined(&cells, &widths, grid.names) + "\n"
    };
    out += &heads(|column| column.head);
    out += &heads(|column| column.unit);
    for line in &lines {
        out += &draw_line(line, &widths, grid.names, colour);
    }
    for note in &grid.notes {
        out += &wrapped(note, "", "  ");
    }
    out
}

fn draw_line(line: &Line, widths: &[usize], names: usize, colour: bool) -> String {
    match &line.mark {
        Mark::Counts => joined(&line.cells, widths, names) + "\n",
        Mark::Failed(why) => {
            let (on, off) = if colour { (STRUCK, PLAIN) } else { ("", "") };
            let (bold, plain) = if colour { (BOLD_RED, PLAIN) } else { ("", "") };
            let why = wrapped(&format!("FAILED: {why}"), "  ", "          ");
            let why = why.replacen("FAILED", &format!("{bold}FAILED{plain}"), 1);
            format!("{on}{}{off}\n{why}", joined(&line.cells, widths, names))
        }
        Mark::Error(what) => {
            let name = joined(&line.cells[..names], &widths[..names], names);
            let room: usize = widths[..names].iter().map(|width| width + GAP.len()).sum();
            let first = format!("{name:room$}");
            wrapped(&format!("error: {what}"), &first, &" ".repeat(room))
        }
    }
}

/// Names shortened where they are too long.
fn fitting(line: &Line, names: usize) -> Line {
    let shorten = |(column, cell): (usize, &String)| {
        let cell = one_line(cell);
        if column >= names || cell.chars().count() <= MOST_LETTERS {
            return cell;
        }
        let short: String = cell.chars().take(MOST_LETTERS - 1).collect();
        short + "…"
    };
    Line {
        cells: line.cells.iter().enumerate().map(shorten).collect(),
        mark: line.mark.clone(),
    }
}

fn widths(grid: &Grid, lines: &[Line]) -> Vec<usize> {
    let width = |(number, column): (usize, &Column)| {
        let cells = lines
            .iter()
            // An error takes the room of the numbers, whatever they would be.
            .filter(|line| number < grid.names || !matches!(line.mark, Mark::Error(_)))
            .filter_map(|line| line.cells.get(number));
        let heads = [column.head, column.unit].map(|text| text.chars().count());
        cells
            .map(|cell| cell.chars().count())
            .chain(heads)
            .max()
            .unwrap_or(0)
    };
    grid.columns.iter().enumerate().map(width).collect()
}

/// Names to the left of their columns, numbers to the right.
fn joined(cells: &[String], widths: &[usize], names: usize) -> String {
    let cell = |(number, (cell, &width)): (usize, (&String, &usize))| {
        if number < names {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        }
    };
    let cells: Vec<String> = cells.iter().zip(widths).enumerate().map(cell).collect();
    cells.join(GAP).trim_end().to_owned()
}

/// A text in as many lines as it needs, broken between words where it can be.
fn wrapped(text: &str, first: &str, others: &str) -> String {
    let mut out = first.to_owned();
    let mut column = first.chars().count();
    let indent = others.chars().count();
    let mut empty = true;
    for word in one_line(text).split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        let gap = usize::from(!empty);
        if column + gap + word.len() > WIDEST && !empty {
            out += &format!("\n{others}");
            column = indent;
        } else if gap > 0 {
            out.push(' ');
            column += 1;
        }
        // A word wider than the terminal, a path for instance, is cut.
        while column + word.len() > WIDEST {
            let rest = word.split_off((WIDEST - column).min(word.len()));
            out.extend(word);
            out += &format!("\n{others}");
            (column, word) = (indent, rest);
        }
        column += word.len();
        out.extend(word);
        empty = false;
    }
    out.push('\n');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_between_words_and_long_words_are_cut() {
        assert_eq!(wrapped("a b", "> ", "  "), "> a b\n");
        let lines = wrapped(&"word ".repeat(60), "> ", "  ");
        assert!(lines.lines().count() == 3 && lines.lines().all(|line| line.len() <= WIDEST));
        assert!(lines.lines().skip(1).all(|line| line.starts_with("  word")));
        let cut = wrapped(&format!("see {}", "x".repeat(300)), "> ", "  ");
        assert!(
            cut.lines().all(|line| line.chars().count() <= WIDEST),
            "{cut}"
        );
        assert_eq!(cut.matches('x').count(), 300);
    }
}
