//! Mixers whose past is a state of fixed size, in place of keys and values.
//!
//! Reading order: [`causal_conv`] (what came just before) · [`selective_scan`] (a state that each token changes) ·
//! [`MambaMixer`] · [`retain`] (attention without softmax, by chunks) · [`RetentionMixer`]. What is kept of a sequence is `RecurrentState` in `glass-kv-cache`.

mod conv;
mod mamba;
mod mixer;
mod retain;
mod retention;
mod scan;
mod time_step;

pub use conv::{CausalConv, causal_conv};
pub use mamba::MambaMixer;
pub use mixer::RecurrentMixer;
pub use retain::retain;
pub use retention::{RetentionMixer, gamma};
pub use scan::{Scan, selective_scan};
pub use time_step::{TimeStep, softplus};
