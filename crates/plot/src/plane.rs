//! The plane that two axes span, with its grid.

use plotters::{
    prelude::*,
    style::text_anchor::{HPos, Pos, VPos},
};

use crate::{
    PlotError,
    axis::Ticked,
    sheet::Canvas,
    style::{self, px},
};

pub type Plane<'a, 'b> = ChartContext<'b, SVGBackend<'a>, Cartesian2d<Ticked, Ticked>>;

/// Two axes with a grid; `right` CSS pixels beside it stay free.
pub fn plane<'a, 'b>(
    canvas: &'b Canvas<'a>,
    (x, x_label): (&Ticked, &str),
    (y, y_label): (&Ticked, &str),
    right: i32,
) -> Result<Plane<'a, 'b>, PlotError> {
    let widths = y
        .ticks
        .iter()
        .map(|tick| style::width(&tick.1, style::TEXT));
    let y_area = widths.max().unwrap_or(0) + px(30);
    let mut plane = ChartBuilder::on(canvas)
        .margin(px(20))
        .margin_top(px(98))
        .margin_right(px(right))
        .x_label_area_size(px(48))
        .y_label_area_size(y_area.max(px(64)))
        .build_cartesian_2d(x.clone(), y.clone())?;
    plane
        .configure_mesh()
        .x_desc(x_label)
        .y_desc(y_label)
        .label_style(style::text(style::TEXT, style::PALE_INK))
        .axis_desc_style(style::text(style::TEXT + 1.0, style::INK))
        .set_all_tick_mark_size(px(5))
        .bold_line_style(style::line(style::GRID, 1.0))
        .light_line_style(TRANSPARENT)
        .axis_style(style::line(style::PALE_INK, 1.0))
        .draw()?;
    Ok(plane)
}

/// A remark above the upper left corner of the plane.
pub fn note(canvas: &Canvas, plane: &Plane, text: &str) -> Result<(), PlotError> {
    let style = style::text(style::TEXT - 1.0, style::PALE_INK);
    let (xs, ys) = plane.plotting_area().get_pixel_range();
    let at = (xs.start, ys.start - px(4));
    canvas.draw_text(text, &style.pos(Pos::new(HPos::Left, VPos::Bottom)), at)?;
    Ok(())
}
