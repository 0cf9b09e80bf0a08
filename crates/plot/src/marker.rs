//! Shapes that tell curves apart where colours do not: in grey, and where two curves coincide.

use plotters::prelude::*;

use crate::{
    PlotError,
    sheet::Canvas,
    style::{self, px},
};

/// Half the width of the smallest.
const RADIUS: f64 = 4.0;

/// The shape of the curve with this number, around a place in drawing units: circle, square, triangle, diamond, filled or
/// hollow by turns. Through a hollow one a filled one can be seen.
pub fn draw(
    canvas: &Canvas,
    number: usize,
    at: (i32, i32),
    color: RGBColor,
) -> Result<(), PlotError> {
    let hollow = (number % 2 == 1) != (number % 8 >= 4);
    // A hollow shape is larger, so that it shows around a filled one.
    let radius = if hollow { RADIUS + 1.0 } else { RADIUS };
    let corners: &[(f64, f64)] = match number % 4 {
        0 => {
            let style = if hollow {
                style::line(color, 1.5)
            } else {
                color.filled()
            };
            canvas.draw(&Circle::new(at, px(radius as i32), style))?;
            return Ok(());
        }
        1 => &[(-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)],
        2 => &[(0.0, -1.2), (1.1, 0.8), (-1.1, 0.8)],
        _ => &[(0.0, -1.3), (1.3, 0.0), (0.0, 1.3), (-1.3, 0.0)],
    };
    let unit = radius * f64::from(style::SCALE);
    let corner = |(x, y): &(f64, f64)| (at.0 + (x * unit) as i32, at.1 + (y * unit) as i32);
    let mut outline: Vec<_> = corners.iter().map(corner).collect();
    if hollow {
        // Two corners more than there are, so that the last joint is one too.
        outline.extend_from_within(..2);
        canvas.draw(&PathElement::new(outline, style::line(color, 1.5)))?;
    } else {
        canvas.draw(&Polygon::new(outline, color.filled()))?;
    }
    Ok(())
}
