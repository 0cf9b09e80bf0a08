//! Kernels in CubeCL on the tensors of a graphics adapter.
//!
//! Sizes that change from step to step are arguments, never constants of a kernel: a software adapter compiles for a
//! good part of a second.

mod argmax;
mod attend;
mod project;
mod project_codes;
mod reduce;
mod rms_norm;
mod rotate;
mod silu_gate;
mod words;

pub use argmax::argmax;
pub use attend::{Softmax, attend};
pub use project::{MAX_VECTORS, project};
pub use project_codes::{Quantized, project_quantized};
pub use rms_norm::{add_rms_norm, rms_norm};
pub use rotate::rotate;
pub use silu_gate::silu_gate;

use burn::{
    backend::{Wgpu, cubecl::dtype_to_storage_type},
    tensor::{DType, Shape, Tensor},
};
use burn_cubecl::{
    kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor,
};
use cubecl::{CubeCount, ir::ElemType};

/// What the shape of a kernel depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Whether a CPU plays the adapter. It runs the cubes on its threads and the units of a cube one after the other, as
    /// many at once as fit a register, and what the units read it reads number by number.
    pub software: bool,
}

impl Machine {
    /// In a cube whose units have nothing to do with each other.
    fn units(self) -> usize {
        if self.software { 64 } else { 256 }
    }
}

/// A tensor on an adapter; `None` if it is elsewhere, or in a type that kernels do not read.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<CubeTensor> {
    let x = x.clone().try_into_primitive::<Wgpu>().ok()?;
    matches!(x.dtype, DType::F32 | DType::F16).then_some(x)
}

fn tensor<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(x)
}

/// A new tensor beside `x`, of its type.
fn empty(x: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (x.client.clone(), x.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), x.dtype)
}

/// The same in the shape of `x`.
fn like(x: &CubeTensor) -> CubeTensor {
    empty(x, x.meta.shape().clone())
}

fn elem(x: &CubeTensor) -> ElemType {
    dtype_to_storage_type(x.dtype)
}

/// How many numbers are read at once where rows have this many.
fn vector_size(row: usize) -> usize {
    let fits = |size: &usize| row.is_multiple_of(*size);
    [4, 2, 1].into_iter().find(fits).unwrap_or(1)
}

/// At least `cubes` cubes; WebGPU promises 65,535 along one axis.
fn count(cubes: usize) -> CubeCount {
    let across = cubes.min(1 << 15);
    CubeCount::Static(across as u32, cubes.div_ceil(across) as u32, 1)
}

/// `[batch, heads, seq, head_dim]` where it lies, in vectors.
struct Strided {
    tensor: CubeTensor,
    /// Of batch, heads and seq.
    strides: [usize; 3],
}

impl Strided {
    /// It is only copied if its vectors are not whole.
    fn of(x: CubeTensor, vector: usize) -> Self {
        let strides = x.meta.strides();
        let whole = strides[3] == 1 || x.meta.shape()[3] == 1;
        let fits = strides[..3]
            .iter()
            .all(|stride| stride.is_multiple_of(vector));
        let tensor = match whole && fits {
            true => x,
            false => into_contiguous(x),
        };
        let strides = [0, 1, 2].map(|axis| tensor.meta.strides()[axis] / vector);
        Self { tensor, strides }
    }
}
