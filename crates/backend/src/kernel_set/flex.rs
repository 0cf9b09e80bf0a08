//! The CPU kernels on flex's tensors: their layouts and types.

mod attention;
mod keep;
mod products;
mod quantized;
mod recurrence;
mod trained_scan;

pub use attention::{attend, attend_all, quantize_vectors};
pub use keep::{keep, keep_and_attend, rotate_and_keep};
pub use products::matmul_t;
pub use quantized::{matmul_t_blocks, matmul_t_panels, matmul_t_quantized, select};
pub use recurrence::{causal_conv, linear_recurrence, selective_scan, softplus};
pub use trained_scan::trained_scan;

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Shape, Tensor, TensorData},
};
use bytemuck::Pod;
use half::{bf16, f16, slice::HalfFloatSliceExt};

use glass_kernels::{self as cpu, Angles, Float, Gate, Isa, RmsNorm, View, ViewMut};

use crate::RopeAngles;

pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, norm: RmsNorm) -> Option<Tensor<D>> {
    let (x, weight) = (Floats::of(x)?, Floats::of(weight)?);
    let mut out = vec![0.0; x.values().len()];
    cpu::rms_norm(Isa::best(), x.values(), weight.values(), norm, &mut out);
    Some(x.like(out))
}

pub fn add_rms_norm<const D: usize>(
    x: &Tensor<D>,
    delta: &Tensor<D>,
    weight: &Tensor<1>,
    norm: RmsNorm,
) -> Option<(Tensor<D>, Tensor<D>)> {
    let (x, delta, weight) = (Floats::of(x)?, Floats::of(delta)?, Floats::of(weight)?);
    let mut sum = x.values().to_vec();
    let mut out = vec![0.0; sum.len()];
    let (delta, weight) = (delta.values(), weight.values());
    cpu::add_rms_norm(Isa::best(), &mut sum, delta, weight, norm, &mut out);
    Some((x.like(sum), x.like(out)))
}

pub fn gate<const D: usize>(kind: Gate, gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
    let (gate, up) = (Floats::of(gate)?, Floats::of(up)?);
    let mut out = gate.values().to_vec();
    cpu::gate(Isa::best(), kind, &mut out, up.values());
    Some(gate.like(out))
}

pub fn rotate(x: &Tensor<4>, angles: &RopeAngles) -> Option<Tensor<4>> {
    let table = angles.of_tokens(x.dims()[2]); // [batch or 1, seq, 2 * pairs]
    let table = Floats::of(&table)?;
    let angles = Angles { table: table.values(), pairs: angles.pairs(), interleaved: angles.interleaved };
    let x = Floats::where_it_lies(x)?;
    let shape = x.shape();
    let mut out = vec![0.0_f32; shape.iter().product()];
    let [_, heads, seq, head_dim] = shape;
    let strides = [heads * seq * head_dim, seq * head_dim, head_dim];
    cpu::rotate(Isa::best(), x.view(), angles, &mut ViewMut::new(&mut out, shape, strides));
    Some(x.like(out))
}

fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() { x } else { x.to_contiguous() }
}

/// A tensor on flex; `None` if it is elsewhere.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<FlexTensor> {
    x.clone().try_into_primitive::<Flex>().ok()
}

/// `[batch, heads, seq, head_dim]` where it lies; `None` if its vectors of `head_dim` are not whole.
fn view<T: BurnElement + Pod>(x: &FlexTensor) -> Option<View<'_, T>> {
    let (from, shape, strides) = place(x)?;
    let storage = x.storage::<T>();
    Some(View::new(&storage[from.min(storage.len())..], shape, strides))
}

/// Where a tensor begins in its memory, its shape, and the strides of all axes but the last, whose is 1.
fn place(x: &FlexTensor) -> Option<(usize, [usize; 4], [usize; 3])> {
    let layout = x.layout();
    let shape: [usize; 4] = layout.shape().dims();
    let [batch, head, seq, inner] = *layout.strides() else {
        return None;
    };
    if inner != 1 && shape[3] > 1 {
        return None;
    }
    let stride = |stride: isize| usize::try_from(stride).ok();
    Some((layout.start_offset(), shape, [stride(batch)?, stride(head)?, stride(seq)?]))
}

/// A tensor's numbers as float32: where they lie, or converted from 16 bits.
struct Floats {
    tensor: FlexTensor,
    dtype: DType,
}

impl Floats {
    /// Contiguous.
    fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        let x = primitive(x)?;
        let dtype = x.dtype();
        Self::converted(contiguous(x), dtype)
    }

    /// `[batch, heads, seq, head_dim]` with any strides, if the vectors of `head_dim` are whole.
    fn where_it_lies(x: &Tensor<4>) -> Option<Self> {
        let tensor = primitive(x)?;
        if tensor.dtype() == DType::F32 && view::<f32>(&tensor).is_some() {
            let dtype = DType::F32;
            Some(Self { tensor, dtype })
        } else {
            Self::of(x)
        }
    }

    /// The same through a norm, rounded as a tensor of their type is.
    fn normed(self, weight: &Tensor<1>, norm: RmsNorm) -> Option<Self> {
        let weight = Self::of(weight)?;
        let mut out = vec![0.0; self.values().len()];
        cpu::rms_norm(Isa::best(), self.values(), weight.values(), norm, &mut out);
        Self::converted(held(out, self.tensor.shape(), self.dtype), self.dtype)
    }

    fn converted(x: FlexTensor, dtype: DType) -> Option<Self> {
        let shape = x.layout().shape().clone();
        let tensor = match dtype {
            DType::F32 => x,
            DType::F16 => FlexTensor::from_data(TensorData::new(x.as_slice::<f16>()?.to_f32_vec(), shape)),
            DType::BF16 => FlexTensor::from_data(TensorData::new(x.as_slice::<bf16>()?.to_f32_vec(), shape)),
            _ => return None,
        };
        Some(Self { tensor, dtype })
    }

    /// All of them, contiguous.
    fn values(&self) -> &[f32] {
        match self.tensor.as_slice() {
            Some(values) => values,
            None => unreachable!("made contiguous"),
        }
    }

    fn view(&self) -> View<'_, f32> {
        match view(&self.tensor) {
            Some(view) => view,
            None => unreachable!("looked at, or made contiguous"),
        }
    }

    fn shape<const D: usize>(&self) -> [usize; D] {
        self.tensor.shape().dims()
    }

    /// Results in the type and the shape of these numbers.
    fn like<const D: usize>(&self, values: Vec<f32>) -> Tensor<D> {
        self.shaped(values, self.shape())
    }

    /// Results in the type of these numbers.
    fn shaped<const D: usize>(&self, values: Vec<f32>, shape: [usize; D]) -> Tensor<D> {
        floats(values, shape, self.dtype)
    }
}

/// Results in type `dtype`.
fn floats<const D: usize>(values: Vec<f32>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    Tensor::from_primitive::<Flex>(held(values, shape, dtype))
}

fn held(values: Vec<f32>, shape: impl Into<Shape>, dtype: DType) -> FlexTensor {
    FlexTensor::from_data(match dtype {
        DType::F16 => TensorData::new(narrowed::<f16>(&values), shape),
        DType::BF16 => TensorData::new(narrowed::<bf16>(&values), shape),
        _ => TensorData::new(values, shape),
    })
}

fn narrowed<T: Float + Default + Clone>(values: &[f32]) -> Vec<T> {
    let mut narrowed = vec![T::default(); values.len()];
    T::narrow(values, &mut narrowed);
    narrowed
}
