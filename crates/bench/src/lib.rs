//! What `glass bench` says, and in which order it measures: the part that knows nothing of Burn and runs no model.
//!
//! Reading order: [`Shape`] (what is measured when no model is named) · [`Turns`] (A B A B) · [`Summary`] (many
//! measurements of one thing) · [`host_bandwidth`] (a roof) · [`Record`] (one row of the result) · [`Correctness`]
//! (whether the row counts) · [`OpRow`] (where the time goes) · `render.rs` (tables and files) · [`chart`] (a picture).

mod chart;
mod host_bandwidth;
mod interleave;
mod ops;
mod record;
mod render;
mod shapes;
mod statistics;
mod verdict;

pub use chart::chart;
pub use host_bandwidth::{BUFFER, PASSES, host_bandwidth};
pub use interleave::{Turn, Turns};
pub use ops::{OpRow, Phase, fill_shares, render_ops};
pub use record::Record;
pub use render::{Format, RenderError, UnknownFormat, render};
pub use shapes::{SHAPES, Shape, UnknownShape};
pub use statistics::{Better, Summary};
pub use verdict::{Broken, Correctness, Greedy};
