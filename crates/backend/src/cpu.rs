//! The kernels of the CPU, on slices: nothing here knows of Burn.
//!
//! Each runs at the best instruction set of the machine it is on ([`Level`]), gives the same result on any number of
//! threads, and states its error. Reading order: [`project_all`] (most of a model's time) · [`norm`], [`swiglu`],
//! [`rope`] (small, but many) · [`attend()`].
#![cfg_attr(not(feature = "flex"), allow(dead_code))]

mod attend;
mod dot;
mod element;
mod exp;
mod lanes;
mod many;
#[cfg(test)]
pub(crate) mod noise;
mod norm;
mod panel;
mod project;
mod quantized;
mod rope;
mod share;
mod swiglu;
mod view;
mod weight;

pub use attend::Visible;
pub(crate) use attend::attend;
pub(crate) use element::Element;
pub(crate) use lanes::Level;
pub(crate) use many::{project_many, project_many_bf16, project_many_codes};
pub(crate) use norm::{add_rms_norm, rms_norm};
pub(crate) use rope::{Angles, rotate};
pub(crate) use swiglu::silu_gate;
pub(crate) use view::{View, ViewMut};
pub(crate) use weight::Weight;
