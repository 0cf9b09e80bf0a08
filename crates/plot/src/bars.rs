//! Rates side by side, as horizontal bars.

use plotters::{prelude::*, style::text_anchor::HPos};

use crate::{
    PlotError,
    sheet::{
        Area, GRID, HEADER, INK, MARGIN, PALE_INK, PALETTE, PX, SMALL, TEXT, anchored, bold, draw_nothing, fit,
        grouped, sheet, short, stroke, text, widest,
    },
};

/// What was measured of a row in one panel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// At least zero. A value that is negative, NaN or beyond 10^15 counts as not measured.
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

/// Draws rows of bars in `N` panels side by side, each with its own scale, and returns the text of an SVG file. `panels` say
/// what each measures, and in which unit.
///
/// Groups stand in the order in which they first appear, rows in theirs; rows of one name have one colour. A row that
/// failed has no bars: it is labelled FAILED, with its note. Neither has one that was not measured: it shows its note.
pub fn bars<const N: usize>(
    rows: &[BarRow<N>],
    panels: [&str; N],
    title: &str,
    subtitle: &str,
) -> Result<String, PlotError> {
    let lines = lines(rows);
    let size = (WIDTH, HEADER + ROW * lines.len() as i32 + AXIS + MARGIN);
    sheet(size, [title, subtitle, ""], 0, |_, body| {
        if lines.is_empty() || N == 0 {
            return draw_nothing(body);
        }
        let left = MARGIN + widest(rows.iter().map(BarRow::short_name), TEXT) + SPACE;
        let areas = body.margin(0, MARGIN, left, 0).split_evenly((1, N));
        for (panel, (area, label)) in areas.iter().zip(panels).enumerate() {
            draw_panel(area, label, panel, &lines)?;
        }
        for (line, y) in lines.iter().zip((ROW / 2..).step_by(ROW as usize)) {
            match line {
                Line::Group(group) => {
                    let group = fit(group, WIDTH - 2 * MARGIN, TEXT);
                    let style = anchored(bold(TEXT, INK), HPos::Left);
                    body.draw_text(&group, &style, (MARGIN, y))?;
                }
                Line::Row(row, _) => {
                    let style = anchored(text(TEXT, INK), HPos::Right);
                    body.draw_text(&row.short_name(), &style, (left - SPACE, y))?;
                    if let Some((remark, color)) = row.remark() {
                        let remark = fit(&remark, WIDTH - MARGIN - left, SMALL);
                        let style = anchored(text(SMALL, color), HPos::Left);
                        body.draw_text(&remark, &style, (left + SPACE, y))?;
                    }
                }
            }
        }
        Ok(())
    })
}

const WIDTH: i32 = 900 * PX;
const ROW: i32 = 24 * PX;
/// Ticks below the bars, and what they measure.
const AXIS: i32 = 44 * PX;
/// Between a bar and the text beside it.
const SPACE: i32 = 6 * PX;
/// Beside a panel.
const GAP: i32 = 16 * PX;
/// Width of a row's name.
const MAX_NAME: i32 = 220 * PX;

/// What stands in a line of the picture.
enum Line<'a, const N: usize> {
    Group(&'a str),
    Row(&'a BarRow<N>, RGBColor),
}

fn lines<const N: usize>(rows: &[BarRow<N>]) -> Vec<Line<'_, N>> {
    let first = |same: &dyn Fn(&BarRow<N>) -> bool| rows.iter().position(same).unwrap_or(0);
    let mut sorted: Vec<&BarRow<N>> = rows.iter().collect();
    sorted.sort_by_key(|row| first(&|other| other.group == row.group));
    let mut lines = Vec::new();
    for group in sorted.chunk_by(|a, b| a.group == b.group) {
        if !group[0].group.is_empty() {
            lines.push(Line::Group(&group[0].group));
        }
        for row in group {
            let number = first(&|other| other.name == row.name);
            lines.push(Line::Row(row, PALETTE[number % PALETTE.len()]));
        }
    }
    lines
}

impl<const N: usize> BarRow<N> {
    fn short_name(&self) -> String {
        fit(&self.name, MAX_NAME, TEXT)
    }

    fn bar(&self, panel: usize) -> Option<Bar> {
        let can_show = |value: &f64| (0.0..=1e15).contains(value);
        let Bar { value, deviation } = self.values[panel].filter(|_| !self.failed)?;
        let deviation = deviation.filter(can_show);
        can_show(&value).then_some(Bar { value, deviation })
    }

    /// What stands in place of all bars, where there are none.
    fn remark(&self) -> Option<(String, RGBColor)> {
        if self.failed {
            Some((format!("FAILED: {}", self.note), PALETTE[1]))
        } else if (0..N).any(|panel| self.bar(panel).is_some()) {
            None
        } else if self.note.is_empty() {
            Some((NOT_MEASURED.to_owned(), PALE_INK))
        } else {
            Some((self.note.clone(), PALE_INK))
        }
    }
}

const NOT_MEASURED: &str = "not measured";

impl Bar {
    fn ends(self) -> (f64, f64) {
        let deviation = self.deviation.unwrap_or(0.0);
        ((self.value - deviation).max(0.0), self.value + deviation)
    }

    /// About three digits, and as many decimals of the deviation.
    fn label(&self) -> String {
        let decimals = match self.value {
            100.0.. => 0,
            10.0.. => 1,
            _ => 2,
        };
        let value = grouped(self.value, decimals);
        match self.deviation {
            Some(deviation) => format!("{value} ±{}", grouped(deviation, decimals)),
            None => value,
        }
    }
}

/// The bars of one panel: a line is two units high, so that its middle is a whole number.
fn draw_panel<const N: usize>(area: &Area, label: &str, panel: usize, lines: &[Line<N>]) -> Result<(), PlotError> {
    let bars = || {
        let bar = |line: &Line<N>| match line {
            Line::Group(_) => None,
            Line::Row(row, _) => row.bar(panel),
        };
        lines.iter().filter_map(bar)
    };
    let ends = bars().map(|bar| bar.ends().1);
    let longest = ends.fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    // The axis goes on behind the longest bar as far as the labels do.
    let width = area.dim_in_pixel().0 as i32 - GAP;
    let labels = (widest(bars().map(|bar| bar.label()), SMALL) + SPACE).min(width * 2 / 3);
    let end = longest * f64::from(width) / f64::from(width - labels);
    let mut plot = ChartBuilder::on(area)
        .margin_right(GAP)
        .x_label_area_size(AXIS)
        .build_cartesian_2d(0.0..end, 2 * lines.len() as i32..0)?;
    plot.configure_mesh()
        .disable_y_mesh()
        .disable_y_axis()
        .x_labels(5)
        .x_label_formatter(&|value| short(*value))
        .x_desc(fit(label, width, TEXT))
        .label_style(text(SMALL, PALE_INK))
        .axis_desc_style(text(TEXT, INK))
        .bold_line_style(stroke(GRID, 1.0))
        .light_line_style(TRANSPARENT)
        .axis_style(stroke(PALE_INK, 1.0))
        .set_all_tick_mark_size(4 * PX)
        .draw()?;
    for (line, middle) in lines.iter().zip((1..).step_by(2)) {
        let Line::Row(row, color) = line else {
            continue;
        };
        let beside = |x, label: String, ink| {
            let style = anchored(text(SMALL, ink), HPos::Left);
            EmptyElement::at((x, middle)) + Text::new(label, (SPACE, 0), style)
        };
        if let Some(bar) = row.bar(panel) {
            let corners = [(0.0, middle - 1), (bar.value, middle + 1)];
            let mut rectangle = Rectangle::new(corners, color.filled());
            rectangle.set_margin(5 * PX as u32, 5 * PX as u32, 0, 0);
            plot.draw_series([rectangle])?;
            let (low, high) = bar.ends();
            let deviation = vec![(low, middle), (high, middle)];
            plot.draw_series([PathElement::new(deviation, stroke(INK, 1.5))])?;
            plot.draw_series([beside(high, bar.label(), INK)])?;
        } else if row.remark().is_none() {
            plot.draw_series([beside(0.0, NOT_MEASURED.to_owned(), PALE_INK)])?;
        }
    }
    Ok(())
}
