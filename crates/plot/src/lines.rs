//! Lines in a plane of two axes, with a legend.

use std::ops::Range;

use plotters::{
    coord::ranged1d::{AsRangedCoord, ValueFormatter},
    prelude::*,
    style::text_anchor::HPos,
};

use crate::{
    PlotError, Point,
    sheet::{
        Area, GRID, INK, MARGIN, PALE_INK, PX, TEXT, anchored, draw_nothing, grouped, sheet, short, stroke, text,
        widest,
    },
};

/// How values become positions on an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scale {
    #[default]
    Linear,
    /// Each doubling is as wide as the one before.
    Log2,
}

/// One axis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axis<'a> {
    /// What is measured, and in which unit.
    pub label: &'a str,
    pub scale: Scale,
}

/// A line of the picture.
pub struct Line {
    /// Stands in the legend.
    pub name: String,
    pub stroke: ShapeStyle,
    /// Number of the marker that its points have.
    pub marker: Option<usize>,
    /// Between two pieces is a gap.
    pub pieces: Vec<Vec<Point>>,
    /// Lower and upper ends of bars.
    pub bars: Vec<[Point; 2]>,
}

/// Draws lines and returns the text of an SVG file. `axes` are x and y, each with the range that it spans, or `None` where
/// there is no point.
pub fn draw(header: [&str; 3], lines: &[Line], axes: Option<[(Axis, Range<f64>); 2]>) -> Result<String, PlotError> {
    let legend_width = STROKE + 8 * PX + widest(lines.iter().map(|line| &line.name), TEXT) + MARGIN;
    // The legend of few lines stands beside the title, that of many beside the plane.
    let few = lines.len() <= 4;
    let beside = if few { legend_width } else { 0 };
    sheet(SIZE, header, beside, |header, body| {
        let Some(axes) = axes else {
            return draw_nothing(body);
        };
        let whole = if few { header } else { body };
        let (left, legend) = whole.split_horizontally(SIZE.0 - legend_width);
        draw_legend(&legend, lines)?;
        let area = if few { body } else { &left };
        let [x, y] = axes.each_ref().map(|axis| axis.1.clone());
        let log2 = |range: Range<f64>| range.log_scale().base(2.0);
        match axes.each_ref().map(|axis| axis.0.scale) {
            [Scale::Linear, Scale::Linear] => draw_plane(area, lines, &axes, x, y),
            [Scale::Linear, Scale::Log2] => draw_plane(area, lines, &axes, x, log2(y)),
            [Scale::Log2, Scale::Linear] => draw_plane(area, lines, &axes, log2(x), y),
            [Scale::Log2, Scale::Log2] => draw_plane(area, lines, &axes, log2(x), log2(y)),
        }
    })
}

const SIZE: (i32, i32) = (960 * PX, 540 * PX);
const X_LABELS: usize = 10;
const Y_LABELS: usize = 8;
/// Markers of a piece: more would run together.
const MAX_MARKERS: usize = 60;
/// Half of the width of a bar's ends.
const BAR: i32 = 4 * PX;
/// The line in a legend.
const STROKE: i32 = 26 * PX;

fn draw_plane<X, Y>(area: &Area, lines: &[Line], axes: &[(Axis, Range<f64>); 2], x: X, y: Y) -> Result<(), PlotError>
where
    X: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
    Y: AsRangedCoord<Value = f64, CoordDescType: ValueFormatter<f64>>,
{
    let [(x_axis, x_range), (y_axis, y_range)] = axes;
    let mut plane = ChartBuilder::on(area)
        .margin(MARGIN)
        .margin_top(8 * PX)
        // Half of the last label of x.
        .margin_right(36 * PX)
        .x_label_area_size(48 * PX)
        .y_label_area_size(76 * PX)
        .build_cartesian_2d(x, y)?;
    plane
        .configure_mesh()
        .x_labels(X_LABELS)
        .y_labels(Y_LABELS)
        .x_desc(x_axis.label)
        .y_desc(y_axis.label)
        .x_label_formatter(&|x| x_axis.scale.tick(x_range, X_LABELS, *x))
        .y_label_formatter(&|y| y_axis.scale.tick(y_range, Y_LABELS, *y))
        .label_style(text(TEXT, PALE_INK))
        .axis_desc_style(text(TEXT, INK))
        .set_all_tick_mark_size(5 * PX)
        .bold_line_style(stroke(GRID, 1.0))
        .light_line_style(TRANSPARENT)
        .axis_style(stroke(PALE_INK, 1.0))
        .draw()?;
    for line in lines {
        for ends in &line.bars {
            let [low, high] = ends.map(|end| plane.backend_coord(&end));
            let across = |(x, y): (i32, i32)| vec![(x - BAR, y), (x + BAR, y)];
            for path in [vec![low, high], across(low), across(high)] {
                area.use_screen_coord().draw(&PathElement::new(path, stroke(line.stroke.color, 1.0)))?;
            }
        }
        for piece in &line.pieces {
            plane.draw_series(LineSeries::new(piece.iter().copied(), line.stroke))?;
            // A point alone is no line.
            let marker = line.marker.or((piece.len() == 1).then_some(0));
            let points = piece.iter().step_by(piece.len().div_ceil(MAX_MARKERS));
            for point in points {
                let at = plane.backend_coord(point);
                draw_marker(&area.use_screen_coord(), marker, at, line.stroke)?;
            }
        }
    }
    Ok(())
}

/// Values beyond it cannot be drawn.
const MAX_VALUE: f64 = 1e15;

impl Scale {
    /// Whether an axis has a place for a value.
    pub fn can_show(self, value: f64) -> bool {
        match self {
            Scale::Linear => value.abs() <= MAX_VALUE,
            Scale::Log2 => (1.0 / MAX_VALUE..=MAX_VALUE).contains(&value),
        }
    }

    /// What an axis for these values spans; `None` without values.
    pub fn range(self, values: impl Iterator<Item = f64> + Clone) -> Option<Range<f64>> {
        let low = values.clone().min_by(f64::total_cmp)?;
        let high = values.max_by(f64::total_cmp)?;
        // Values that are equal, or nearly, still need an axis of some length.
        let size = low.abs().max(high.abs());
        Some(match self {
            Scale::Linear => {
                let margin = match 0.05 * (high - low) {
                    margin if margin > 1e-6 * size => margin,
                    _ if size > 0.0 => 0.05 * size,
                    _ => 0.5,
                };
                // No axis of what cannot be negative begins below zero.
                (low - margin).max(low.min(0.0))..high + margin
            }
            Scale::Log2 => {
                // From tick to tick, and a little more, so that rounding leaves the outer ticks inside.
                let (first, last) = (low.log2().floor(), high.log2().ceil());
                first.exp2() * (1.0 - 1e-9)..last.max(first + 1.0).exp2() * (1.0 + 1e-9)
            }
        })
    }

    /// What stands at a tick, of at most `labels` in a range.
    fn tick(self, range: &Range<f64>, labels: usize, value: f64) -> String {
        // Ticks are at least this far apart.
        let step = (range.end - range.start) / labels as f64;
        let decimals = (-step.log10()).ceil().max(0.0);
        if self == Scale::Linear && value.abs() < 1e7 && decimals < 6.0 {
            grouped(value, decimals as usize)
        } else {
            short(value)
        }
    }
}

/// Longer curves are thinned to at most twice as many points: more would not be seen.
pub const BUCKETS: usize = 400;

/// The lowest and the highest point of each of [`BUCKETS`] equal intervals of x, so that no spike is lost. The points are
/// in the order of x.
pub fn extremes(points: &[Point]) -> Vec<Point> {
    if points.len() <= 2 * BUCKETS {
        return points.to_vec();
    }
    let (first, last) = (points[0].0, points[points.len() - 1].0);
    let bucket = |point: &Point| ((point.0 - first) / (last - first) * BUCKETS as f64) as usize;
    let mut kept = Vec::with_capacity(2 * BUCKETS);
    for bucket in points.chunk_by(|a, b| bucket(a) == bucket(b)) {
        let by_y = |a: &&Point, b: &&Point| a.1.total_cmp(&b.1);
        let lowest = bucket.iter().min_by(by_y);
        let highest = bucket.iter().max_by(by_y);
        let mut ends: Vec<Point> = lowest.into_iter().chain(highest).copied().collect();
        ends.sort_by(|a, b| a.0.total_cmp(&b.0));
        ends.dedup();
        kept.extend(ends);
    }
    kept
}

/// At the upper left corner of an area.
fn draw_legend(area: &Area, lines: &[Line]) -> Result<(), PlotError> {
    for (row, line) in (0..).zip(lines) {
        let y = (20 + 20 * row) * PX;
        if line.pieces.iter().any(|piece| piece.len() > 1) {
            let stroke = vec![(0, y), (STROKE, y)];
            area.draw(&PathElement::new(stroke, line.stroke))?;
        }
        if !line.pieces.is_empty() {
            draw_marker(area, line.marker, (STROKE / 2, y), line.stroke)?;
        }
        let at = (STROKE + 8 * PX, y);
        area.draw_text(&line.name, &anchored(text(TEXT, INK), HPos::Left), at)?;
    }
    Ok(())
}

/// Markers tell lines apart in grey; around a disc a ring can be seen.
fn draw_marker(
    area: &Area,
    number: Option<usize>,
    at: (i32, i32),
    ShapeStyle { color, .. }: ShapeStyle,
) -> Result<(), PlotError> {
    let Some(number) = number else {
        return Ok(());
    };
    match number % 4 {
        0 => area.draw(&Circle::new(at, 4 * PX, color.filled())),
        1 => area.draw(&Circle::new(at, 6 * PX, stroke(color, 1.5))),
        2 => area.draw(&TriangleMarker::new(at, 6 * PX, color.filled())),
        _ => area.draw(&Cross::new(at, 4 * PX, stroke(color, 1.5))),
    }?;
    Ok(())
}
