//! What is kept of a sequence: keys and values, layer by layer, and which of them a query may attend to.
//!
//! Reading order: [`Window`] (which keys a query sees) · [`KvView`] (what a cache hands to attention) · [`LayerCache`] (what
//! a policy implements) and the policies in `policies/` ([`CachePolicy`] has the choices) · [`RecurrentState`] (what a layer
//! without attention keeps) · [`KvCache`] (all layers of one sequence).

mod buffer;
mod cache;
mod cache_config;
mod error;
mod in_dtype;
mod kv;
mod layer;
mod policies;
mod policy;
mod recurrent;
mod shared;
mod state;
mod window;

pub use cache::KvCache;
pub use cache_config::CacheConfig;
pub use error::CacheError;
pub use glass_backend::{KvDtype, KvTensor, SeenSlots};
pub use kv::{AttendsFrom, KeyPositions, KvSegment, KvView, join, narrow};
pub use layer::{Appended, InPlace, LayerCache, NoCache, Written};
pub use policy::{CachePolicy, CachePolicyError};
pub use recurrent::{History, RecurrentState};
pub use shared::KEYS_TOGETHER;
pub use state::LayerState;
pub use window::Window;
