//! Tables for a terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::grid::{Grid, Line, Mark, one_line};

/// Columns of the terminal that a line may take.
const MAX_WIDTH: u16 = 115;
/// Letters of a name.
const MAX_NAME: u16 = 9;
/// Between two columns.
const GAP: u16 = 2;

// Select graphic rendition, ECMA-48 8.3.117.
const STRUCK: &str = "\u{1b}[9m";
const BOLD_RED: &str = "\u{1b}[1;31m";
const PLAIN: &str = "\u{1b}[0m";

/// The title, two lines of heads, the lines and the notes.
pub fn draw(grid: &Grid, colour: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(grid.columns.iter().map(|column| format!("{}\n{}", column.head, column.unit)));
    for line in &grid.lines {
        // An error takes the space of the numbers, whatever they would be.
        let shown = match line.mark {
            Mark::Error(_) => &line.cells[..grid.names],
            _ => &line.cells,
        };
        let mut row = Row::from(shown.iter().map(|cell| one_line(cell)));
        row.max_height(1);
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        column.set_padding((0, GAP));
        if index < grid.names {
            let max = Width::Fixed(MAX_NAME + GAP);
            column.set_constraint(ColumnConstraint::UpperBoundary(max));
        } else {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let drawn: Vec<String> = table.lines().collect();
    let (heads, lines) = drawn.split_at(drawn.len() - grid.lines.len());
    let widths = table.column_max_content_widths().into_iter().take(grid.names);
    let names = widths.map(|width| width.min(MAX_NAME) + GAP).sum();

    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &wrapped(&grid.title, 0);
    }
    for head in heads {
        out += &format!("{}\n", head.trim_end());
    }
    for (line, drawn) in grid.lines.iter().zip(lines) {
        out += &marked(line, drawn.trim_end(), names, colour);
    }
    for note in &grid.notes {
        out += &wrapped(note, 0);
    }
    out
}

/// A line as `drawn`, of which the names take so many columns, with its mark.
fn marked(line: &Line, drawn: &str, names: u16, colour: bool) -> String {
    match &line.mark {
        Mark::Counts => format!("{drawn}\n"),
        Mark::Failed(why) => {
            let why = wrapped(&format!("FAILED: {why}"), GAP);
            if colour {
                let why = why.replacen("FAILED", &format!("{BOLD_RED}FAILED{PLAIN}"), 1);
                format!("{STRUCK}{drawn}{PLAIN}\n{why}")
            } else {
                format!("{drawn}\n{why}")
            }
        }
        Mark::Error(what) => {
            let what = wrapped(&format!("error: {what}"), names);
            format!("{drawn:<0$}{1}", usize::from(names), what.trim_start())
        }
    }
}

/// A text in as many lines as it needs, broken between words where it can be, with an indent.
fn wrapped(text: &str, indent: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(MAX_WIDTH);
    table.add_row([one_line(text)]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((indent, 0));
    }
    table.trim_fmt() + "\n"
}
