//! Benchmarks: what is counted, what is right, what is measured in which order, and how it is shown.

mod correct;
mod costs;
mod csv;
mod ops;
mod render;
#[cfg(unix)]
mod run;
