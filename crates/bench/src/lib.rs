//! `glass bench`: how fast a model is on each device, and whether what it computes there is right.
//!
//! Reading order: [`Setup`], [`Precision`] and [`Shape`] (what is measured) · [`round`] (with a stopwatch) · [`Peaks`] and
//! [`costs`] (what the device allows) · [`traffic()`] (what it is asked for) · [`check`] and [`Correctness`] (whether it counts) · `protocol.rs` and `worker.rs` (a
//! process for each) · [`run`] and [`Turns`] (A B A B) · [`Summary`] (many measurements of one quantity) · [`Record`] (one row
//! of the result) · [`ops()`] and [`OpRow`] (where the time goes) · `render.rs` (tables and files) · [`chart`] (a picture).

mod chart;
mod correct;
pub mod costs;
mod error;
mod host_bandwidth;
mod host_memory;
mod interleave;
mod measure;
mod ops;
mod peaks;
mod protocol;
mod random_weights;
mod ratios;
mod record;
mod reference;
mod render;
mod row;
mod run;
mod run_ops;
mod setup;
mod shapes;
mod statistics;
mod stopwatch;
mod subject;
mod traffic;
mod verdict;
mod worker;

pub use chart::chart;
pub use correct::{check, loss, tolerance, write_reference};
pub use error::BenchError;
pub use glass_checkpoint::Precision;
pub use host_bandwidth::{BUFFER, PASSES, host_bandwidth};
pub use host_memory::free_memory;
pub use interleave::{Turn, Turns};
pub use measure::{Round, Text, round};
pub use ops::{OpRow, Phase, fill_shares, render_ops};
pub use peaks::Peaks;
pub use protocol::{Answer, Checked, Failure, Opened, Request, serve};
pub use random_weights::{RandomWeights, SEED, random_model};
pub use record::Record;
pub use render::{Format, Look, RenderError, UnknownFormat, render};
pub use run::{Plan, Results, Watch, run};
pub use run_ops::{OpResults, run_ops};
pub use setup::{Origin, Setup, Task};
pub use shapes::{SHAPES, Shape, UnknownShape};
pub use statistics::{Better, Summary};
pub use stopwatch::{OpTime, ops};
pub use traffic::{Counts, TaskTraffic, traffic};
pub use verdict::{Broken, Correctness, Greedy};
pub use worker::{Lost, Worker};
