//! Where a model computes: devices, float types, their limits, and the weights that live there.
//!
//! This is the only crate that names a Burn backend. Everything above it is written once over
//! `burn::tensor::Tensor`, which carries its device with it.
//!
//! Reading order: [`Dtype`] and [`Device`] (what there is to compute on) · [`Weights`] (where numbers
//! come from) · [`Rows`], [`Embedding`] and [`Linear`] (how a matrix is held, looked up and
//! multiplied) · [`Kernels`] and [`Fused`] (the operations that exist twice).

#[cfg(feature = "wgpu")]
mod adapters;
mod attention;
mod device;
mod dtype;
mod embedding;
mod error;
mod fused;
mod kernels;
mod linear;
mod peak_memory;
mod quantized;
mod rms_norm;
mod rows;
mod weights;

#[cfg(feature = "wgpu")]
pub use adapters::{Adapter, AdapterKind, adapters};
pub use attention::{AttentionParams, KvSegment};
pub use device::Device;
pub use dtype::Dtype;
pub use embedding::Embedding;
pub use error::{DeviceError, WeightError};
pub use fused::Fused;
pub use glass_kernels::{KeyPositions, codes};
pub use kernels::Kernels;
pub use linear::Linear;
pub use peak_memory::peak_host_bytes;
pub use quantized::{CodedRows, Quantized};
pub use rms_norm::LlamaRmsNorm;
pub use rows::Rows;
pub use weights::{WeightSource, Weights};
