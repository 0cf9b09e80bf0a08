//! The CPU kernels, on slices: nothing here knows of Burn.
//!
//! Each runs at the best instruction set of the machine it is on ([`Level`]), gives the same result on any number of
//! threads, and states its error. Reading order: [`project_many`] (most of a model's time) · [`codes`] (weights in 8 or 4
//! bits) · [`rms_norm`], [`silu_gate`], [`rotate`] (small, but many) · [`attend()`].

mod attend;
pub mod codes;
mod dot;
mod element;
mod exp;
mod lanes;
mod many;
#[cfg(test)]
mod noise;
mod norm;
mod panel;
mod project;
mod quantized;
mod rope;
mod share;
mod swiglu;
mod view;
mod weight;

pub use attend::{Visible, attend};
pub use element::Element;
pub use lanes::Level;
pub use many::{project_many, project_many_bf16, project_many_codes};
pub use norm::{add_rms_norm, rms_norm};
pub use rope::{Angles, rotate};
pub use swiglu::silu_gate;
pub use view::{View, ViewMut};
pub use weight::Weight;
