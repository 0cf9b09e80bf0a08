//! The kernels of graphics adapters, in CubeCL, on Burn's tensors.
//!
//! Each answers `None` where it does not compute: the caller then takes the plain tensor operations. Sizes that change from
//! step to step are arguments, never constants of a kernel: a software adapter takes a good part of a second to compile. What
//! differs from token to token is not even that (`place`).
//!
//! Reading order: [`matmul_t`], [`matmul_t_halves`], [`matmul_t_quantized`] and [`matmul_t_planes`] (most of a model's time) ·
//! [`Around`] and [`lay_together`] (fewer launches of these) · [`select_halves()`], [`select_quantized()`] and
//! [`select_planes()`] (embeddings) · [`rms_norm()`], [`gate()`], [`rotate()`] (small, but many) · [`attend()`] ·
//! [`selective_scan()`], [`linear_recurrence()`] and [`causal_conv()`] (what comes in place of attention) ·
//! [`argmax()`] and [`draw()`] (the next token).

mod argmax;
mod around;
mod attend;
mod attend_parts;
mod attend_tiles;
mod causal_conv;
mod draw;
mod gate;
mod gemv;
mod gemv_planes;
mod gemv_quantized;
mod gemv_words;
mod lent;
mod linear_recurrence;
mod mask;
mod place;
mod reduce;
mod rms_norm;
mod rotate;
mod select;
mod selective_scan;
mod together;
mod words;

pub use argmax::argmax;
pub use around::{Around, Then};
pub use attend::{Softmax, attend};
pub use causal_conv::causal_conv;
pub use draw::draw;
pub use gate::gate;
pub use gemv::{MAX_VECTORS, matmul_t};
pub use gemv_planes::{PlanesTensors, matmul_t_planes};
pub use gemv_quantized::{QuantizedTensors, matmul_t_quantized};
pub use gemv_words::{HalfTensors, matmul_t_halves};
pub use linear_recurrence::linear_recurrence;
pub use rms_norm::{add_rms_norm, rms_norm};
pub use rotate::{Angles, rotate, rotate_and_keep};
pub use select::{select_halves, select_planes, select_quantized};
pub use selective_scan::{SelectiveScan, selective_scan};
pub use together::lay_together;

use burn::{
    backend::{Wgpu, cubecl::dtype_to_storage_type},
    tensor::{BackendPrimitive, DType, Shape, Tensor, kind::Basic},
};
use burn_cubecl::{kernel::into_contiguous, ops::numeric::empty_device_contiguous_dtype, tensor::CubeTensor};
use cubecl::{CubeCount, ir::ElemType};

/// The kind of an adapter, which decides the shape of kernels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AdapterClass {
    /// Whether a CPU emulates the adapter. It runs cubes on its threads and the units of a cube one after the other, as many
    /// at once as fit a register, and loads number by number.
    pub software: bool,
}

impl AdapterClass {
    /// Units of a cube that do not depend on each other.
    fn units(self) -> usize {
        if self.software { 64 } else { 256 }
    }
}

/// A tensor on an adapter; `None` if it is elsewhere, or of a type that kernels do not read.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<CubeTensor> {
    adapter_tensor(x).filter(is_float)
}

fn is_float(x: &CubeTensor) -> bool {
    matches!(x.dtype, DType::F32 | DType::F16)
}

/// Kinds of tensors that lie on adapters as buffers.
pub trait OnAdapters: Basic + BackendPrimitive<Wgpu, Primitive = CubeTensor> {}

impl<K: Basic + BackendPrimitive<Wgpu, Primitive = CubeTensor>> OnAdapters for K {}

/// A tensor of any type on an adapter.
fn adapter_tensor<const D: usize, K: OnAdapters>(x: &Tensor<D, K>) -> Option<CubeTensor> {
    x.clone().try_into_primitive::<Wgpu>().ok()
}

fn tensor<const D: usize>(x: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Wgpu>(x)
}

/// A new tensor on the device of `x`, of its type.
fn empty(x: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    empty_of(x, shape, x.dtype)
}

/// The same of another type.
fn empty_of(x: &CubeTensor, shape: impl Into<Shape>, dtype: DType) -> CubeTensor {
    let (client, device) = (x.client.clone(), x.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), dtype)
}

/// A new tensor of the shape of `x`.
fn like(x: &CubeTensor) -> CubeTensor {
    empty(x, x.meta.shape().clone())
}

fn elem(x: &CubeTensor) -> ElemType {
    dtype_to_storage_type(x.dtype)
}

/// Numbers that are read at once where rows have this many.
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
    /// Strides of batch, heads and seq, in vectors.
    strides: [usize; 3],
}

impl Strided {
    /// Copies `x` only if its vectors are not whole.
    fn of(x: CubeTensor, vector: usize) -> Self {
        let strides = x.meta.strides();
        let whole = strides[3] == 1 || x.meta.shape()[3] == 1;
        let fits = strides[..3].iter().all(|stride| stride.is_multiple_of(vector));
        let tensor = if whole && fits { x } else { into_contiguous(x) };
        let strides = [0, 1, 2].map(|axis| tensor.meta.strides()[axis] / vector);
        Self { tensor, strides }
    }

    /// With what lies behind it in its buffer.
    fn unbounded(mut self) -> Self {
        self.tensor.handle.offset_end = None;
        self
    }
}
