//! One map of a picture, and how much room each gets.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{HeatMap, ramp};
use crate::{
    PlotError,
    sheet::{self, Canvas, MARGIN},
    style::{self, px},
};

/// Between two maps, in CSS pixels.
pub const GAP: i32 = 28;
/// Maps stand beside each other up to this width in all.
const WIDEST: i32 = 1080 - 2 * MARGIN;
/// Cells of maps beside each other are at least so wide.
const EASY: i32 = 40;
/// Of the name of a row or column.
const MOST_LETTERS: usize = 18;
/// Of what the rows or columns are.
const MOST_LETTERS_OF_LABEL: usize = 28;

/// The room of every map, in CSS pixels: it is the same for all.
#[derive(Default)]
pub struct Layout {
    /// So many are in one row of the picture.
    pub beside: i32,
    /// Width and height of a map with its texts.
    pub panel: (i32, i32),
    /// Width and height of all.
    pub size: (i32, i32),
    cell: (i32, i32),
    /// From a map's upper left corner to its first cell.
    cells: (i32, i32),
    /// Whether the names of columns run upwards.
    upright: bool,
}

impl Layout {
    pub fn of(maps: &[&HeatMap]) -> Self {
        let most = |count: fn(&HeatMap) -> usize| maps.iter().map(|map| count(map) as i32).max();
        let (Some(columns), Some(rows)) =
            (most(|map| map.columns.len()), most(|map| map.rows.len()))
        else {
            return Self::default();
        };
        let names = |names: fn(&HeatMap) -> &Vec<String>| {
            maps.iter().flat_map(move |map| names(map)).map(|name| {
                let name = sheet::one_line(name, MOST_LETTERS);
                style::width(&name, style::SMALL) / style::SCALE as i32
            })
        };
        let any = |text: fn(&HeatMap) -> &String| maps.iter().any(|map| !text(map).is_empty());
        let row_names = names(|map| &map.rows).max().unwrap_or(0);
        let column_names = names(|map| &map.columns).max().unwrap_or(0) + 6;

        let left = row_names + 10 + if any(|map| &map.row_label) { 22 } else { 0 };
        let room = |beside: i32| ((WIDEST - (beside - 1) * GAP) / beside - left) / columns;
        let easy = EASY.max(column_names);
        let beside = (2..=maps.len() as i32)
            .rev()
            .find(|beside| room(*beside) >= easy);
        let beside = beside.unwrap_or(1);
        // The label of the rows runs along them, and few low rows would cut it off.
        let row_labels = maps.iter().map(|map| label_width(&map.row_label));
        let low = row_labels.max().unwrap_or(0) / rows + 1;
        let cell = (
            room(beside).clamp(20, 88),
            (440 / rows).clamp(16, 36).max(low),
        );
        let upright = column_names > cell.0;

        let above = if any(|map| &map.title) { 24 } else { 0 };
        let above = above + if any(|map| &map.subtitle) { 18 } else { 0 };
        let names_below = if upright { column_names } else { 16 };
        let below = 6 + names_below + if any(|map| &map.column_label) { 20 } else { 0 };
        let panel = (left + columns * cell.0, above + rows * cell.1 + below);
        let rows_of_maps = (maps.len() as i32 + beside - 1) / beside;
        Self {
            beside,
            panel,
            size: (
                beside * panel.0 + (beside - 1) * GAP,
                rows_of_maps * panel.1 + (rows_of_maps - 1) * GAP,
            ),
            cell,
            cells: (left, above),
            upright,
        }
    }
}

/// A map and where it stands.
pub struct Panel<'a> {
    pub map: &'a HeatMap,
    /// Upper left corner in CSS pixels.
    pub at: (i32, i32),
    pub layout: &'a Layout,
}

impl Panel<'_> {
    pub fn draw(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let (left, top) = (px(self.at.0), px(self.at.1));
        let room = self.layout.panel.0;
        let title = sheet::fitting(&self.map.title, room, 1.16 * style::TEXT);
        canvas.draw_text(&title, &style::bold(style::TEXT, style::INK), (left, top))?;
        let subtitle = sheet::fitting(&self.map.subtitle, room, style::SMALL);
        let pale = style::text(style::SMALL, style::PALE_INK);
        canvas.draw_text(&subtitle, &pale, (left, top + px(20)))?;
        for (row, values) in self.map.values.iter().enumerate() {
            for (column, value) in values.iter().enumerate() {
                self.draw_cell(canvas, self.corner(column, row), *value)?;
            }
        }
        self.draw_names(canvas)
    }

    /// The upper left corner of a cell, in drawing units.
    fn corner(&self, column: usize, row: usize) -> (i32, i32) {
        let Layout { cell, cells, .. } = self.layout;
        (
            px(self.at.0 + cells.0 + column as i32 * cell.0),
            px(self.at.1 + cells.1 + row as i32 * cell.1),
        )
    }

    fn draw_cell(
        &self,
        canvas: &Canvas,
        (left, top): (i32, i32),
        value: Option<f64>,
    ) -> Result<(), PlotError> {
        // One pixel stays white between two cells.
        let (width, height) = (px(self.layout.cell.0 - 1), px(self.layout.cell.1 - 1));
        let Some(value) = value.filter(|value| !value.is_nan()) else {
            return cross_out(canvas, (left, top), (width, height));
        };
        let color = ramp::color(value);
        let cell = Rectangle::new([(left, top), (left + width, top + height)], color.filled());
        canvas.draw(&cell)?;
        let said = said(value);
        let narrow = f64::from(self.layout.cell.0 - 3) / (0.56 * said.len() as f64);
        let text = style::text(style::TEXT.min(narrow), ramp::ink_on(color)).pos(sheet::CENTERED);
        canvas.draw_text(&said, &text, (left + width / 2, top + height / 2))?;
        Ok(())
    }

    fn draw_names(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let (columns, rows) = (self.map.columns.len(), self.map.rows.len());
        let (width, height) = (px(self.layout.cell.0 - 1), px(self.layout.cell.1 - 1));
        let pale = style::text(style::SMALL, style::PALE_INK);
        let ink = style::text(style::TEXT, style::INK);
        for (row, name) in self.map.rows.iter().enumerate() {
            let (left, top) = self.corner(0, row);
            let name = sheet::one_line(name, MOST_LETTERS);
            let at = (left - px(6), top + height / 2);
            canvas.draw_text(&name, &pale.pos(sheet::ENDING), at)?;
        }
        for (column, name) in self.map.columns.iter().enumerate() {
            let (left, bottom) = self.corner(column, rows);
            let name = sheet::one_line(name, MOST_LETTERS);
            let at = (left + width / 2, bottom + px(5));
            if self.layout.upright {
                canvas.draw_text(&name, &turned(&pale).pos(sheet::ENDING), at)?;
            } else {
                let below = Pos::new(HPos::Center, VPos::Top);
                canvas.draw_text(&name, &pale.pos(below), at)?;
            }
        }
        let (left, top) = self.corner(0, 0);
        let (right, bottom) = self.corner(columns, rows);
        let middle = (px(self.at.0 + 8), (top + bottom) / 2);
        let label = sheet::one_line(&self.map.row_label, MOST_LETTERS_OF_LABEL);
        canvas.draw_text(&label, &turned(&ink).pos(sheet::CENTERED), middle)?;
        let middle = ((left + right) / 2, px(self.at.1 + self.layout.panel.1 - 8));
        let label = sheet::one_line(&self.map.column_label, MOST_LETTERS_OF_LABEL);
        canvas.draw_text(&label, &ink.pos(sheet::CENTERED), middle)?;
        Ok(())
    }
}

/// In CSS pixels.
fn label_width(label: &str) -> i32 {
    let label = sheet::one_line(label, MOST_LETTERS_OF_LABEL);
    style::width(&label, style::TEXT) / style::SCALE as i32
}

/// Upwards.
fn turned<'a>(text: &TextStyle<'a>) -> TextStyle<'a> {
    text.transform(FontTransform::Rotate270)
}

/// Two decimals, but only 0 is rounded to 0.00 and only 1 to 1.00.
fn said(value: f64) -> String {
    let inner = if value > 0.0 && value < 1.0 {
        value.clamp(0.01, 0.99)
    } else {
        value
    };
    format!("{inner:.2}")
}

/// A cell that was not measured: without a colour of the ramp, and with a stroke through it.
pub fn cross_out(canvas: &Canvas, at: (i32, i32), size: (i32, i32)) -> Result<(), PlotError> {
    let end = (at.0 + size.0, at.1 + size.1);
    canvas.draw(&Rectangle::new([at, end], style::GRID.filled()))?;
    let stroke = vec![(at.0, end.1), (end.0, at.1)];
    canvas.draw(&PathElement::new(stroke, style::line(style::PALE_INK, 1.0)))?;
    Ok(())
}

/// Whether a cell of it was not measured.
pub fn lacks_some(map: &HeatMap) -> bool {
    let lacks = |value: &Option<f64>| value.is_none_or(f64::is_nan);
    map.values.iter().flatten().any(lacks)
}
