//! The loss plot: what `metrics.jsonl` tells, as an SVG picture.

use std::{io, ops::Range};

use plotters::{
    coord::{Shift, types::RangedCoordf64},
    drawing::DrawingAreaErrorKind,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};
use thiserror::Error;

use crate::metrics::Record;

mod curves;
mod style;

use curves::{Curve, Point, below, curves, highest_within, ninth_decile};
use style::px;

/// The picture could not be drawn.
#[derive(Debug, Error)]
#[error("the loss plot could not be drawn: {0}")]
pub struct PlotError(#[from] DrawingAreaErrorKind<io::Error>);

/// Draws the losses (nats per token) over the training steps and returns the text of an SVG file.
///
/// From 50 training lines on, their running mean is drawn, and the losses as recorded faintly behind it. The best
/// evaluation is labelled. Losses far above nine tenths of the others, like those of the first steps, are cut off at the
/// top, and the figure says so. Without any loss it says that too. Equal records and texts give equal bytes.
pub fn loss_plot(records: &[Record], title: &str, subtitle: &str) -> Result<String, PlotError> {
    let mut svg = String::new();
    let (width, height) = style::SIZE;
    let drawn = (width * style::SCALE, height * style::SCALE);
    {
        let area = SVGBackend::with_string(&mut svg, drawn).into_drawing_area();
        area.fill(&WHITE)?;
        let bold = style::text(style::TITLE, style::INK);
        let bold = TextStyle {
            font: bold.font.style(FontStyle::Bold),
            ..bold
        };
        area.draw_text(&one_line(title, 52), &bold, (px(24), px(18)))?;
        let pale = style::text(style::TEXT, style::PALE_INK);
        area.draw_text(&one_line(subtitle, 84), &pale, (px(24), px(46)))?;
        match Figure::of(records) {
            Some(figure) => figure.draw(&area)?,
            None => {
                let centered = pale.pos(Pos::new(HPos::Center, VPos::Center));
                let middle = (drawn.0 as i32 / 2, drawn.1 as i32 / 2);
                area.draw_text("No loss has been recorded yet.", &centered, middle)?;
            }
        }
        area.present()?;
    }
    // plotters has one size for the drawing units and for the picture.
    Ok(svg.replacen(
        &format!("width=\"{}\" height=\"{}\"", drawn.0, drawn.1),
        &format!("width=\"{width}\" height=\"{height}\""),
        1,
    ))
}

type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Plane<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// A loss beyond this is drawn as this: its ticks still fit beside the axis.
const GREATEST_LOSS: f64 = 1e6;

/// What is drawn, thinned out, and the ranges of the axes.
struct Figure {
    curves: Vec<Curve>,
    best: Option<Point>,
    steps: Range<f64>,
    losses: Range<f64>,
    /// The greatest loss of all, be it drawn or cut off.
    highest: f64,
}

impl Figure {
    /// `None` where there is no loss to draw.
    fn of(records: &[Record]) -> Option<Self> {
        let (mut train, mut validation) = (Vec::new(), Vec::new());
        for record in records {
            let (points, loss) = match record {
                Record::Train(record) => (&mut train, record.train_loss),
                Record::Evaluation(record) => (&mut validation, record.val_loss),
            };
            if !loss.is_nan() {
                let loss = loss.clamp(-GREATEST_LOSS, GREATEST_LOSS);
                points.push((record.step() as f64, loss));
            }
        }
        let losses = || train.iter().chain(&validation).map(|point| point.1);
        let lowest = losses().min_by(f64::total_cmp)?;
        let highest = losses().max_by(f64::total_cmp)?;
        let steps = train.iter().chain(&validation).map(|point| point.0);
        let last_step = steps.fold(1.0, f64::max);

        // Where nine tenths of the run would get less than a sixth of the height, they get a quarter.
        let bulk = ninth_decile(&train).max(ninth_decile(&validation)) - lowest;
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
            curves: curves(&train, &validation),
            steps: 0.0..last_step,
            losses: bottom..top + margin,
            highest,
        })
    }

    fn draw(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let mut plane = ChartBuilder::on(canvas)
            .margin(px(20))
            .margin_top(px(98))
            .margin_right(px(36))
            .x_label_area_size(px(48))
            .y_label_area_size(px(64))
            .build_cartesian_2d(self.steps.clone(), self.losses.clone())?;
        let height = self.losses.end - self.losses.start;
        // Ticks are an eighth of the height apart, or a little more.
        let decimals = (-(height / 8.0).log10()).ceil().clamp(0.0, 4.0) as usize;
        plane
            .configure_mesh()
            .x_desc("training step")
            .y_desc("loss (nats per token)")
            .label_style(style::text(style::TEXT, style::PALE_INK))
            .axis_desc_style(style::text(style::TEXT + 1.0, style::INK))
            .set_all_tick_mark_size(px(5))
            .x_labels(10)
            .y_labels(8)
            .x_label_formatter(&|step| grouped(*step))
            .y_label_formatter(&|loss| format!("{loss:.decimals$}"))
            .bold_line_style(style::line(style::GRID, 1.0))
            .light_line_style(TRANSPARENT)
            .axis_style(style::line(style::PALE_INK, 1.0))
            .draw()?;

        for curve in &self.curves {
            for piece in below(&curve.points, self.losses.end) {
                plane.draw_series(LineSeries::new(piece, curve.style))?;
            }
            let seen = curve.points.iter().filter(|p| p.1 <= self.losses.end);
            if curve.dots {
                let dot = |at: &Point| Circle::new(*at, px(3), curve.style.filled());
                plane.draw_series(seen.map(dot))?;
            }
        }
        if let Some(best) = self.best {
            self.label_best(canvas, &mut plane, best)?;
        }
        self.draw_legend(canvas)?;
        if self.highest > self.losses.end {
            let note = format!("Losses up to {:.2} are cut off at the top.", self.highest);
            let note_style = style::text(style::TEXT - 1.0, style::PALE_INK)
                .pos(Pos::new(HPos::Left, VPos::Bottom));
            let corner = plane.backend_coord(&(self.steps.start, self.losses.end));
            canvas.draw_text(&note, &note_style, (corner.0, corner.1 - px(4)))?;
        }
        Ok(())
    }

    /// Upper right, outside the axes, where no curve can run through it. The texts end where the swatches begin, so
    /// that it needs no knowledge of the viewer's font.
    fn draw_legend(&self, canvas: &Canvas) -> Result<(), PlotError> {
        let text = style::text(style::TEXT, style::INK).pos(Pos::new(HPos::Right, VPos::Center));
        let right = px(style::SIZE.0 as i32 - 36);
        for (row, curve) in (0..).zip(&self.curves) {
            let y = px(26 + 21 * row);
            let swatch = vec![(right - px(30), y), (right, y)];
            canvas.draw(&PathElement::new(swatch, curve.style))?;
            if curve.dots {
                let dot = curve.style.filled();
                canvas.draw(&Circle::new((right - px(15), y), px(3), dot))?;
            }
            canvas.draw_text(&curve.label, &text, (right - px(38), y))?;
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
            grouped(best.0)
        );
        let half_width = style::width(&label, style::TEXT) / 2;
        let (x, y) = plane.backend_coord(&best);
        let (left, top) = plane.backend_coord(&(self.steps.start, self.losses.end));
        let right = plane.backend_coord(&(self.steps.end, self.losses.end)).0;
        let middle = x.min(right - half_width).max(left + half_width);

        let span = middle - half_width..middle + half_width;
        let highest_there = self.curves.iter().flat_map(|curve| {
            let points: Vec<_> = curve
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

/// A whole number with commas between thousands; nothing for a tick between two steps.
fn grouped(step: f64) -> String {
    if step.fract() != 0.0 {
        return String::new();
    }
    let digits = format!("{step:.0}");
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// At most `most` characters, none of which XML forbids.
fn one_line(text: &str, most: usize) -> String {
    let allowed = |c: char| match c {
        '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
        c if c.is_control() => ' ',
        c => c,
    };
    let mut line: String = text.chars().take(most).map(allowed).collect();
    if text.chars().nth(most).is_some() {
        line.pop();
        line.push('…');
    }
    line
}
