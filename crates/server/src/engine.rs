//! Texts of many people from one model. One thread computes; nobody else touches the device.
//!
//! Reading order: [`Request`] and [`Event`] (what goes in and what comes out) · [`Service`] (the door: who may come in) ·
//! [`ServiceOptions`].

mod options;
mod request;
mod service;
mod stats;

pub use options::{Reuse, ServiceOptions};
pub use request::{Event, Refused, Request, Ticket, Timings, Usage};
pub use service::Service;
pub use stats::Stats;
