//! The loss curve of a training run.

use plotters::style::Color;

use crate::{
    Axis, PlotError, Point, Scale,
    lines::{self, BUCKETS, Line, extremes},
    sheet::{INK, PALETTE, grouped, stroke},
};

/// Draws the losses (nats per token) over the training steps and returns the text of an SVG file. Points are
/// (step, loss), in their order; `training` are those of the training steps, `validation` those on a held-out text.
///
/// From 50 training losses on, their running mean is drawn, and the losses as recorded faintly behind it. The best
/// evaluation is marked. Losses far above nine tenths of the others, like those of the first steps, are cut off at the
/// top, and the picture says so. Without any loss it says that too. A loss that is NaN, infinite or beyond 10^15 is not
/// drawn.
pub fn loss_plot(training: &[Point], validation: &[Point], title: &str, subtitle: &str) -> Result<String, PlotError> {
    let drawable = |points: &[Point]| -> Vec<Point> {
        let drawable = |point: &&Point| point.0.is_finite() && Scale::Linear.can_show(point.1);
        points.iter().filter(drawable).copied().collect()
    };
    let [training, validation] = [training, validation].map(drawable);
    let losses = training.iter().chain(&validation).map(|point| point.1);
    let lowest = losses.clone().fold(f64::INFINITY, f64::min);
    let highest = losses.clone().fold(f64::NEG_INFINITY, f64::max);
    // Where nine tenths of the run would get less than a sixth of the height, they get a quarter.
    let bulk = ninth_decile(&training).max(ninth_decile(&validation)) - lowest;
    let (top, note) = if highest - lowest > 6.0 * bulk {
        let note = format!("Losses up to {highest:.2} are cut off at the top.");
        (lowest + 4.0 * bulk, note)
    } else {
        (highest, String::new())
    };
    let losses = Scale::Linear.range(losses.map(|loss| loss.min(top)));
    let steps = training.iter().chain(&validation).map(|point| point.0);
    // Ten ticks there may be, and none between two steps.
    let steps = 0.0..steps.fold(10.0, f64::max);
    let scale = Scale::Linear;
    let [x, y] = ["training step", "loss (nats per token)"].map(|label| Axis { label, scale });
    let axes = losses.map(|losses| [(x, steps), (y, losses)]);
    let lines = lines(&training, &validation, top);
    lines::draw([title, subtitle, &note], &lines, axes)
}

/// The loss that nine tenths of the points do not exceed; minus infinity without points.
fn ninth_decile(points: &[Point]) -> f64 {
    let mut losses: Vec<f64> = points.iter().map(|point| point.1).collect();
    losses.sort_by(f64::total_cmp);
    let index = (losses.len().saturating_sub(1) * 9).div_ceil(10);
    losses.get(index).copied().unwrap_or(f64::NEG_INFINITY)
}

/// Fewer training losses than this are drawn as they are.
const MIN_TO_SMOOTH: usize = 50;

/// The lines in the order in which they are painted, cut off at `top`.
fn lines(training: &[Point], validation: &[Point], top: f64) -> Vec<Line> {
    let [blue, vermillion, ..] = PALETTE;
    let cut_off = |points: &[Point]| -> Vec<Point> {
        let points = points.iter();
        points.map(|(step, loss)| (*step, loss.min(top))).collect()
    };
    let line = |name: &str, points: &[Point], stroke, marker| Line {
        name: name.to_owned(),
        stroke,
        marker,
        pieces: vec![extremes(&cut_off(points))],
        bars: vec![],
    };
    let mut lines = Vec::new();
    if training.len() >= MIN_TO_SMOOTH {
        let window = 2 * (training.len() / 100).max(2) + 1;
        let name = format!("training, mean of {} records", grouped(window as f64, 0));
        let mean = running_mean(training, window);
        let faint = stroke(blue.mix(0.45), 1.0);
        lines.push(line("training, as recorded", training, faint, None));
        lines.push(line(&name, &mean, stroke(blue, 2.0), None));
    } else if !training.is_empty() {
        lines.push(line("training", training, stroke(blue, 1.5), None));
    }
    if let Some(best) = validation.iter().min_by(|a, b| a.1.total_cmp(&b.1)) {
        let step = grouped(best.0, 0);
        let name = format!("best validation loss {:.4}, step {step}", best.1);
        let orange = stroke(vermillion, 2.0);
        lines.push(line("validation", validation, orange, Some(0)));
        lines.push(line(&name, &[*best], stroke(INK, 1.5), Some(1)));
    }
    lines
}

/// The mean over `window` points around each that has so many, or around some hundreds of them.
fn running_mean(points: &[Point], window: usize) -> Vec<Point> {
    let mean = |points: &[Point]| {
        let sum: f64 = points.iter().map(|point| point.1).sum();
        (points[points.len() / 2].0, sum / points.len() as f64)
    };
    let step = points.len().div_ceil(2 * BUCKETS);
    points.windows(window).step_by(step).map(mean).collect()
}
