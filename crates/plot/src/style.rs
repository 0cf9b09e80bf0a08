//! Fonts, colours and sizes of the pictures, all lengths in CSS pixels.

use plotters::prelude::*;

/// What a reader's machine has: an SVG carries no fonts.
pub const FONT: &str = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
pub const TEXT: f64 = 13.0;
pub const SMALL: f64 = 11.0;
pub const TITLE: f64 = 18.0;

// Okabe and Ito's palette, which the colour-blind can tell apart.
pub const BLUE: RGBColor = RGBColor(0, 114, 178);
pub const VERMILLION: RGBColor = RGBColor(213, 94, 0);
/// Its yellow is too pale for a line on white; a grey stands in for it.
pub const SERIES: [RGBColor; 8] = [
    BLUE,
    VERMILLION,
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
    RGBColor(128, 128, 128),
];

pub const INK: RGBColor = RGBColor(34, 34, 34);
pub const PALE_INK: RGBColor = RGBColor(95, 95, 95);
pub const GRID: RGBColor = RGBColor(228, 228, 228);

/// Width and height of a picture with two axes.
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

pub fn bold(size: f64, color: RGBColor) -> TextStyle<'static> {
    let text = text(size, color);
    TextStyle {
        font: text.font.style(FontStyle::Bold),
        ..text
    }
}

/// About how many drawing units a line of text is wide; only the viewer's font knows.
pub fn width(line: &str, size: f64) -> i32 {
    (line.chars().count() as f64 * size * 0.55 * f64::from(SCALE)) as i32
}
