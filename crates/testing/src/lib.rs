//! What the tests of several crates share. Nothing that ships depends on it.
//!
//! Reading order: [`devices`] (where a test runs) · [`RandomWeights`] (a model without a file) · [`tokenizers`] (text without
//! a download) · [`fixtures`] (models, and what the reference computes from them).

pub mod devices;
pub mod fixtures;
pub mod tokenizers;
mod weights;

pub use weights::RandomWeights;
