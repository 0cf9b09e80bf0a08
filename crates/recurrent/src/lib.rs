//! Mixers whose past is a state of fixed size, in place of keys and values.
//!
//! Reading order: [`causal_conv`] (what came just before) · [`selective_scan`] (a state that each token changes) ·
//! [`MambaMixer`] · [`Mamba2Mixer`] · [`linear_recurrence`] (a state without columns) · [`RgLruMixer`] · [`retain`] (attention
//! without softmax, by chunks) · [`RetentionMixer`]. What is kept of a sequence is `RecurrentState` in `glass-kv-cache`.

mod conv;
mod linear;
mod mamba;
mod mamba2;
mod mixer;
mod retain;
mod retention;
mod rg_lru;
mod scan;
mod time_step;

pub use conv::{CausalConv, causal_conv};
pub use linear::linear_recurrence;
pub use mamba::MambaMixer;
pub use mamba2::Mamba2Mixer;
pub use mixer::RecurrentMixer;
pub use retain::retain;
pub use retention::{RetentionMixer, gamma};
pub use rg_lru::RgLruMixer;
pub use scan::{Scan, selective_scan};
pub use time_step::{TimeStep, softplus};
