//! Where a model computes: devices, float types, their limits, and the weights that live there.
//!
//! This is the only crate that names a Burn backend. Everything above it is written once over
//! `burn::tensor::Tensor`, which carries its device with it.
//!
//! Reading order: [`Dtype`] and [`Device`] (what there is to compute on) · [`Weights`] (where they come from) ·
//! [`WeightMatrix`], [`Embedding`], [`Linear`] and [`Norm`] (what every model is made of) · [`KernelMode`] and
//! [`KernelSet`] (the operations that exist twice), [`Draw`] (how it chooses tokens), [`Around`] and [`Input`] (what
//! products do besides) · [`AttentionParams`], [`KvSegment`], [`TextKv`] and [`SeenSlots`] (what attention computes with)
//! over [`KvTensor`] (what caches keep), [`Scan`] (what a recurrence does).

mod activation;
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
mod adapters;
mod around;
mod attention;
mod device;
mod draws;
mod dtype;
mod embedding;
mod error;
mod kernel_mode;
mod kernel_set;
mod kv_tensor;
mod linear;
mod matrices;
mod norm;
mod peak_memory;
mod quantized;
mod recurrence;
mod rope_angles;
mod traffic;
mod weight_matrix;
mod weight_role;
mod weights;

pub use activation::{Xielu, activate, clamped_gate};
#[cfg(all(feature = "wgpu", not(target_family = "wasm")))]
pub use adapters::{Adapter, AdapterKind, adapters};
pub use around::{Around, Input, Then};
pub use attention::{AttentionParams, KvSegment, SeenSlots, TextKv};
pub use device::Device;
pub use draws::{Draw, Draws};
pub use dtype::Dtype;
pub use embedding::Embedding;
pub use error::{DeviceError, WeightError};
pub use glass_kernels::{Gate as GateKernel, KeyPositions, WeightKind, first_highest, quant};
pub use kernel_mode::KernelMode;
pub use kernel_set::KernelSet;
pub use kv_tensor::{KvDtype, KvTensor, Q8Tensor, UnknownKvDtype};
pub use linear::Linear;
pub use matrices::Few;
pub(crate) use matrices::Matrices;
pub use norm::{HeadNorm, Norm};
pub use peak_memory::peak_host_bytes;
pub use quantized::{
    BlockRows, BlockTensor, HalfTensor, PanelTensor, PlanarRows, PlanarTensor, QuantizedRows, QuantizedTensor,
};
pub use recurrence::Scan;
pub use rope_angles::RopeAngles;
pub use traffic::{Traffic, TrafficCounter};
pub use weight_matrix::{WeightMatrix, has_float_matrices};
pub use weight_role::{ActivationWeight, RecurrentWeight, WeightRole};
pub use weights::{WeightRoles, WeightSource, WeightSpec, Weights};
