//! The sheet that every picture is drawn on: white, with a title and a line of explanation.

use plotters::{
    coord::Shift,
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    PlotError,
    style::{self, px},
};

pub type Canvas<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Between texts and the left edge.
pub const MARGIN: i32 = 24;

/// What stands at the top.
pub struct Head<'a> {
    pub title: &'a str,
    pub subtitle: &'a str,
    /// CSS pixels that both may be wide.
    pub room: i32,
}

/// The text of an SVG file of `size` CSS pixels, on which `draw` has drawn.
pub fn sheet(
    size: (u32, u32),
    head: &Head,
    draw: impl FnOnce(&Canvas) -> Result<(), PlotError>,
) -> Result<String, PlotError> {
    let mut svg = String::new();
    let (width, height) = size;
    let drawn = (width * style::SCALE, height * style::SCALE);
    {
        let area = SVGBackend::with_string(&mut svg, drawn).into_drawing_area();
        area.fill(&WHITE)?;
        // Bold letters are wider.
        let title = fitting(head.title, head.room, 1.16 * style::TITLE);
        let bold = style::bold(style::TITLE, style::INK);
        area.draw_text(&title, &bold, (px(MARGIN), px(18)))?;
        let subtitle = fitting(head.subtitle, head.room, style::TEXT);
        let pale = style::text(style::TEXT, style::PALE_INK);
        area.draw_text(&subtitle, &pale, (px(MARGIN), px(46)))?;
        draw(&area)?;
        area.present()?;
    }
    // plotters has one size for the drawing units and for the picture.
    Ok(svg.replacen(
        &format!("width=\"{}\" height=\"{}\"", drawn.0, drawn.1),
        &format!("width=\"{width}\" height=\"{height}\""),
        1,
    ))
}

/// In the middle of an empty sheet.
pub fn say(canvas: &Canvas, text: &str) -> Result<(), PlotError> {
    let centered = style::text(style::TEXT, style::PALE_INK).pos(CENTERED);
    let (width, height) = canvas.dim_in_pixel();
    canvas.draw_text(text, &centered, (width as i32 / 2, height as i32 / 2))?;
    Ok(())
}

// Where a text lies, from the place it is drawn at.
pub const CENTERED: Pos = Pos {
    h_pos: HPos::Center,
    v_pos: VPos::Center,
};
pub const ENDING: Pos = Pos {
    h_pos: HPos::Right,
    v_pos: VPos::Center,
};
pub const BEGINNING: Pos = Pos {
    h_pos: HPos::Left,
    v_pos: VPos::Center,
};

/// As much of a text as `room` CSS pixels hold at this size.
pub fn fitting(text: &str, room: i32, size: f64) -> String {
    one_line(text, (f64::from(room) / (0.55 * size)).max(1.0) as usize)
}

/// At most `most` characters, none of which XML forbids.
pub fn one_line(text: &str, most: usize) -> String {
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
