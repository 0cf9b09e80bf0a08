//! Benchmarks: what is counted, what is right, what is measured in which order, and how it is shown.

mod allocations;
mod correct;
mod costs;
mod formats;
mod ops;
mod read_back;
mod records;
mod render;
#[cfg(unix)]
mod run;
mod traffic;
