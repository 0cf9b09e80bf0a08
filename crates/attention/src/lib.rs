//! Attention: how a token finds the tokens before it.
//!
//! Reading order: [`Rope`] (where a token stands) · [`Window`] (which keys a query may see) · [`Cache`] and its
//! layers (what is remembered) · [`attend`] (scores, softmax, sum) · [`LlamaAttention`] (all of it together).

mod attend;
mod attention;
mod cache;
mod dropout;
mod mask;
mod observer;
mod padding;
mod pass;
mod rope;
mod window;

pub use attend::attend;
pub use attention::LlamaAttention;
pub use cache::{Cache, CacheError, Keys, LayerCache};
pub use dropout::{Dropout, Dropouts};
pub use observer::{HiddenState, Observer, Unobserved};
pub use padding::Padding;
pub use pass::Pass;
pub use rope::{Rope, RopeTable, rotate};
pub use window::Window;
