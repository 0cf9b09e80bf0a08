//! `glass bench`: how fast a model is on each device, and whether what it computes there is right.
//!
//! Reading order: [`Setup`], [`Precision`] and [`Shape`] (what is measured) · [`round`] (with a stopwatch) · [`Roofs`] and [`costs`] (what
//! would be possible) · [`check`] and [`Correctness`] (whether it counts) · `protocol.rs` and `worker.rs` (a process for
//! each) · [`run`] and [`Turns`] (A B A B) · [`Summary`] (many measurements of one thing) · [`Record`] (one row of the
//! result) · [`ops()`] and [`OpRow`] (where the time goes) · `render.rs` (tables and files) · [`chart`] (a picture).

mod chart;
mod correct;
pub mod costs;
mod error;
mod host_bandwidth;
mod host_memory;
mod interleave;
mod measure;
mod noise;
mod ops;
mod precision;
mod protocol;
mod ratios;
mod record;
mod render;
mod roofs;
mod row;
mod run;
mod run_ops;
mod setup;
mod shapes;
mod statistics;
mod stopwatch;
mod subject;
mod verdict;
mod worker;

pub use chart::chart;
pub use correct::{check, tolerance, write_reference};
pub use error::BenchError;
pub use host_bandwidth::{BUFFER, PASSES, host_bandwidth};
pub use interleave::{Turn, Turns};
pub use measure::{Round, Text, round};
pub use noise::{Noise, SEED, noise};
pub use ops::{OpRow, Phase, fill_shares, render_ops};
pub use precision::Precision;
pub use protocol::{Answer, Checked, Failure, Opened, Request, serve};
pub use record::Record;
pub use render::{Format, RenderError, UnknownFormat, render};
pub use roofs::Roofs;
pub use run::{Plan, Results, Watch, run};
pub use run_ops::{OpResults, run_ops};
pub use setup::{Origin, Setup, Task};
pub use shapes::{SHAPES, Shape, UnknownShape};
pub use statistics::{Better, Summary};
pub use stopwatch::{OpTime, ops};
pub use verdict::{Broken, Correctness, Greedy};
pub use worker::{Lost, Worker};
