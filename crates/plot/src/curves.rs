//! Several measurements against one axis.

use crate::{
    Axis, PlotError, Point,
    lines::{self, Line, extremes},
    sheet::{PALETTE, PX, TEXT, fit, stroke},
};

/// More cannot be told apart.
pub const MAX_SERIES: usize = PALETTE.len();

/// One curve.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Stands in the legend.
    pub name: String,
    /// In any order of x. A point that the axes cannot show breaks the curve.
    pub points: Vec<Point>,
    /// Bars that stand on the curve: x, and from where to where in y. One that the axes cannot show is left out, as points are.
    pub bars: Vec<(f64, [f64; 2])>,
}

/// Width of a name.
const MAX_NAME: i32 = 200 * PX;

/// Draws up to [`MAX_SERIES`] curves and returns the text of an SVG file.
///
/// Curves differ in colour and in their markers. A point that the axes cannot show (NaN, infinite, beyond 10^15, or not
/// above zero on a logarithmic axis) leaves a gap, and the picture says how many there are. It is an error to give more
/// curves.
pub fn curves(series: &[Series], [x, y]: [Axis; 2], title: &str, subtitle: &str) -> Result<String, PlotError> {
    if series.len() > MAX_SERIES {
        let given = series.len();
        return Err(PlotError::TooManySeries { given });
    }
    let can_show = |point: &Point| x.scale.can_show(point.0) && y.scale.can_show(point.1);
    let line = |(number, series): (usize, &Series)| {
        let mut points = series.points.clone();
        points.sort_by(|a, b| a.0.total_cmp(&b.0));
        let pieces = points.split(|point| !can_show(point)).map(extremes);
        Line {
            name: fit(&series.name, MAX_NAME, TEXT),
            stroke: stroke(PALETTE[number], 2.0),
            marker: Some(number),
            pieces: pieces.filter(|piece| !piece.is_empty()).collect(),
            bars: series.bars.iter().filter(|bar| ends(bar).iter().all(can_show)).map(ends).collect(),
        }
    };
    let lines: Vec<Line> = series.iter().enumerate().map(line).collect();
    let points =
        series.iter().flat_map(|series| series.points.iter().copied().chain(series.bars.iter().flat_map(ends)));
    let note = match points.filter(|point| !can_show(point)).count() {
        0 => String::new(),
        count => format!("Points left out, because these axes cannot show them: {count}."),
    };
    let points = || lines.iter().flat_map(|line| line.pieces.iter().flatten().chain(line.bars.iter().flatten()));
    let x_range = x.scale.range(points().map(|point| point.0));
    let y_range = y.scale.range(points().map(|point| point.1));
    let ranges = x_range.zip(y_range);
    let axes = ranges.map(|ranges| [(x, ranges.0), (y, ranges.1)]);
    lines::draw([title, subtitle, &note], &lines, axes)
}

/// The lower and the upper end.
fn ends((x, [low, high]): &(f64, [f64; 2])) -> [Point; 2] {
    [(*x, *low), (*x, *high)]
}
