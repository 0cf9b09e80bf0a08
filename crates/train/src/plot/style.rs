//! Fonts, colours and sizes of the figures, all lengths in CSS pixels.

use plotters::prelude::*;

/// What a reader's machine has: an SVG carries no fonts.
pub const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
pub const TEXT: f64 = 13.0;
pub const TITLE: f64 = 18.0;

// Okabe and Ito's palette, which the colour-blind can tell apart.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const VERMILLION: RGBColor = RGBColor(213, 94, 0);

pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const PALE_INK: RGBColor = RGBColor(95, 95, 95);
pub const GRID: RGBColor = RGBColor(228, 228, 228);

/// Width and height in CSS pixels.
pub const SIZE: (u32, u32) = (960, 540);
/// Drawing units per CSS pixel: plotters rounds coordinates to whole units, which shows in a curve at one per pixel.
pub const SCALE: u32 = 4;

/// CSS pixels in drawing units.
pub const fn px(pixels: i32) -> i32 {
    pixels * SCALE as i32
}

/// A line of `width` CSS pixels.
pub fn line<C: Color>(color: C, width: f64) -> ShapeStyle {
    color.stroke_width((width * f64::from(SCALE)) as u32)
}

/// A text of `size` CSS pixels per em; 1.24 is what plotters divides a font size by.
pub fn text(size: f64, color: RGBColor) -> TextStyle<'static> {
    (FONT, size * f64::from(SCALE) * 1.24)
        .into_font()
        .color(&color)
}

/// About how many drawing units a line of text is wide; only the viewer's font knows.
pub fn width(line: &str, size: f64) -> i32 {
    (line.chars().count() as f64 * size * 0.55 * f64::from(SCALE)) as i32
}
