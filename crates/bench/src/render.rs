//! Results for people (tables) and for programs (csv, jsonl).

mod csv;
mod grid;
mod jsonl;
mod md;
mod number;
mod rows;
mod table;

use std::{fmt, str::FromStr};

use serde::Serialize;
use thiserror::Error;

use crate::Record;

pub use grid::{Column, Grid, Line, Mark};
pub use number::{figure, percent, scaled};

/// How results are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For a terminal, at most 120 columns wide.
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
        let named = Format::ALL
            .into_iter()
            .find(|format| format.to_string() == name);
        named.ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// Why there is no text: one line each.
#[derive(Debug, Error)]
pub enum RenderError {
    #[error("the results could not be written as csv: {0}")]
    Csv(String),
    #[error("the results could not be written as jsonl: {0}")]
    Jsonl(#[from] serde_json::Error),
}

/// All records, in their order; text that ends with a newline, or is empty where there is none.
///
/// A row that failed is struck out (in the terminal only with `colour`), and is called FAILED together with the reason. A
/// row that was not measured has its error in the place of its numbers. What is missing is `-` in tables, empty in csv and
/// `null` in jsonl, where all fields are always there, in the order of [`Record`].
///
/// # Errors
/// None that input can cause: the encoders' own.
pub fn render(records: &[Record], format: Format, colour: bool) -> Result<String, RenderError> {
    write(records, || rows::grids(records), format, colour)
}

/// The same for any rows: as they are for programs, and as grids for people.
pub fn write<T: Serialize>(
    rows: &[T],
    grids: impl FnOnce() -> Vec<Grid>,
    format: Format,
    colour: bool,
) -> Result<String, RenderError> {
    let joined = |draw: &dyn Fn(&Grid) -> String| {
        let drawn: Vec<String> = grids().iter().map(draw).collect();
        drawn.join("\n")
    };
    match format {
        Format::Table => Ok(joined(&|grid| table::draw(grid, colour))),
        Format::Md => Ok(joined(&md::draw)),
        Format::Csv => csv::write(rows),
        Format::Jsonl => jsonl::write(rows),
    }
}
