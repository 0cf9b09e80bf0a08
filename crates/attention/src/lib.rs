//! Attention: how a token finds the tokens before it.
//!
//! Reading order: [`Rope`] (where a token stands) · [`Window`] (which keys a query may see) · [`Cache`] and its
//! layers (what is remembered: [`CachePolicy`] has the choices) · [`attend`] (scores, softmax, sum) ·
//! [`LlamaAttention`] (all of it together).

mod attend;
mod attention;
mod blocks;
mod cache;
mod dropout;
mod keys;
mod mask;
mod observer;
mod padding;
mod pass;
mod plan;
mod policy;
mod rope;
mod window;

pub use attend::{attend, mix, probabilities, scores};
pub use attention::LlamaAttention;
pub use blocks::Call;
pub(crate) use blocks::attend_in_blocks;
pub use cache::{Cache, CacheError, LayerCache, Selection};
pub use dropout::{Dropout, Dropouts};
pub use keys::Keys;
pub use observer::{HiddenState, Observer, Step, Unobserved};
pub use padding::Padding;
pub use pass::Pass;
pub use plan::CachePlan;
pub use policy::{CachePolicy, CachePolicyError};
pub use rope::{Rope, RopeTable, rotate};
pub use window::Window;
