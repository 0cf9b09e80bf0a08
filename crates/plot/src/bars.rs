//! Rates side by side, as horizontal bars.

use plotters::prelude::*;

use crate::{
    PlotError,
    sheet::{self, Canvas, Head, MARGIN, sheet},
    style::{self, px},
};

mod panel;

use panel::{Panel, hatched};

/// What was measured of a row in one panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// From zero on; one that is negative, no number, or beyond 10^15 is as if it had not been measured.
    pub value: f64,
    /// To either side of it.
    pub deviation: Option<f64>,
}

/// One row of bars, a bar in each of `N` panels.
#[derive(Clone, Debug, PartialEq)]
pub struct BarRow<const N: usize> {
    /// Rows of one group stand together below its name.
    pub group: String,
    pub name: String,
    /// `None` where nothing was measured.
    pub values: [Option<Bar>; N],
    /// What was measured does not count.
    pub failed: bool,
    /// Why it failed, or why there is nothing.
    pub note: String,
}

/// Rows of bars in `N` panels side by side, each with its own scale.
#[derive(Clone, Copy, Debug)]
pub struct BarChart<'a, const N: usize> {
    pub title: &'a str,
    pub subtitle: &'a str,
    /// What each panel measures, and in which unit.
    pub panels: [&'a str; N],
    pub rows: &'a [BarRow<N>],
}

/// Draws rows of bars and returns the text of an SVG file.
///
/// Groups stand in the order in which they first appear, rows in theirs; rows of one name have one colour. The bars of a
/// row that failed are hatched and named FAILED, and what they say is struck out; the scale is that of the rows that count,
/// and longer bars end where it does. Where a row has no bars at all its note stands in their place.
pub fn bars<const N: usize>(chart: &BarChart<N>) -> Result<String, PlotError> {
    let layout = Layout::of(chart);
    let head = Head {
        title: chart.title,
        subtitle: chart.subtitle,
        room: WIDTH - 2 * MARGIN,
    };
    let size = (WIDTH as u32, layout.height as u32);
    sheet(size, &head, |canvas| {
        if chart.rows.is_empty() || N == 0 {
            return sheet::say(canvas, "Nothing has been measured yet.");
        }
        draw(canvas, chart, &layout)
    })
}

// In CSS pixels.
const WIDTH: i32 = 900;
const TOP: i32 = 78;
/// The name of a panel.
const PANEL_HEAD: i32 = 26;
const GROUP: i32 = 28;
const ROW: i32 = 24;
/// Ticks below the bars.
const AXIS: i32 = 30;
/// A line below it all.
const LINE: i32 = 18;
/// Between names, panels and the right edge.
const GAP: i32 = 20;
/// Of the name of a row.
const MOST_LETTERS: usize = 30;

/// Where things stand, in CSS pixels.
struct Layout<'a> {
    /// Right end of the names.
    names: i32,
    /// Headings and rows (by their number) with the height at which each begins.
    groups: Vec<(i32, &'a str)>,
    rows: Vec<(i32, usize)>,
    /// Where the bars begin and end.
    bars: (i32, i32),
    /// Heights between which there are bars, and no other texts.
    ruled: Vec<(i32, i32)>,
    height: i32,
}

impl<'a> Layout<'a> {
    fn of<const N: usize>(chart: &BarChart<'a, N>) -> Self {
        let width = |row: &BarRow<N>| style::width(&name(row), style::TEXT) / style::SCALE as i32;
        let widest = chart.rows.iter().map(width).max().unwrap_or(0);
        let mut groups: Vec<&str> = Vec::new();
        for row in chart.rows {
            if !groups.contains(&row.group.as_str()) {
                groups.push(&row.group);
            }
        }
        let mut layout = Self {
            names: MARGIN + widest,
            groups: Vec::new(),
            rows: Vec::new(),
            bars: (TOP + PANEL_HEAD, 0),
            ruled: Vec::new(),
            height: 0,
        };
        let mut y = layout.bars.0;
        for group in groups {
            if !group.is_empty() {
                layout.groups.push((y, group));
                y += GROUP;
            }
            for (number, row) in (0..).zip(chart.rows).filter(|(_, row)| row.group == group) {
                layout.rows.push((y, number));
                match layout.ruled.last_mut() {
                    _ if !measured(row) => (),
                    Some(last) if last.1 == y => last.1 = y + ROW,
                    _ => layout.ruled.push((y, y + ROW)),
                }
                y += ROW;
            }
        }
        layout.bars.1 = y + 4;
        let failed = chart.rows.iter().filter(|row| row.failed).count() as i32;
        layout.height = layout.bars.1 + AXIS + failed * LINE + 16;
        layout
    }
}

/// Whether it has a bar.
fn measured<const N: usize>(row: &BarRow<N>) -> bool {
    let mut bars = row.values.iter().copied().flatten();
    bars.any(|bar| panel::place(bar).is_some())
}

fn name<const N: usize>(row: &BarRow<N>) -> String {
    sheet::one_line(&row.name, MOST_LETTERS)
}

fn draw<const N: usize>(
    canvas: &Canvas,
    chart: &BarChart<N>,
    layout: &Layout,
) -> Result<(), PlotError> {
    let begin = layout.names + GAP;
    let each = (WIDTH - begin - GAP * N as i32) / N as i32;
    let panels: Vec<Panel> = (0..N)
        .map(|number| {
            let left = begin + number as i32 * (each + GAP);
            let rows = chart.rows.iter();
            Panel::of(
                rows.map(|row| (row.values[number], row.failed)),
                (left, left + each),
            )
        })
        .collect();
    for (panel, label) in panels.iter().zip(chart.panels) {
        panel.draw_axis(canvas, label, layout.bars, &layout.ruled)?;
    }
    for (y, group) in &layout.groups {
        let group = sheet::fitting(group, WIDTH - 2 * MARGIN, 1.16 * style::TEXT);
        let bold = style::bold(style::TEXT, style::INK).pos(sheet::BEGINNING);
        canvas.draw_text(&group, &bold, (px(MARGIN), px(y + GROUP / 2)))?;
    }
    for (y, number) in &layout.rows {
        let row = &chart.rows[*number];
        let middle = px(y + ROW / 2);
        draw_name(canvas, row, (px(layout.names), middle))?;
        if !measured(row) {
            let said = if row.note.is_empty() {
                "not measured"
            } else {
                &row.note
            };
            let said = sheet::fitting(said, WIDTH - begin - MARGIN, style::SMALL);
            let pale = style::text(style::SMALL, style::PALE_INK).pos(sheet::BEGINNING);
            canvas.draw_text(&said, &pale, (px(begin + panel::TO_LABEL), middle))?;
            continue;
        }
        for (panel, bar) in panels.iter().zip(row.values) {
            panel.draw_bar(canvas, bar, (color(chart, row), row.failed), middle)?;
        }
    }
    draw_failures(canvas, chart, layout.bars.1 + AXIS)
}

/// Rows of one name have one.
fn color<const N: usize>(chart: &BarChart<N>, row: &BarRow<N>) -> RGBColor {
    let mut names: Vec<&str> = Vec::new();
    for other in chart.rows {
        if other.name == row.name {
            break;
        }
        if !names.contains(&other.name.as_str()) {
            names.push(&other.name);
        }
    }
    style::SERIES[names.len() % style::SERIES.len()]
}

fn draw_name<const N: usize>(
    canvas: &Canvas,
    row: &BarRow<N>,
    (right, middle): (i32, i32),
) -> Result<(), PlotError> {
    let name = name(row);
    let ink = if row.failed {
        style::PALE_INK
    } else {
        style::INK
    };
    let text = style::text(style::TEXT, ink).pos(sheet::ENDING);
    canvas.draw_text(&name, &text, (right, middle))?;
    if row.failed {
        let left = right - style::width(&name, style::TEXT);
        panel::strike(canvas, (left, right), middle)?;
    }
    Ok(())
}

/// A line for each row that failed, from this height on.
fn draw_failures<const N: usize>(
    canvas: &Canvas,
    chart: &BarChart<N>,
    top: i32,
) -> Result<(), PlotError> {
    let text = style::text(style::SMALL, style::PALE_INK).pos(sheet::BEGINNING);
    for (number, row) in (0..).zip(chart.rows.iter().filter(|row| row.failed)) {
        let middle = px(top + number * LINE + LINE / 2);
        let swatch = ((px(MARGIN), px(MARGIN + 22)), middle);
        hatched(canvas, swatch, color(chart, row))?;
        let group = if row.group.is_empty() { "" } else { ", " };
        let why = if row.note.is_empty() {
            "no reason given"
        } else {
            &row.note
        };
        let said = format!("{}{group}{} FAILED: {why}", name(row), row.group);
        let said = sheet::fitting(&said, WIDTH - 2 * MARGIN - 30, style::SMALL);
        canvas.draw_text(&said, &text, (px(MARGIN + 30), middle))?;
    }
    Ok(())
}
