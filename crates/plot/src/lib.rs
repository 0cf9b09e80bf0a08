//! Pictures of measurements, as SVG, drawn with [plotters]. Knows nothing of models and reads no file.
//!
//! Reading order: [`loss_plot`] (a training run) · [`curves`] (several measurements against one axis) · [`heat_maps`]
//! (fractions over two axes) · [`bars`] (rates side by side) · `lines.rs` (what the first two share) · `sheet.rs` (what all
//! share).
//!
//! Equal input gives equal bytes. Texts are escaped, and truncated where they do not fit.

mod bars;
mod curves;
mod heat_map;
mod lines;
mod loss;
mod sheet;

use std::io;

use plotters::drawing::DrawingAreaErrorKind;
use thiserror::Error;

pub use bars::{Bar, BarRow, bars};
pub use curves::{MAX_SERIES, Series, curves};
pub use heat_map::{HeatMap, heat_maps};
pub use lines::{Axis, Scale};
pub use loss::loss_plot;

/// x and y.
pub type Point = (f64, f64);

/// Why there is no picture: one line each.
#[derive(Debug, Error)]
pub enum PlotError {
    #[error("the picture could not be drawn: {0}")]
    Drawing(#[from] DrawingAreaErrorKind<io::Error>),
    #[error("{given} curves cannot be told apart in one picture: draw at most {MAX_SERIES} at once")]
    TooManySeries { given: usize },
    #[error("heat map \"{title}\": {reason}")]
    HeatMap { title: String, reason: String },
}
