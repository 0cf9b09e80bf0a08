//! The results as a table and as a heat map.

use std::{num::NonZeroUsize, path::Path};

use glass_eval::NeedleScore;
use glass_plot::{HeatMap, PlotError, heat_maps};

use super::{KEY, Rows, Run, VALUE};
use crate::{
    args::{self, Mode},
    table,
    terminal::Stream,
};

/// Columns of the names.
const NAMES: usize = 22;

pub struct Shown<'a> {
    pub args: &'a args::Needle,
    pub rows: &'a Rows,
    pub runs: &'a [Run],
    /// The model's name.
    pub model: Option<&'a Path>,
}

impl Shown<'_> {
    /// A table for each policy: a row per task, a column per length.
    pub fn tables(&self) -> String {
        let tables: Vec<String> = self.runs.iter().map(|run| self.table(run)).collect();
        tables.join("\n\n")
    }

    fn table(&self, run: &Run) -> String {
        let room = Stream::Out.width();
        let facts = [("cache", run.cache.to_string()), ("found", self.measured())];
        let facts = facts.map(|(name, value)| (name.to_owned(), value));
        let names = [format!("{} \\ tokens read", self.rows.what)].into_iter().chain(self.names());
        let names: Vec<String> = names.map(|name| format!("{name:<NAMES$}")).collect();
        let column = |(index, length): (usize, &NonZeroUsize)| {
            let found = |row: &Vec<NeedleScore>| row[index].found().map_or("-".into(), |found| format!("{found:.4}"));
            let cells = [length.to_string()].into_iter().chain(run.cells.iter().map(found));
            cells.map(|cell| format!(" {cell:>8}")).collect()
        };
        let cells: Vec<Vec<String>> = self.args.length.iter().enumerate().map(column).collect();
        format!("{}\n{}", table::facts(&facts, NAMES, room), table::grid(&names, &cells, room))
    }

    /// A heat map for each policy.
    pub fn plot(&self) -> Result<String, PlotError> {
        let columns = self.args.length.iter().map(|length| length.to_string());
        let columns: Vec<String> = columns.collect();
        let map = |run: &Run| HeatMap {
            title: run.cache.to_string(),
            rows: self.names(),
            columns: columns.clone(),
            row_label: self.rows.what.into(),
            column_label: "tokens read".into(),
            values: run.cells.iter().map(|row| row.iter().map(|cell| cell.found()).collect()).collect(),
        };
        let maps: Vec<HeatMap> = self.runs.iter().map(map).collect();
        let title = match self.args.mode {
            Mode::Single => "A needle in a haystack",
            Mode::Chain => "A chain in a haystack",
            Mode::Words => "A sentence in a text",
        };
        let model = self.model.unwrap_or(Path::new("model")).display();
        heat_maps(&maps, title, &format!("{model}: {}", self.measured()))
    }

    fn measured(&self) -> String {
        let args::Needle { key, trials, .. } = self.args;
        let key = key.unwrap_or(KEY);
        match self.args.mode {
            Mode::Single => {
                let value = self.args.value.unwrap_or(VALUE);
                format!("share of {trials} trials (tokens: key {key}, value {value})")
            }
            Mode::Chain => format!("mean share of hops, {trials} trials (tokens: key {key})"),
            Mode::Words => format!("share of {trials} trials (a password in a sentence)"),
        }
    }

    fn names(&self) -> Vec<String> {
        self.rows.values.iter().map(|value| value.as_f64().map_or(String::new(), |value| value.to_string())).collect()
    }
}
