//! The CPU kernels, on slices: nothing here knows of Burn.
//!
//! Each runs at the best instruction set of the machine it is on ([`Isa`]), gives the same result on any number of
//! threads, and states its error. Reading order: [`matmul_t`] (most of a model's time; `gemv` and `gemm` behind it) ·
//! [`quant`] (quantized weights) · [`rms_norm()`], [`gate()`], [`rotate()`] (small, but many) · [`attend()`] ·
//! [`selective_scan()`], [`linear_recurrence()`], [`causal_conv()`] and [`softplus()`] (what comes in place of attention).

mod attend;
mod causal_conv;
mod chunk;
mod columns;
mod exp;
mod float;
mod gate;
mod gemm;
mod gemv;
mod highest;
mod isa;
mod linear_recurrence;
mod matmul;
mod matrix;
mod prefetch;
pub mod quant;
mod rms_norm;
mod rotate;
mod scratch;
mod selective_scan;
mod share;
mod simd_ext;
mod softplus;
mod team;
#[cfg(test)]
mod testing;
mod view;

pub use attend::{
    Attention, Int8View, Kept, KeyMask, KeyPositions, Segment, Softmax, attend, attend_all, quantize_vectors,
};
pub use causal_conv::{CausalConv, causal_conv};
pub use float::{Float, narrow};
pub use gate::{Gate, gate};
pub use highest::first_highest;
pub use isa::Isa;
pub use linear_recurrence::linear_recurrence;
pub use matmul::{WeightKind, matmul_t, matmul_t_bf16, matmul_t_blocks, matmul_t_panels, matmul_t_quantized};
pub use matrix::Matrix;
pub use rms_norm::{RmsNorm, add, add_rms_norm, rms_norm};
pub use rotate::{Angles, rotate};
pub use scratch::Scratch;
pub use selective_scan::{ScanGradient, SelectiveScan, selective_scan, selective_scan_gradient};
pub use softplus::softplus;
pub use view::{View, ViewMut};
