//! The bars of one panel, and their scale.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::Bar;
use crate::{
    PlotError, Scale,
    axis::Ticked,
    number::grouped,
    sheet::{self, Canvas},
    style::{self, px},
};

/// In CSS pixels.
const THICKNESS: i32 = 14;
/// From the end of a bar to what it says.
pub const TO_LABEL: i32 = 6;
/// The word, and the space behind it.
const FAILED: i32 = 50;
const MOST_TICKS: usize = 5;

/// The place of a bar's end on the axis, if it has one.
pub fn place(bar: Bar) -> Option<f64> {
    Scale::FromZero.place(bar.value).filter(|end| *end >= 0.0)
}

/// How far it goes to either side of its end.
fn deviation(bar: Bar) -> f64 {
    let deviation = bar.deviation.and_then(|width| Scale::FromZero.place(width));
    deviation.unwrap_or(0.0).max(0.0)
}

pub struct Panel {
    axis: Ticked,
    /// Where the axis begins and ends, in drawing units.
    xs: (i32, i32),
    /// Where the panel ends, in CSS pixels.
    right: i32,
}

impl Panel {
    /// For these bars, each with whether it failed, between these places in CSS pixels.
    pub fn of(bars: impl Iterator<Item = (Option<Bar>, bool)>, (left, right): (i32, i32)) -> Self {
        let bars: Vec<(Bar, bool)> = bars
            .filter_map(|(bar, failed)| Some((bar.filter(|bar| place(*bar).is_some())?, failed)))
            .collect();
        let end = |(bar, _): &(Bar, bool)| bar.value + deviation(*bar);
        let longest = |failed: bool| {
            let bars = bars.iter().filter(|bar| bar.1 == failed);
            bars.map(end).max_by(f64::total_cmp)
        };
        let longest = longest(false).or_else(|| longest(true)).unwrap_or(0.0);
        let room = bars.iter().map(|(bar, failed)| {
            let label = style::width(&said(*bar), style::SMALL) / style::SCALE as i32;
            TO_LABEL + label + if *failed { FAILED } else { 0 }
        });
        let room = room.max().unwrap_or(0);
        Self {
            axis: Scale::FromZero.axis(0.0, longest, 0.0, MOST_TICKS),
            xs: (px(left), px((right - room).max(left + 40))),
            right,
        }
    }

    /// A value's place, in drawing units: those beyond the axis are at its end.
    fn x(&self, value: f64) -> i32 {
        let share = value / self.axis.range.end;
        let length = f64::from(self.xs.1 - self.xs.0);
        self.xs.0 + (length * share.clamp(0.0, 1.0)) as i32
    }

    /// The panel's name above and the ticks below bars between these heights in CSS pixels; the grid, where it is ruled.
    pub fn draw_axis(
        &self,
        canvas: &Canvas,
        label: &str,
        (top, bottom): (i32, i32),
        ruled: &[(i32, i32)],
    ) -> Result<(), PlotError> {
        let room = self.right - self.xs.0 / style::SCALE as i32;
        let label = sheet::fitting(label, room, style::TEXT);
        let ink = style::text(style::TEXT, style::INK).pos(sheet::BEGINNING);
        canvas.draw_text(&label, &ink, (self.xs.0, px(top - 14)))?;
        let pale = style::text(style::SMALL, style::PALE_INK);
        let pale = pale.pos(Pos::new(HPos::Center, VPos::Top));
        if ruled.is_empty() {
            return Ok(());
        }
        // Labels that would touch are thinned out.
        let digits = self
            .axis
            .ticks
            .iter()
            .map(|tick| style::width(&tick.1, style::SMALL));
        let wide = digits.max().unwrap_or(0) + px(8);
        let mut free = i32::MIN;
        for (value, digits) in &self.axis.ticks {
            let x = self.x(*value);
            let color = if *value == 0.0 {
                style::PALE_INK
            } else {
                style::GRID
            };
            for (from, to) in ruled {
                let rule = vec![(x, px(*from)), (x, px(*to))];
                canvas.draw(&PathElement::new(rule, style::line(color, 1.0)))?;
            }
            if x - wide / 2 >= free {
                canvas.draw_text(digits, &pale, (x, px(bottom + 6)))?;
                free = x + wide / 2;
            }
        }
        Ok(())
    }

    /// A bar around this height in drawing units, and what it says.
    pub fn draw_bar(
        &self,
        canvas: &Canvas,
        bar: Option<Bar>,
        (color, failed): (RGBColor, bool),
        middle: i32,
    ) -> Result<(), PlotError> {
        let text = |ink| style::text(style::SMALL, ink).pos(sheet::BEGINNING);
        let Some((bar, value)) = bar.and_then(|bar| Some((bar, place(bar)?))) else {
            let at = (self.xs.0 + px(TO_LABEL), middle);
            canvas.draw_text("not measured", &text(style::PALE_INK), at)?;
            return Ok(());
        };
        let end = self.x(value);
        if failed {
            hatched(canvas, ((self.xs.0, end), middle), color)?;
        } else {
            let corners = [
                (self.xs.0, middle - px(THICKNESS) / 2),
                (end, middle + px(THICKNESS) / 2),
            ];
            canvas.draw(&Rectangle::new(corners, color.filled()))?;
        }
        let deviation = deviation(bar);
        let (low, high) = (self.x(value - deviation), self.x(value + deviation));
        if deviation > 0.0 {
            let whisker = style::line(style::INK, 1.0);
            let draw = |line| canvas.draw(&PathElement::new(line, whisker));
            draw(vec![(low, middle), (high, middle)])?;
            for x in [low, high] {
                draw(vec![(x, middle - px(3)), (x, middle + px(3))])?;
            }
        }
        let mut left = high + px(TO_LABEL);
        let said = said(bar);
        if failed {
            let bold = style::bold(style::SMALL, style::VERMILLION).pos(sheet::BEGINNING);
            canvas.draw_text("FAILED", &bold, (left, middle))?;
            left += px(FAILED);
            strike(
                canvas,
                (left, left + style::width(&said, style::SMALL)),
                middle,
            )?;
        }
        let ink = if failed { style::PALE_INK } else { style::INK };
        canvas.draw_text(&said, &text(ink), (left, middle))?;
        Ok(())
    }
}

/// About three figures, and as many decimals of the deviation.
fn said(bar: Bar) -> String {
    let decimals = match bar.value {
        100.0.. => 0,
        10.0.. => 1,
        _ => 2,
    };
    let value = grouped(bar.value, decimals);
    match bar.deviation.filter(|deviation| deviation.is_finite()) {
        Some(deviation) => format!("{value} ±{}", grouped(deviation, decimals)),
        None => value,
    }
}

/// A bar that does not count, between places and around a height in drawing units: an outline with slanting lines inside.
pub fn hatched(
    canvas: &Canvas,
    ((left, right), middle): ((i32, i32), i32),
    color: RGBColor,
) -> Result<(), PlotError> {
    let (top, bottom) = (middle - px(THICKNESS) / 2, middle + px(THICKNESS) / 2);
    let thin = style::line(color, 1.0);
    canvas.draw(&Rectangle::new([(left, top), (right, bottom)], thin))?;
    // At 45 degrees: what is cut off beside is as long as what is cut off above or below.
    let height = bottom - top;
    let mut foot = left - height + px(5);
    while foot < right {
        let (from, to) = (foot.max(left), (foot + height).min(right));
        let slant = vec![(from, bottom - (from - foot)), (to, bottom - (to - foot))];
        canvas.draw(&PathElement::new(slant, thin))?;
        foot += px(5);
    }
    Ok(())
}

/// A line through a text.
pub fn strike(canvas: &Canvas, (left, right): (i32, i32), middle: i32) -> Result<(), PlotError> {
    let line = vec![(left, middle), (right, middle)];
    canvas.draw(&PathElement::new(line, style::line(style::INK, 1.0)))?;
    Ok(())
}
