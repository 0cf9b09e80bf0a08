//! `POST /v1/glass/trace`: what a model does with a text, for whoever asks.
//!
//! Reading order: [`Wanted`] (what of it) · `look` (an observed pass, and one through the caches) · `report` (JSON or
//! safetensors).

mod look;
mod report;
mod wanted;

pub use wanted::{Wanted, read};
