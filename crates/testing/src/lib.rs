//! What the tests of several crates share. Nothing that ships depends on it.
//!
//! Reading order: [`devices`] (where a test runs) · [`Random`], [`RandomWeights`] and [`with_windows`] (numbers, and models without
//! files) · [`tokenizers`] (text without a download) · [`fixtures`] (models, and what the reference computes from them).

pub mod devices;
pub mod fixtures;
mod random;
pub mod tokenizers;
mod weights;
mod windows;

pub use random::Random;
pub use weights::RandomWeights;
pub use windows::with_windows;

/// Whether a missing wgpu adapter fails a test instead of leaving out a part of it: with `GLASS_REQUIRE_WGPU` in the
/// environment.
pub fn wgpu_is_required() -> bool {
    std::env::var_os("GLASS_REQUIRE_WGPU").is_some()
}
