//! Results for people (tables) and for programs (csv, jsonl).

mod grid;
mod md;
mod number;
mod rows;
mod table;

use std::{fmt, str::FromStr};

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::Record;

pub use grid::{Column, Grid, Line, Mark};
pub use number::{figure, percent, scaled};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal; a row is stacked where it has no room.
    #[default]
    Table,
    /// Markdown.
    Md,
    /// RFC 4180, with a head.
    Csv,
    /// One JSON object per line.
    Jsonl,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Table, Format::Md, Format::Csv, Format::Jsonl];
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(match self {
            Format::Table => "table",
            Format::Md => "md",
            Format::Csv => "csv",
            Format::Jsonl => "jsonl",
        })
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{0:?} is no format: use table, md, csv or jsonl")]
pub struct UnknownFormat(pub String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        let named = Format::ALL.into_iter().find(|format| format.to_string() == name);
        named.ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// What a table is drawn on.
#[derive(Clone, Copy, Debug, Default)]
pub struct Look {
    pub colour: bool,
    /// Columns of the terminal; `None`: there is none, and tables are as wide as they are.
    pub columns: Option<usize>,
}

impl From<bool> for Look {
    fn from(colour: bool) -> Self {
        Self { colour, columns: None }
    }
}

/// Why there is no text: one line each.
#[derive(Debug, Error)]
pub enum RenderError {
    #[error("the results could not be written as csv: {0}")]
    Csv(#[from] csv::Error),
    #[error("the results could not be written as json: {0}")]
    Json(#[from] serde_json::Error),
}

/// All records, in their order; text that ends with a newline, or is empty where there is none.
///
/// A row that failed is struck out (in the terminal only with colour) and labelled FAILED, with the reason. A row that was
/// not measured has its error in place of its numbers. A missing number is `-` in tables, empty in csv and `null` in jsonl,
/// where all fields are always there, in the order of [`Record`].
///
/// # Errors
/// None that input can cause: the encoders' own.
pub fn render(records: &[Record], format: Format, look: impl Into<Look>) -> Result<String, RenderError> {
    write(records, || rows::grids(records), format, look.into())
}

/// The same for any rows: as they are for programs, as grids for people.
pub fn write<T: Serialize>(
    rows: &[T],
    grids: impl FnOnce() -> Vec<Grid>,
    format: Format,
    look: Look,
) -> Result<String, RenderError> {
    let joined = |draw: &dyn Fn(&Grid) -> String| {
        let drawn: Vec<String> = grids().iter().map(draw).collect();
        drawn.join("\n")
    };
    match format {
        Format::Table => Ok(joined(&|grid| table::draw(grid, look))),
        Format::Md => Ok(joined(&md::draw)),
        Format::Csv => csv(rows),
        Format::Jsonl => jsonl(rows),
    }
}

/// A head with the names of the fields, and a line for each row. Numbers are written as in JSON: NaN, which JSON does not
/// have, is empty too.
fn csv<T: Serialize>(rows: &[T]) -> Result<String, RenderError> {
    let mut bytes = Vec::new();
    let mut writer = csv::Writer::from_writer(&mut bytes);
    for (number, row) in rows.iter().enumerate() {
        let fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(row)?)?;
        if number == 0 {
            writer.write_record(fields.keys())?;
        }
        writer.write_record(fields.into_iter().map(|(_, value)| match value {
            Value::Null => String::new(),
            Value::String(text) => text,
            other => other.to_string(),
        }))?;
    }
    drop(writer);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// One JSON object per line.
fn jsonl<T: Serialize>(rows: &[T]) -> Result<String, RenderError> {
    let line = |row| Ok(serde_json::to_string(row)? + "\n");
    rows.iter().map(line).collect()
}
