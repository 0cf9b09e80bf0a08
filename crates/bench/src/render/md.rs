//! Tables in Markdown.

use std::iter::repeat_n;

use super::grid::{Grid, Line, Mark, one_line};

/// The title, the table and the notes. Nothing is truncated.
pub fn draw(grid: &Grid) -> String {
    let mut out = String::new();
    if !grid.title.is_empty() {
        out += &format!("{}\n\n", escaped(&grid.title));
    }
    let heads = grid.columns.iter().map(|column| match (column.head, column.unit) {
        (text, "") | ("", text) => text.to_owned(),
        (head, unit) => format!("{head} ({unit})"),
    });
    // A column for notes, if there are any.
    let noted = grid.lines.iter().any(|line| line.mark != Mark::Counts);
    let note = noted.then(|| "note".to_owned());
    out += &row(heads.chain(note));
    let numbers = grid.columns.len().saturating_sub(grid.names);
    let rule = repeat_n("---", grid.names).chain(repeat_n("---:", numbers));
    let rule = rule.chain(noted.then_some("---"));
    out += &row(rule.map(str::to_owned));
    for line in &grid.lines {
        let note = match &line.mark {
            _ if !noted => None,
            Mark::Counts => Some(String::new()),
            Mark::Failed(why) => Some(format!("**FAILED**: {}", escaped(why))),
            Mark::Error(what) => Some(format!("error: {}", escaped(what))),
        };
        out += &row(cells(line).chain(note));
    }
    for note in &grid.notes {
        out += &format!("\n{}\n", escaped(note));
    }
    out
}

fn cells(line: &Line) -> impl Iterator<Item = String> {
    let failed = matches!(line.mark, Mark::Failed(_));
    line.cells.iter().map(move |cell| match escaped(cell) {
        cell if failed && !cell.is_empty() && cell != "-" => format!("~~{cell}~~"),
        cell => cell,
    })
}

fn row(cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {} |\n", cells.join(" | "))
}

/// A text in one line, in which nothing ends the cell or is markup.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in one_line(text).chars() {
        match c {
            '<' => out += "&lt;",
            '|' | '*' | '_' | '`' | '~' | '\\' | '[' | ']' => out.extend(['\\', c]),
            _ => out.push(c),
        }
    }
    out
}
