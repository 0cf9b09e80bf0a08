//! Tables for a terminal.

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, Row, Table, Width, presets};

use super::{
    Look,
    grid::{Column, Grid, Line, Mark, one_line},
};

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
pub fn draw(grid: &Grid, look: Look) -> String {
    let room = look.columns.map_or(MAX_WIDTH, |columns| u16::try_from(columns).unwrap_or(u16::MAX).min(MAX_WIDTH));
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
    let widest = drawn.iter().map(|line| line.trim_end().chars().count()).max().unwrap_or(0);
    if look.columns.is_some() && widest > usize::from(room) {
        return stacked(grid, look.colour, room);
    }
    let (heads, lines) = drawn.split_at(drawn.len() - grid.lines.len());
    let widths = table.column_max_content_widths().into_iter().take(grid.names);
    let names = widths.map(|width| width.min(MAX_NAME) + GAP).sum();

    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &wrapped(&grid.title, 0, room);
    }
    for head in heads {
        out += &format!("{}\n", head.trim_end());
    }
    for (line, drawn) in grid.lines.iter().zip(lines) {
        out += &marked(line, drawn.trim_end(), names, look.colour, room);
    }
    for note in &grid.notes {
        out += &wrapped(note, 0, room);
    }
    out
}

/// For a terminal on which the lines have no room: each is a block, its names and then a number per line.
fn stacked(grid: &Grid, colour: bool, room: u16) -> String {
    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &wrapped(&grid.title, 0, room);
    }
    let head = |column: &Column| [column.head, column.unit].join(" ").trim().to_owned();
    let heads: Vec<String> = grid.columns.iter().map(head).collect();
    let wide = heads.iter().map(|head| head.chars().count()).max().unwrap_or(0);
    for line in &grid.lines {
        let names = grid.columns.iter().zip(&line.cells).take(grid.names).map(|(column, cell)| match column.unit {
            "" => format!(" {}", one_line(cell)),
            unit => format!(", {} {} {unit}", column.head, one_line(cell)),
        });
        let names = wrapped(names.collect::<String>().trim_start(), 0, room);
        let names = names.trim_end();
        if let Mark::Error(what) = &line.mark {
            out += &format!("{names}\n{}", wrapped(&format!("error: {what}"), GAP, room));
            continue;
        }
        out += &marked(line, names, GAP, colour, room);
        for (head, cell) in heads.iter().zip(&line.cells).skip(grid.names) {
            out += &format!("{:1$}{head:<wide$}  {2}\n", "", usize::from(GAP), one_line(cell));
        }
    }
    for note in &grid.notes {
        out += &wrapped(note, 0, room);
    }
    out
}

/// A line as `drawn`, of which the names take so many columns, with its mark.
fn marked(line: &Line, drawn: &str, names: u16, colour: bool, room: u16) -> String {
    match &line.mark {
        Mark::Counts => format!("{drawn}\n"),
        Mark::Failed(why) => {
            let why = wrapped(&format!("FAILED: {why}"), GAP, room);
            if colour {
                let why = why.replacen("FAILED", &format!("{BOLD_RED}FAILED{PLAIN}"), 1);
                format!("{STRUCK}{drawn}{PLAIN}\n{why}")
            } else {
                format!("{drawn}\n{why}")
            }
        }
        Mark::Error(what) => {
            let what = wrapped(&format!("error: {what}"), names, room);
            format!("{drawn:<0$}{1}", usize::from(names), what.trim_start())
        }
    }
}

/// A text in as many lines as it needs, broken between words where it can be, with an indent.
fn wrapped(text: &str, indent: u16, room: u16) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(room);
    table.add_row([one_line(text)]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((indent, 0));
    }
    table.trim_fmt() + "\n"
}
