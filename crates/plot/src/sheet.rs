//! What all pictures share: the white sheet with its title, fonts, colours and numbers.

use plotters::{
    coord::Shift,
    data::float::pretty_print_float,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::PlotError;

pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Drawing units of a CSS pixel, for all lengths: plotters rounds coordinates to whole units, and at one unit per pixel
/// curves would be jagged.
pub const PX: i32 = 10;
pub const MARGIN: i32 = 24 * PX;
/// Height of title, subtitle and note.
pub const HEADER: i32 = 92 * PX;

// Font sizes, in CSS pixels.
pub const TITLE: i32 = 18;
pub const TEXT: i32 = 13;
pub const SMALL: i32 = 11;

/// Okabe and Ito's palette, which the colour-blind can tell apart; a grey stands in for its yellow, which is too pale for
/// a line on white.
pub const PALETTE: [RGBColor; 8] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
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

/// Draws a sheet of this width and height and returns the text of the SVG file. `draw` gets the area of the header, whose
/// texts leave so much free `beside` them, and the area below.
pub fn sheet(
    (width, height): (i32, i32),
    [title, subtitle, note]: [&str; 3],
    beside: i32,
    draw: impl for<'a> FnOnce(&Area<'a>, &Area<'a>) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    {
        let size = (width as u32, height as u32);
        let root = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        root.fill(&WHITE)?;
        for (line, size, y, style) in [
            (title, TITLE, 18, bold(TITLE, INK)),
            (subtitle, TEXT, 46, text(TEXT, PALE_INK)),
            (note, TEXT, 68, text(TEXT, PALE_INK)),
        ] {
            let line = fit(line, width - 2 * MARGIN - beside, size);
            if !line.is_empty() {
                root.draw_text(&line, &style, (MARGIN, y * PX))?;
            }
        }
        let (header, body) = root.split_vertically(HEADER);
        draw(&header, &body)?;
        root.present()?;
    }
    // plotters has one size for the drawing units and for the picture.
    Ok(svg.replacen(
        &format!("width=\"{width}\" height=\"{height}\""),
        &format!("width=\"{}\" height=\"{}\"", width / PX, height / PX),
        1,
    ))
}

/// In place of a picture without any value.
pub fn draw_nothing(area: &Area) -> Result<(), PlotError> {
    let (width, height) = area.dim_in_pixel();
    let middle = (width as i32 / 2, height as i32 / 2);
    let style = anchored(text(TEXT, PALE_INK), HPos::Center);
    area.draw_text("Nothing has been measured yet.", &style, middle)?;
    Ok(())
}

/// A line of so many CSS pixels.
pub fn stroke<C: Color>(color: C, width: f64) -> ShapeStyle {
    color.stroke_width((width * f64::from(PX)) as u32)
}

/// A font of `size` CSS pixels; plotters divides a font's size by 1.24.
pub fn text(size: i32, color: RGBColor) -> TextStyle<'static> {
    // What a reader's machine has: an SVG carries no fonts.
    let font = "Helvetica, Arial, 'DejaVu Sans', sans-serif";
    (font, f64::from(size * PX) * 1.24).into_font().color(&color)
}

pub fn bold(size: i32, color: RGBColor) -> TextStyle<'static> {
    let text = text(size, color);
    TextStyle { font: text.font.style(FontStyle::Bold), ..text }
}

/// A text that lies to the right of the point it is drawn at (`HPos::Left`), to its left, or around it.
pub fn anchored(text: TextStyle<'_>, side: HPos) -> TextStyle<'_> {
    text.pos(Pos::new(side, VPos::Center))
}

/// About how wide a letter is; only the viewer's font knows.
fn letter(size: i32) -> i32 {
    size * PX * 56 / 100
}

/// The width of the widest of some texts.
pub fn widest(texts: impl Iterator<Item = impl AsRef<str>>, size: i32) -> i32 {
    let letters = texts.map(|text| text.as_ref().chars().count());
    letters.max().unwrap_or(0) as i32 * letter(size)
}

/// A text in one line, truncated to a width, without the characters that XML forbids.
pub fn fit(text: &str, width: i32, size: i32) -> String {
    let max = (width / letter(size)).max(1) as usize;
    let allowed = |c: char| match c {
        '\u{FFFE}' | '\u{FFFF}' => '\u{FFFD}',
        c if c.is_control() => ' ',
        c => c,
    };
    let mut line: String = text.chars().take(max).map(allowed).collect();
    if text.chars().nth(max).is_some() {
        line.pop();
        line.push('…');
    }
    line
}

/// A number with so many decimals, and commas between thousands.
pub fn grouped(value: f64, decimals: usize) -> String {
    // Adding zero takes the sign from minus zero.
    let digits = format!("{:.decimals$}", value + 0.0);
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        let after_digit = grouped.ends_with(|c: char| c.is_ascii_digit());
        if after_digit && index < whole && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A number in as few digits as it needs; the very large and the very small with an exponent.
pub fn short(value: f64) -> String {
    if value.fract() == 0.0 && value.abs() < 1e7 { grouped(value, 0) } else { pretty_print_float(value, true) }
}
