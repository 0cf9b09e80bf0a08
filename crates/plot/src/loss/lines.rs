//! Which lines a run's losses make.

use std::ops::Range;

use plotters::prelude::*;

use crate::{
    number::grouped,
    style,
    thin::{BUCKETS, Point, extremes},
};

/// With fewer training lines than this they are drawn as they are.
const FEWEST_TO_SMOOTH: usize = 50;
/// More dots than this on one curve run together.
const MOST_DOTS: usize = 60;

/// A line of the picture, thinned out.
pub struct Line {
    pub label: String,
    pub points: Vec<Point>,
    pub style: ShapeStyle,
    /// Whether each point is marked.
    pub dots: bool,
}

/// The lines in the order in which they are painted.
pub fn lines(train: &[Point], validation: &[Point]) -> Vec<Line> {
    let line = |label: &str, points: Vec<Point>, style, dots| Line {
        label: label.to_owned(),
        dots: points.len() == 1 || dots && points.len() <= MOST_DOTS,
        points,
        style,
    };
    let mut lines = Vec::new();
    if train.len() >= FEWEST_TO_SMOOTH {
        let faint = style::line(style::BLUE.mix(0.45), 1.0);
        lines.push(line("training, as recorded", extremes(train), faint, false));
        let (mean, window) = running_mean(train);
        let label = format!("training, mean of {} records", grouped(window as f64, 0));
        lines.push(line(&label, mean, style::line(style::BLUE, 2.0), false));
    } else if !train.is_empty() {
        let plain = style::line(style::BLUE, 1.5);
        lines.push(line("training", train.to_vec(), plain, false));
    }
    if !validation.is_empty() {
        let orange = style::line(style::VERMILLION, 2.0);
        lines.push(line("validation", extremes(validation), orange, true));
    }
    lines
}

/// The loss that nine tenths of the points do not exceed; minus infinity without points.
pub fn ninth_decile(points: &[Point]) -> f64 {
    let mut losses: Vec<f64> = points.iter().map(|point| point.1).collect();
    losses.sort_by(f64::total_cmp);
    let last = losses.len().saturating_sub(1);
    losses
        .get((last * 9).div_ceil(10))
        .copied()
        .unwrap_or(f64::NEG_INFINITY)
}

/// The mean over a fiftieth of the points around each, and how many these are. Towards the start the window shrinks
/// evenly on both sides, so that the mean begins at the first loss; at the end it takes what is there.
fn running_mean(points: &[Point]) -> (Vec<Point>, usize) {
    let reach = (points.len() / 100).max(2);
    let last = points.len().saturating_sub(1);
    let count = points.len().min(2 * BUCKETS);
    let mean_around = |index: usize| {
        let reach = reach.min(index);
        let window = &points[index - reach..=(index + reach).min(last)];
        let sum: f64 = window.iter().map(|point| point.1).sum();
        (points[index].0, sum / window.len() as f64)
    };
    let sampled = (0..count).map(|sample| sample * last / (count - 1).max(1));
    (sampled.map(mean_around).collect(), 2 * reach + 1)
}

/// The smallest y (pictures count downwards) of a line between two x, in drawing units.
pub fn highest_within(points: &[(i32, i32)], span: &Range<i32>) -> Option<i32> {
    let segments = points.windows(2).filter_map(|ends| {
        let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
        let (from, to) = (x0.max(span.start), x1.min(span.end));
        let y_at = |x: i32| {
            let part = f64::from(x - x0) / f64::from((x1 - x0).max(1));
            y0 + (part * f64::from(y1 - y0)) as i32
        };
        (from <= to).then(|| y_at(from).min(y_at(to)))
    });
    let inside = points.iter().filter(|(x, _)| span.contains(x));
    segments.chain(inside.map(|point| point.1)).min()
}
