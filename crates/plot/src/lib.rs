//! Pictures as SVG: what was measured, for people to look at. Knows nothing of models, and reads no file.
//!
//! Reading order: [`loss_plot`] (a training run) · [`curves`] (several measurements against one axis) · [`heat_map`] and
//! [`heat_maps`] (shares over two axes) · [`bars`] (rates side by side) · `sheet.rs` (what all have in common) · `axis.rs`
//! (scales and ticks) · `plane.rs` (two axes and their grid) · `style.rs` (fonts, colours, sizes).
//!
//! Equal input gives equal bytes. Texts are escaped, and shortened where they have no room.

mod axis;
mod bars;
mod curves;
mod error;
mod heat_map;
mod loss;
mod marker;
mod number;
mod plane;
mod sheet;
mod style;
mod thin;

pub use axis::Scale;
pub use bars::{Bar, BarChart, BarRow, bars};
pub use curves::{Axes, Axis, MOST_SERIES, Series, curves};
pub use error::PlotError;
pub use heat_map::{HeatMap, heat_map, heat_maps};
pub use loss::loss_plot;
pub use thin::Point;
