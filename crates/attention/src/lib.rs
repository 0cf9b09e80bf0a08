//! Attention: how a token finds the tokens before it.
//!
//! Reading order: [`LlamaAttention`] (all of it, on one page) · [`QkNorm`] · [`attend`] (scores, softmax, sum) · [`Rope`]
//! (position as an angle) · `dual_chunk`
//! (reading beyond the trained length) · [`ForwardContext`] (what the layers of a pass share). Which keys a query may see, and what is
//! kept of them, is the crate below: `glass-kv-cache`.

mod attend;
mod attention;
mod context;
mod dropout;
mod dual_chunk;
mod observer;
mod padding;
mod qk_norm;
mod recurrence;
mod rope;
mod sequences;

pub use attend::{Queries, attend, mask, probabilities, scores, weighted_sum};
pub use attention::LlamaAttention;
pub use context::ForwardContext;
pub use dropout::{Dropout, Dropouts};
pub use observer::{HiddenState, Observer, Step, Unobserved};
pub use padding::Padding;
pub use qk_norm::QkNorm;
pub use recurrence::{OfTokens, Recurrence};
pub use rope::{Rope, RopeTable, rotate};
pub use sequences::{NextTokens, Sequences};
