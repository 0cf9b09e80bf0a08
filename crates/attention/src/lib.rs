//! Attention: how a token finds the tokens before it.
//!
//! Reading order: [`LlamaAttention`] (all of it, on one page) · [`QkNorm`] · [`attend`] (scores, softmax, sum) · [`Rope`] (position as
//! an angle) · [`Window`] (which keys a query may see) · [`KvCache`], [`LayerCache`] and the policies in `cache/` (what is
//! kept: [`CachePolicy`] has the choices) · [`KvView`] (what a cache hands to `attend`) · [`ForwardContext`] (what the
//! layers of a pass share).

mod attend;
mod attention;
mod cache;
mod cache_config;
mod context;
mod dropout;
mod kv;
mod observer;
mod padding;
mod policy;
mod qk_norm;
mod rope;
mod sequences;
mod window;

pub use attend::{Queries, attend, mask, probabilities, scores, weighted_sum};
pub use attention::LlamaAttention;
pub use cache::{CacheError, KvCache, LayerCache, NoCache};
pub use cache_config::CacheConfig;
pub use context::ForwardContext;
pub use dropout::{Dropout, Dropouts};
pub use kv::{KeyPositions, KvSegment, KvView};
pub use observer::{HiddenState, Observer, Step, Unobserved};
pub use padding::Padding;
pub use policy::{CachePolicy, CachePolicyError};
pub use qk_norm::QkNorm;
pub use rope::{Rope, RopeTable, rotate};
pub use sequences::{NextTokens, Sequences};
pub use window::Window;
