//! Fractions over two axes, as coloured cells.

use plotters::{prelude::*, style::text_anchor::HPos};

use crate::{
    PlotError,
    sheet::{
        Area, GRID, HEADER, INK, MARGIN, PALE_INK, PX, SMALL, TEXT, anchored, bold, draw_nothing, fit, sheet, stroke,
        text, widest,
    },
};

/// One map: a value from 0 to 1, or none, for each row and column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    pub title: String,
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

/// Draws maps, beside each other where they fit, with cells of one size and one legend, and returns the text of an SVG
/// file.
///
/// Each cell shows its value, with two decimals: only 1 is 1.00 and only 0 is 0.00. A cell that was not measured is
/// crossed out. It is an error if values are missing or too many for the names, or are not from 0 to 1.
pub fn heat_maps(maps: &[HeatMap], title: &str, subtitle: &str) -> Result<String, PlotError> {
    maps.iter().try_for_each(HeatMap::check)?;
    let has_cells = |map: &&HeatMap| !map.rows.is_empty() && !map.columns.is_empty();
    let maps: Vec<&HeatMap> = maps.iter().filter(has_cells).collect();
    let layout = Layout::new(&maps);
    let width = (layout.beside * layout.map.0 + 2 * MARGIN).max(MIN_WIDTH);
    let below = (maps.len() as i32 + layout.beside - 1) / layout.beside * layout.map.1;
    let size = (width, HEADER + below + LEGEND);
    sheet(size, [title, subtitle, ""], 0, |_, body| {
        if maps.is_empty() {
            return draw_nothing(body);
        }
        for (number, map) in (0..).zip(&maps) {
            let left = MARGIN + number % layout.beside * layout.map.0;
            let top = number / layout.beside * layout.map.1;
            draw_map(&body.clone().shrink((left, top), layout.map), map, &layout)?;
        }
        let mut values = maps.iter().flat_map(|map| map.values.iter().flatten());
        let unmeasured = values.any(|value| measured(*value).is_none());
        draw_legend(&body.split_vertically(below).1, unmeasured)
    })
}

impl HeatMap {
    fn check(&self) -> Result<(), PlotError> {
        let error = |reason| PlotError::HeatMap { title: self.title.clone(), reason };
        let (rows, columns) = (self.rows.len(), self.columns.len());
        if self.values.len() != rows || self.values.iter().any(|row| row.len() != columns) {
            return Err(error(format!(
                "its values are not {rows} rows of {columns}: give one value (or none) for each cell"
            )));
        }
        for (row, values) in self.rows.iter().zip(&self.values) {
            for (column, value) in self.columns.iter().zip(values) {
                if let Some(value) = measured(*value).filter(|value| !(0.0..=1.0).contains(value)) {
                    return Err(error(format!(
                        "{value} in row \"{row}\", column \"{column}\" is not a fraction: give values from 0 to 1"
                    )));
                }
            }
        }
        Ok(())
    }
}

fn measured(value: Option<f64>) -> Option<f64> {
    value.filter(|value| !value.is_nan())
}

/// A title and the legend fit.
const MIN_WIDTH: i32 = 480 * PX;
/// Maps stand beside each other up to this width.
const MAX_WIDTH: i32 = 1032 * PX;
/// Of a cell, unless its names need more.
const CELL: (i32, i32) = (56 * PX, 32 * PX);
/// Above the cells: the title of a map.
const ABOVE: i32 = 24 * PX;
/// Below the cells: the names of the columns, and what they are.
const BELOW: i32 = 42 * PX;
/// Between two maps.
const GAP: i32 = 24 * PX;
const LEGEND: i32 = 64 * PX;
/// Width of a name, and of what the rows or columns are.
const MAX_NAME: i32 = 112 * PX;
const MAX_LABEL: i32 = 204 * PX;

/// The sizes that all maps share.
struct Layout {
    /// How many maps stand beside each other.
    beside: i32,
    /// Width and height of a map with its texts and the gap to the next.
    map: (i32, i32),
    cell: (i32, i32),
    /// Width of the names of the rows, and of what they are.
    names: i32,
}

impl Layout {
    fn new(maps: &[&HeatMap]) -> Self {
        let max = |of: &dyn Fn(&HeatMap) -> i32| maps.iter().map(|map| of(map)).max().unwrap_or(1);
        let name_width = |names: &[String]| widest(names.iter(), SMALL).min(MAX_NAME);
        let (rows, columns) = (max(&|map| map.rows.len() as i32), max(&|map| map.columns.len() as i32));
        // The label of the rows runs along them: few low rows would cut it off.
        let row_label = max(&|map| widest([&map.row_label].into_iter(), TEXT)).min(MAX_LABEL);
        let cell = (CELL.0.max(max(&|map| name_width(&map.columns)) + 8 * PX), CELL.1.max(row_label / rows));
        let names = max(&|map| name_width(&map.rows)) + 32 * PX;
        let map = (names + columns * cell.0 + GAP, ABOVE + rows * cell.1 + BELOW + GAP);
        let beside = (MAX_WIDTH / map.0).clamp(1, maps.len().max(1) as i32);
        Self { beside, map, cell, names }
    }
}

/// Cells are two units wide and high, so that their centres, where the names stand, are whole numbers.
fn draw_map(area: &Area, map: &HeatMap, layout: &Layout) -> Result<(), PlotError> {
    let (rows, columns) = (map.rows.len() as i32, map.columns.len() as i32);
    let title = fit(&map.title, layout.map.0 - GAP, TEXT);
    area.draw_text(&title, &bold(TEXT, INK), (0, 0))?;
    let centres = |count: i32| (0..count).map(|index| 2 * index + 1).collect();
    let mut chart = ChartBuilder::on(area)
        .margin_top(ABOVE)
        .margin_bottom(layout.map.1 - ABOVE - rows * layout.cell.1 - BELOW)
        .margin_right(layout.map.0 - layout.names - columns * layout.cell.0)
        .x_label_area_size(BELOW)
        .y_label_area_size(layout.names)
        .build_cartesian_2d(
            (0..2 * columns).with_key_points(centres(columns)),
            (2 * rows..0).with_key_points(centres(rows)),
        )?;
    for (row, values) in (0..).zip(&map.values) {
        for (column, value) in (0..).zip(values) {
            let corners = [(2 * column, 2 * row), (2 * column + 2, 2 * row + 2)];
            let corners = corners.map(|corner| chart.backend_coord(&corner));
            draw_cell(&area.use_screen_coord(), corners, *value)?;
        }
    }
    chart
        .configure_mesh()
        .disable_mesh()
        .x_label_formatter(&|x| fit(&map.columns[*x as usize / 2], MAX_NAME, SMALL))
        .y_label_formatter(&|y| fit(&map.rows[*y as usize / 2], MAX_NAME, SMALL))
        .x_desc(fit(&map.column_label, MAX_LABEL, TEXT))
        .y_desc(fit(&map.row_label, MAX_LABEL, TEXT))
        .label_style(text(SMALL, PALE_INK))
        .axis_desc_style(text(TEXT, INK))
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(3 * PX)
        .draw()?;
    Ok(())
}

/// A cell with its value, or crossed out. One pixel stays white beside it and below.
fn draw_cell(
    area: &Area,
    [(left, top), (right, bottom)]: [(i32, i32); 2],
    value: Option<f64>,
) -> Result<(), PlotError> {
    let value = measured(value);
    let color = value.map_or(GRID, ViridisRGB::get_color);
    let corner = (right - PX, bottom - PX);
    area.draw(&Rectangle::new([(left, top), corner], color.filled()))?;
    if let Some(value) = value {
        let ink = if value < DARK { WHITE } else { BLACK };
        let style = anchored(text(TEXT, ink), HPos::Center);
        let middle = ((left + corner.0) / 2, (top + corner.1) / 2);
        area.draw(&Text::new(shown(value), middle, style))?;
    } else {
        let diagonal = vec![(left, corner.1), (corner.0, top)];
        area.draw(&PathElement::new(diagonal, stroke(PALE_INK, 1.0)))?;
    }
    Ok(())
}

/// The colours of smaller values are dark.
const DARK: f64 = 0.43;

/// Two decimals, but only 0 is rounded to 0.00 and only 1 to 1.00.
fn shown(value: f64) -> String {
    let inner = if value > 0.0 && value < 1.0 { value.clamp(0.01, 0.99) } else { value };
    format!("{inner:.2}")
}

/// What the colours mean.
fn draw_legend(area: &Area, unmeasured: bool) -> Result<(), PlotError> {
    let quarters = (0..=4).map(|quarter| Some(f64::from(quarter) / 4.0));
    let mut left = MARGIN;
    for value in quarters.chain(unmeasured.then_some(None)) {
        let right = left + 44 * PX;
        draw_cell(area, [(left, 12 * PX), (right, 34 * PX)], value)?;
        left = right;
    }
    if unmeasured {
        let style = anchored(text(SMALL, PALE_INK), HPos::Left);
        area.draw_text("not measured", &style, (left + 8 * PX, 23 * PX))?;
    }
    Ok(())
}
