//! Several measurements against one axis.

use plotters::prelude::*;

use crate::{
    PlotError, Scale,
    axis::Ticked,
    marker,
    plane::{Plane, note, plane},
    sheet::{self, Canvas, Head, MARGIN, sheet},
    style::{self, px},
    thin::{Point, extremes},
};

/// More cannot be told apart.
pub const MOST_SERIES: usize = style::SERIES.len();

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// It stands beside the end of the curve.
    pub name: String,
    /// In any order of x. One that is no number breaks the curve.
    pub points: Vec<Point>,
}

/// One axis.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axis<'a> {
    /// What is measured, and in which unit.
    pub label: &'a str,
    pub scale: Scale,
}

/// What stands around the curves.
#[derive(Clone, Copy, Debug, Default)]
pub struct Axes<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
    pub x: Axis<'a>,
    pub y: Axis<'a>,
}

/// Draws up to [`MOST_SERIES`] curves and returns the text of an SVG file.
///
/// Curves differ in colour and in the shape of their marks; their names stand beside their ends, in the same order. A
/// point that has no place (no number, beyond 10^15, or not above zero on an axis of doublings) leaves a gap, and the
/// picture says how many did. It is an error to give more curves.
pub fn curves(series: &[Series], axes: &Axes) -> Result<String, PlotError> {
    if series.len() > MOST_SERIES {
        return Err(PlotError::TooManySeries {
            given: series.len(),
        });
    }
    let head = Head {
        title: axes.title,
        subtitle: axes.subtitle,
        room: style::SIZE.0 as i32 - 2 * MARGIN,
    };
    let curves: Vec<Curve> = series
        .iter()
        .map(|series| Curve::of(series, axes))
        .collect();
    sheet(style::SIZE, &head, |canvas| draw(canvas, &curves, axes))
}

/// A curve in the units of the axes.
struct Curve {
    name: String,
    /// Cut at the gaps, thinned out.
    pieces: Vec<Vec<Point>>,
    /// Points without a place.
    lost: usize,
}

impl Curve {
    fn of(series: &Series, axes: &Axes) -> Self {
        let mut points = series.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let place = |(x, y): &Point| Some((axes.x.scale.place(*x)?, axes.y.scale.place(*y)?));
        let places: Vec<_> = points.iter().map(place).collect();
        let pieces = places
            .split(Option::is_none)
            .filter(|piece| !piece.is_empty());
        Self {
            name: sheet::one_line(&series.name, MOST_LETTERS),
            lost: places.iter().filter(|place| place.is_none()).count(),
            pieces: pieces
                .map(|piece| extremes(&piece.iter().copied().flatten().collect::<Vec<_>>()))
                .collect(),
        }
    }

    fn points(&self) -> impl Iterator<Item = &Point> {
        self.pieces.iter().flatten()
    }
}

fn draw(canvas: &Canvas, curves: &[Curve], axes: &Axes) -> Result<(), PlotError> {
    let points = || curves.iter().flat_map(Curve::points);
    let lost: usize = curves.iter().map(|curve| curve.lost).sum();
    let without_place = match lost {
        1 => "1 point has no place here and is left out.".to_owned(),
        _ => format!("{lost} points have no place here and are left out."),
    };
    let x = ticked(axes.x.scale, || points().map(|point| point.0), 0.0, 10);
    let y = ticked(axes.y.scale, || points().map(|point| point.1), 0.06, 8);
    let (Some(x), Some(y)) = (x, y) else {
        let nothing = "Nothing has been measured yet.";
        return sheet::say(canvas, if lost > 0 { &without_place } else { nothing });
    };

    let names = curves
        .iter()
        .map(|curve| style::width(&curve.name, style::TEXT));
    let widest = names.max().unwrap_or(0) / style::SCALE as i32;
    let right = TO_NAMES + widest + MARGIN;
    let mut plane = plane(canvas, (&x, axes.x.label), (&y, axes.y.label), right)?;
    for (curve, color) in curves.iter().zip(style::SERIES) {
        for piece in &curve.pieces {
            let line = style::line(color, 2.0);
            plane.draw_series(LineSeries::new(piece.iter().copied(), line))?;
        }
    }
    for (number, (curve, color)) in curves.iter().zip(style::SERIES).enumerate() {
        for at in marked(curve, number, curves.len(), &x) {
            marker::draw(canvas, number, plane.backend_coord(&at), color)?;
        }
    }
    draw_names(canvas, &plane, curves)?;
    if lost > 0 {
        note(canvas, &plane, &without_place)?;
    }
    Ok(())
}

/// `None` without values.
fn ticked<I: Iterator<Item = f64>>(
    scale: Scale,
    places: impl Fn() -> I,
    margin: f64,
    most_ticks: usize,
) -> Option<Ticked> {
    let least = places().min_by(f64::total_cmp)?;
    let greatest = places().max_by(f64::total_cmp)?;
    Some(scale.axis(least, greatest, margin, most_ticks))
}

/// Up to so many points, each is marked.
const MOST_MARKED: usize = 24;
/// With more points, so many places are.
const MARKS: usize = 7;

/// The points that carry a mark. Where they are chosen, each curve's lie between those of the others: so two curves that
/// coincide are both seen.
fn marked(curve: &Curve, number: usize, curves: usize, x: &Ticked) -> Vec<Point> {
    if curve.points().count() <= MOST_MARKED {
        return curve.points().copied().collect();
    }
    let (start, span) = (x.range.start, x.range.end - x.range.start);
    let shift = (number as f64 + 0.5) / curves as f64;
    let mut marked: Vec<Point> = (0..MARKS)
        .map(|mark| start + span * (mark as f64 + shift) / MARKS as f64)
        .filter_map(|place| {
            let distance = |point: &Point| (point.0 - place).abs();
            let nearest = curve
                .points()
                .min_by(|a, b| distance(a).total_cmp(&distance(b)));
            nearest.copied()
        })
        .collect();
    marked.dedup();
    marked
}

/// Of a name.
const MOST_LETTERS: usize = 24;
/// Between two names, in CSS pixels.
const LEADING: i32 = 21;
const SWATCH: i32 = 26;
/// From the plane to the names.
const TO_NAMES: i32 = 12 + SWATCH + 8;

/// Each curve's colour, mark and name at the height where it ends, or as near to it as the other names allow.
fn draw_names(canvas: &Canvas, plane: &Plane, curves: &[Curve]) -> Result<(), PlotError> {
    let (xs, ys) = plane.plotting_area().get_pixel_range();
    let mut ends: Vec<(i32, usize)> = curves
        .iter()
        .map(|curve| curve.points().last().map(|end| plane.backend_coord(end).1))
        // A curve without a point has its name at the bottom.
        .map(|end| end.unwrap_or(ys.end))
        .zip(0..)
        .collect();
    ends.sort();
    let wanted: Vec<i32> = ends.iter().map(|end| end.0).collect();
    let heights = apart(&wanted, px(LEADING), ys.start + px(4)..ys.end - px(4));
    let left = xs.end + px(12);
    for (y, (_, number)) in heights.into_iter().zip(ends) {
        let (curve, color) = (&curves[number], style::SERIES[number]);
        let empty = curve.points().next().is_none();
        let ink = if empty { style::PALE_INK } else { style::INK };
        if !empty {
            let swatch = vec![(left, y), (left + px(SWATCH), y)];
            canvas.draw(&PathElement::new(swatch, style::line(color, 2.0)))?;
            marker::draw(canvas, number, (left + px(SWATCH / 2), y), color)?;
        }
        let text = style::text(style::TEXT, ink).pos(sheet::BEGINNING);
        canvas.draw_text(&curve.name, &text, (left + px(SWATCH + 8), y))?;
    }
    Ok(())
}

/// Heights near the wanted ones, which ascend, but at least `leading` apart and, if they have room there, in `within`.
fn apart(wanted: &[i32], leading: i32, within: std::ops::Range<i32>) -> Vec<i32> {
    let mut heights = Vec::with_capacity(wanted.len());
    let mut free = within.start;
    for &height in wanted {
        heights.push(height.max(free));
        free = height.max(free) + leading;
    }
    let mut free = within.end;
    for height in heights.iter_mut().rev() {
        *height = (*height).min(free);
        free = *height - leading;
    }
    heights
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_apart_and_inside() {
        assert_eq!(apart(&[10, 50, 90], 20, 0..100), [10, 50, 90]);
        assert_eq!(apart(&[10, 10, 10], 20, 0..100), [10, 30, 50]);
        assert_eq!(apart(&[95, 95, 200], 20, 0..100), [60, 80, 100]);
        assert!(apart(&[], 20, 0..100).is_empty());
    }
}
