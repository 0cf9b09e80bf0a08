//! The CPU kernels on flex's tensors: their layouts and types.

mod attention;
mod quantized;
mod recurrence;

pub use attention::{attend, quantize_vectors};
pub use quantized::{matmul_t_blocks, matmul_t_quantized, select};
pub use recurrence::{causal_conv, linear_recurrence, selective_scan, softplus};

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Tensor, TensorData},
};
use bytemuck::Pod;
use half::{bf16, f16, slice::HalfFloatSliceExt};

use glass_kernels::{self as cpu, Angles, Float, Gate, Isa, Matrix, RmsNorm, View, ViewMut};

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

pub fn matmul_t(x: &Tensor<2>, weights: &[Tensor<2>]) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<FlexTensor> = weights.iter().map(primitive).collect::<Option<_>>()?;
    match weights.first()?.dtype() {
        DType::F32 => matmul_t_by::<f32>(x, &weights),
        DType::F16 => matmul_t_by::<f16>(x, &weights),
        DType::BF16 if x.dtype() == DType::BF16 => {
            // Processors that multiply bfloat16 take it as it is.
            let values = contiguous(primitive(x)?);
            let values = values.as_slice::<bf16>()?;
            multiply::<bf16>(x, &weights, |products| cpu::matmul_t_bf16(values, products))
        }
        DType::BF16 => matmul_t_by::<bf16>(x, &weights),
        _ => None,
    }
}

fn matmul_t_by<W: Float + BurnElement + Pod>(x: &Tensor<2>, weights: &[FlexTensor]) -> Option<Vec<Tensor<2>>> {
    let values = Floats::of(x)?;
    multiply::<W>(x, weights, |products| cpu::matmul_t(values.values(), products))
}

/// The products of `x` `[n, columns]` with each weight, which `multiply` computes, in the type of `x`.
fn multiply<W: BurnElement + Pod>(
    x: &Tensor<2>,
    weights: &[FlexTensor],
    multiply: impl FnOnce(&mut [(Matrix<'_, W>, &mut [f32])]),
) -> Option<Vec<Tensor<2>>> {
    let [n, columns] = x.dims();
    let matrix = |weight| Some(Matrix::new(FlexTensor::as_slice(weight)?, columns));
    let matrices: Vec<Matrix<'_, W>> = weights.iter().map(matrix).collect::<Option<_>>()?;
    let outputs = matrices.iter().map(|matrix| vec![0.0; n * matrix.rows()]);
    let mut outputs: Vec<Vec<f32>> = outputs.collect();
    let slices = outputs.iter_mut().map(Vec::as_mut_slice);
    multiply(&mut matrices.iter().copied().zip(slices).collect::<Vec<_>>());
    let shaped = outputs.into_iter().zip(&matrices);
    let shaped = shaped.map(|(out, matrix)| floats(out, [n, matrix.rows()], x.dtype()));
    Some(shaped.collect())
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
    let data = match dtype {
        DType::F16 => TensorData::new(narrowed::<f16>(&values), shape),
        DType::BF16 => TensorData::new(narrowed::<bf16>(&values), shape),
        _ => TensorData::new(values, shape),
    };
    Tensor::from_primitive::<Flex>(FlexTensor::from_data(data))
}

fn narrowed<T: Float + Default + Clone>(values: &[f32]) -> Vec<T> {
    let mut narrowed = vec![T::default(); values.len()];
    T::narrow(values, &mut narrowed);
    narrowed
}
