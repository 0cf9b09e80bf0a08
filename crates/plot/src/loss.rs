//! The loss curve of a training run.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    PlotError,
    axis::Ticked,
    number::grouped,
    plane::{Plane, note, plane},
    sheet::{self, Canvas, Head, sheet},
    style::{self, px},
    thin::{Point, below},
};

mod lines;

use lines::{Line, highest_within, lines, ninth_decile};

/// Draws the losses (nats per token) over the training steps and returns the text of an SVG file. Points are
/// (step, loss), in their order; `training` are those of the training steps, `validation` those on a held-out text.
///
/// From 50 training losses on, their running mean is drawn, and the losses as recorded faintly behind it. The best
/// evaluation is labelled. Losses far above nine tenths of the others, like those of the first steps, are cut off at the
/// top, and the picture says so. Without any loss it says that too.
pub fn loss_plot(
    training: &[Point],
    validation: &[Point],
    title: &str,
    subtitle: &str,
) -> Result<String, PlotError> {
    let head = Head {
        title,
        subtitle,
        // The legend stands beside it.
        room: 601,
    };
    sheet(style::SIZE, &head, |canvas| {
        match Figure::of(training, validation) {
            Some(figure) => figure.draw(canvas),
            None => sheet::say(canvas, "No loss has been recorded yet."),
        }
    })
}

/// A loss beyond this is drawn as this: its ticks still fit beside the axis.
const GREATEST_LOSS: f64 = 1e6;

/// What is drawn, thinned out, and the axes.
struct Figure {
    lines: Vec<Line>,
    best: Option<Point>,
    steps: Ticked,
    losses: Ticked,
    /// The greatest loss of all, be it drawn or cut off.
    highest: f64,
}

impl Figure {
    /// `None` where there is no loss to draw.
    fn of(training: &[Point], validation: &[Point]) -> Option<Self> {
        let drawable = |points: &[Point]| -> Vec<Point> {
            let numbers = points
                .iter()
                .filter(|(step, loss)| step.is_finite() && !loss.is_nan());
            let clamped = |loss: f64| loss.clamp(-GREATEST_LOSS, GREATEST_LOSS);
            numbers
                .map(|(step, loss)| (*step, clamped(*loss)))
                .collect()
        };
        let (training, validation) = (drawable(training), drawable(validation));
        let losses = || training.iter().chain(&validation).map(|point| point.1);
        let lowest = losses().min_by(f64::total_cmp)?;
        let highest = losses().max_by(f64::total_cmp)?;
        let steps = training.iter().chain(&validation).map(|point| point.0);
        let last_step = steps.fold(1.0, f64::max);

        // Where nine tenths of the run would get less than a sixth of the height, they get a quarter.
        let bulk = ninth_decile(&training).max(ninth_decile(&validation)) - lowest;
        let top = if highest - lowest <= 6.0 * bulk {
            highest
        } else {
            lowest + 4.0 * bulk
        };
        // Equal losses still need an axis of some height.
        let margin = (0.06 * (top - lowest)).max(0.05 * lowest.abs()).max(0.01);
        let bottom = if lowest < 0.0 {
            lowest - margin
        } else {
            (lowest - margin).max(0.0)
        };

        let best = validation.iter().copied();
        Some(Self {
            best: best.min_by(|a, b| a.1.total_cmp(&b.1)),
            lines: lines(&training, &validation),
            steps: Ticked::whole(0.0..last_step, 10),
            losses: Ticked::linear(bottom..top + margin, 8),
            highest,
        })
    }

    fn draw(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let steps = (&self.steps, "training step");
        let losses = (&self.losses, "loss (nats per token)");
        let mut plane = plane(canvas, steps, losses, 36)?;
        let top = self.losses.range.end;
        for line in &self.lines {
            for piece in below(&line.points, top) {
                plane.draw_series(LineSeries::new(piece, line.style))?;
            }
            let seen = line.points.iter().filter(|point| point.1 <= top);
            if line.dots {
                let dot = |at: &Point| Circle::new(*at, px(3), line.style.filled());
                plane.draw_series(seen.map(dot))?;
            }
        }
        if let Some(best) = self.best {
            self.label_best(canvas, &mut plane, best)?;
        }
        self.draw_legend(canvas)?;
        if self.highest > top {
            let cut_off = format!("Losses up to {:.2} are cut off at the top.", self.highest);
            note(canvas, &plane, &cut_off)?;
        }
        Ok(())
    }

    /// Upper right, outside the axes, where no curve can run through it. The texts end where the swatches begin, so
    /// that it needs no knowledge of the viewer's font.
    fn draw_legend(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let text = style::text(style::TEXT, style::INK).pos(sheet::ENDING);
        let right = px(style::SIZE.0 as i32 - 36);
        for (row, line) in (0..).zip(&self.lines) {
            let y = px(26 + 21 * row);
            let swatch = vec![(right - px(30), y), (right, y)];
            canvas.draw(&PathElement::new(swatch, line.style))?;
            if line.dots {
                let dot = line.style.filled();
                canvas.draw(&Circle::new((right - px(15), y), px(3), dot))?;
            }
            canvas.draw_text(&line.label, &text, (right - px(38), y))?;
        }
        Ok(())
    }

    /// A ring around the best evaluation, and its value above all that is drawn there.
    fn label_best(&self, canvas: &Canvas, plane: &mut Plane, best: Point) -> Result<(), PlotError> {
        let ring = Circle::new(best, px(6), style::line(style::INK, 1.5));
        plane.draw_series([ring])?;

        let label = format!(
            "best validation loss {:.4}, step {}",
            best.1,
            grouped(best.0, 0)
        );
        let half_width = style::width(&label, style::TEXT) / 2;
        let (x, y) = plane.backend_coord(&best);
        let (steps, losses) = (&self.steps.range, &self.losses.range);
        let (left, top) = plane.backend_coord(&(steps.start, losses.end));
        let right = plane.backend_coord(&(steps.end, losses.end)).0;
        let middle = x.min(right - half_width).max(left + half_width);

        let span = middle - half_width..middle + half_width;
        let highest_there = self.lines.iter().flat_map(|line| {
            let points: Vec<_> = line
                .points
                .iter()
                .map(|at| plane.backend_coord(at))
                .collect();
            highest_within(&points, &span)
        });
        let clear = highest_there.min().unwrap_or(y).min(y - px(8));
        let baseline = (clear - px(12)).max(top + px(22));
        let text = style::text(style::TEXT, style::INK).pos(Pos::new(HPos::Center, VPos::Bottom));
        canvas.draw_text(&label, &text, (middle, baseline))?;
        let leader = vec![(x, baseline + px(3)), (x, y - px(6))];
        canvas.draw(&PathElement::new(leader, style::line(style::PALE_INK, 1.0)))?;
        Ok(())
    }
}
