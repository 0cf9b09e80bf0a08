//! Texts of many people from one model. One thread computes; nobody else touches the device.
//!
//! Reading order: [`Request`] and [`Event`] (what goes in and what comes out) · [`Service`] (the door: who may come in) ·
//! `arrival` (what is made ready beside the thread) · `worker` (what happens between two steps) · `prefixes` (beginnings that
//! were read before) · `placing` (who begins from them, and who waits for them).

mod active;
mod arrival;
mod options;
mod placing;
mod prefixes;
mod request;
mod service;
mod shared;
mod stats;
mod text_bytes;
mod worker;

pub use options::{Reuse, ServiceOptions};
pub use request::{Event, Refused, Request, Ticket, Timings, Usage};
pub use service::Service;
pub use stats::Stats;
pub use text_bytes::{longest_text, text_bytes};
