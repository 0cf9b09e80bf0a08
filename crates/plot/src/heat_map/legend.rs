//! What the colours of the cells mean.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use super::{panel, ramp};
use crate::{
    PlotError,
    sheet::{self, Canvas},
    style::{self, px},
};

/// In CSS pixels, with the space around it.
pub const HEIGHT: i32 = 64;
const WIDTH: i32 = 220;
const BAR: i32 = 12;

/// With its upper left corner at this place in CSS pixels.
pub fn draw(canvas: &Canvas, at: (i32, i32), unmeasured: bool) -> Result<(), PlotError> {
    let (left, top) = (px(at.0), px(at.1 + 16));
    let (right, bottom) = (left + px(WIDTH), top + px(BAR));
    let shades = 110;
    for shade in 0..shades {
        let from = left + px(WIDTH) * shade / shades;
        let color = ramp::color(f64::from(shade) / f64::from(shades - 1));
        // Each to the end, the next over it: so no seam is left between two.
        canvas.draw(&Rectangle::new(
            [(from, top), (right, bottom)],
            color.filled(),
        ))?;
    }
    let text = style::text(style::SMALL, style::PALE_INK);
    for (share, label, side) in [
        (0, "0", HPos::Left),
        (1, "0.25", HPos::Center),
        (2, "0.5", HPos::Center),
        (3, "0.75", HPos::Center),
        (4, "1", HPos::Right),
    ] {
        let place = (left + px(WIDTH) * share / 4, bottom + px(5));
        canvas.draw_text(label, &text.pos(Pos::new(side, VPos::Top)), place)?;
    }
    if unmeasured {
        let corner = (right + px(28), top - px(2));
        panel::cross_out(canvas, corner, (px(26), px(16)))?;
        let beside = (corner.0 + px(34), top + px(BAR / 2));
        canvas.draw_text("not measured", &text.pos(sheet::BEGINNING), beside)?;
    }
    Ok(())
}
