//! Tables that fit the terminal. Where there is none, they are as wide as they are.

use comfy_table::{ContentArrangement, Table, presets};

/// Columns below which a value stands below its name.
const NARROW: usize = 60;

/// A name and its value per line; `names` columns are for the names. On a terminal of so many `columns`, a value breaks
/// between words.
pub fn facts(rows: &[(String, String)], names: usize, columns: Option<usize>) -> String {
    let line = |(name, value): &(String, String)| {
        let line = format!("{name:<names$} {value}");
        match columns {
            Some(columns) if line.chars().count() <= columns => line,
            Some(columns) if columns < NARROW => format!("{name}\n{}", wrapped(value, 2, columns)),
            Some(columns) => {
                let head = format!("{name:<names$} ");
                let indent = head.chars().count().min(columns / 2);
                let value = wrapped(value, indent, columns);
                format!("{head}{}", value.get(indent..).unwrap_or_default())
            }
            None => line,
        }
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Columns side by side, each of them a head and cells of one width. Where not all have room, those that have not follow
/// below, again with the first one, which names the rows.
pub fn grid(names: &[String], columns: &[Vec<String>], room: Option<usize>) -> String {
    let wide = |column: &[String]| column.iter().map(|cell| cell.chars().count()).max().unwrap_or(0);
    let room = room.unwrap_or(usize::MAX).saturating_sub(wide(names));
    let mut parts: Vec<Vec<&Vec<String>>> = Vec::new();
    let mut taken = 0;
    for column in columns {
        match parts.last_mut() {
            Some(part) if taken + wide(column) <= room => part.push(column),
            _ => {
                parts.push(vec![column]);
                taken = 0;
            }
        }
        taken += wide(column);
    }
    let row = |part: &[&Vec<String>], index: usize| {
        part.iter().fold(names[index].clone(), |line, column| line + &column[index])
    };
    let part = |part: &Vec<&Vec<String>>| (0..names.len()).map(|index| row(part, index)).collect::<Vec<_>>().join("\n");
    parts.iter().map(part).collect::<Vec<_>>().join("\n\n")
}

/// A text in as many lines as it needs, each behind an indent.
fn wrapped(text: &str, indent: usize, columns: usize) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(u16::try_from(columns).unwrap_or(u16::MAX));
    table.add_row([text]);
    if let Some(column) = table.column_mut(0) {
        column.set_padding((u16::try_from(indent).unwrap_or(0), 0));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}
