//! Shares over two axes, as coloured cells.

use crate::{
    PlotError,
    sheet::{self, Head, MARGIN, sheet},
};

mod legend;
mod panel;
mod ramp;

use panel::{GAP, Layout, Panel};

/// One map: a value from 0 to 1, or none, for each row and column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    pub title: String,
    pub subtitle: String,
    /// Names of the rows, from the top.
    pub rows: Vec<String>,
    /// Names of the columns, from the left.
    pub columns: Vec<String>,
    /// What the rows are.
    pub row_label: String,
    /// What the columns are.
    pub column_label: String,
    /// By row, then by column. `None` and NaN have not been measured.
    pub values: Vec<Vec<Option<f64>>>,
}

impl HeatMap {
    fn check(&self) -> Result<(), PlotError> {
        let shape = |found: String, named: String| PlotError::Shape {
            title: self.title.clone(),
            found,
            named,
        };
        if self.values.len() != self.rows.len() {
            let found = format!("{} rows", self.values.len());
            return Err(shape(found, self.rows.len().to_string()));
        }
        for (row, values) in self.rows.iter().zip(&self.values) {
            if values.len() != self.columns.len() {
                let found = format!("{} columns in row \"{row}\"", values.len());
                return Err(shape(found, self.columns.len().to_string()));
            }
            for (column, value) in self.columns.iter().zip(values) {
                match value {
                    Some(value) if !value.is_nan() && !(0.0..=1.0).contains(value) => {
                        return Err(PlotError::NoShare {
                            title: self.title.clone(),
                            row: row.clone(),
                            column: column.clone(),
                            value: *value,
                        });
                    }
                    _ => (),
                }
            }
        }
        Ok(())
    }
}

/// Draws one map and returns the text of an SVG file.
///
/// Each cell says its value, with two decimals: only 1 is 1.00 and only 0 is 0.00. A cell that was not measured is crossed
/// out. It is an error if values lack or exceed the names, or are not from 0 to 1.
pub fn heat_map(map: &HeatMap) -> Result<String, PlotError> {
    let untitled = HeatMap {
        title: String::new(),
        subtitle: String::new(),
        ..map.clone()
    };
    map.check()?;
    draw(&[untitled], &map.title, &map.subtitle)
}

/// Draws several maps, beside each other where they fit, with cells of the same size and colours of the same meaning; else
/// as [`heat_map`] does. The title and the line below it are those of the whole; each map stands below its own.
pub fn heat_maps(maps: &[HeatMap], title: &str, subtitle: &str) -> Result<String, PlotError> {
    maps.iter().try_for_each(HeatMap::check)?;
    draw(maps, title, subtitle)
}

/// The narrowest picture, in CSS pixels: a title and the legend fit.
const NARROWEST: i32 = 480;

fn draw(maps: &[HeatMap], title: &str, subtitle: &str) -> Result<String, PlotError> {
    let cells = |map: &&HeatMap| !map.rows.is_empty() && !map.columns.is_empty();
    let maps: Vec<&HeatMap> = maps.iter().filter(cells).collect();
    let layout = Layout::of(&maps);
    let top = if subtitle.is_empty() { 58 } else { 82 };
    let below = if maps.is_empty() { 60 } else { legend::HEIGHT };
    let width = (layout.size.0 + 2 * MARGIN).max(NARROWEST);
    let size = (width as u32, (top + layout.size.1 + below) as u32);
    let head = Head {
        title,
        subtitle,
        room: width - 2 * MARGIN,
    };
    sheet(size, &head, |canvas| {
        if maps.is_empty() {
            return sheet::say(canvas, "Nothing has been measured yet.");
        }
        for (number, map) in (0..).zip(&maps) {
            let (column, row) = (number % layout.beside, number / layout.beside);
            let (panel_width, panel_height) = layout.panel;
            let at = (
                MARGIN + column * (panel_width + GAP),
                top + row * (panel_height + GAP),
            );
            Panel {
                map,
                at,
                layout: &layout,
            }
            .draw(canvas)?;
        }
        let unmeasured = maps.iter().any(|map| panel::lacks_some(map));
        legend::draw(canvas, (MARGIN, top + layout.size.1), unmeasured)
    })
}
