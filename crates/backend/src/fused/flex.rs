//! The CPU kernels on flex's tensors: what lies where, and in which type.

mod quantized;

pub use quantized::{project_quantized, select};

use burn::{
    backend::{Flex, TensorMetadata, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Tensor, TensorData},
};
use bytemuck::Pod;
use half::{bf16, f16, slice::HalfFloatSliceExt};

use glass_kernels::{
    self as cpu, Angles, Float, Isa, KeyMask, Matrix, Segment, Softmax, View, ViewMut,
};

use crate::{AttentionParams, KvSegment};

pub fn rms_norm<const D: usize>(x: &Tensor<D>, weight: &Tensor<1>, eps: f64) -> Option<Tensor<D>> {
    let (x, weight) = (Floats::of(x)?, Floats::of(weight)?);
    let mut out = vec![0.0; x.values().len()];
    cpu::rms_norm(
        Isa::best(),
        x.values(),
        weight.values(),
        eps as f32,
        &mut out,
    );
    Some(x.like(out))
}

pub fn add_rms_norm<const D: usize>(
    x: &Tensor<D>,
    delta: &Tensor<D>,
    weight: &Tensor<1>,
    eps: f64,
) -> Option<(Tensor<D>, Tensor<D>)> {
    let (x, delta, weight) = (Floats::of(x)?, Floats::of(delta)?, Floats::of(weight)?);
    let mut sum = x.values().to_vec();
    let mut out = vec![0.0; sum.len()];
    let (delta, weight) = (delta.values(), weight.values());
    cpu::add_rms_norm(Isa::best(), &mut sum, delta, weight, eps as f32, &mut out);
    Some((x.like(sum), x.like(out)))
}

pub fn silu_gate<const D: usize>(gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
    let (gate, up) = (Floats::of(gate)?, Floats::of(up)?);
    let mut out = gate.values().to_vec();
    cpu::silu_gate(Isa::best(), &mut out, up.values());
    Some(gate.like(out))
}

pub fn rotate(x: &Tensor<4>, cos: &Tensor<4>, sin: &Tensor<4>) -> Option<Tensor<4>> {
    let (cos, sin) = (Floats::of(cos)?, Floats::of(sin)?);
    let angles = Angles {
        cos: cos.values(),
        sin: sin.values(),
    };
    let x = Floats::where_it_lies(x)?;
    let shape = x.shape();
    let mut out = vec![0.0_f32; shape.iter().product()];
    let [_, heads, seq, head_dim] = shape;
    let strides = [heads * seq * head_dim, seq * head_dim, head_dim];
    cpu::rotate(
        Isa::best(),
        x.view(),
        angles,
        &mut ViewMut::new(&mut out, shape, strides),
    );
    Some(x.like(out))
}

pub fn project(x: &Tensor<2>, weights: &[Tensor<2>]) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<FlexTensor> = weights.iter().map(primitive).collect::<Option<_>>()?;
    match weights.first()?.dtype() {
        DType::F32 => project_by::<f32>(x, &weights),
        DType::F16 => project_by::<f16>(x, &weights),
        DType::BF16 if x.dtype() == DType::BF16 => {
            // Processors that multiply bfloat16 take it as it is.
            let values = contiguous(primitive(x)?);
            let values = values.as_slice::<bf16>()?;
            multiply::<bf16>(x, &weights, |products| cpu::matmul_t_bf16(values, products))
        }
        DType::BF16 => project_by::<bf16>(x, &weights),
        _ => None,
    }
}

fn project_by<W: Float + BurnElement + Pod>(
    x: &Tensor<2>,
    weights: &[FlexTensor],
) -> Option<Vec<Tensor<2>>> {
    let values = Floats::of(x)?;
    multiply::<W>(x, weights, |products| {
        cpu::matmul_t(values.values(), products)
    })
}

/// Has `multiply` fill the products of `x` `[n, columns]` with each weight, and gives them the type of `x`.
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

pub fn attend(
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let segments: Vec<Held> = segments
        .iter()
        .map(|segment| Held::of(q, segment))
        .collect::<Option<_>>()?;
    match segments.first()?.k.dtype() {
        DType::F32 => attend_by::<f32>(&segments, first_query, params),
        DType::F16 => attend_by::<f16>(&segments, first_query, params),
        DType::BF16 => attend_by::<bf16>(&segments, first_query, params),
        _ => None,
    }
}

/// A segment where it lies.
struct Held {
    q: Floats,
    k: FlexTensor,
    v: FlexTensor,
    mask: KeyMask,
}

impl Held {
    fn of(q: &Tensor<4>, segment: &KvSegment) -> Option<Self> {
        Some(Self {
            q: Floats::where_it_lies(segment.q.as_ref().unwrap_or(q))?,
            k: primitive(&segment.k)?,
            v: primitive(&segment.v)?,
            mask: segment.mask(),
        })
    }

    fn view<T: Float + BurnElement + Pod>(&self) -> Option<Segment<'_, T>> {
        if self.k.dtype() != T::dtype() || self.v.dtype() != T::dtype() {
            return None;
        }
        Some(Segment {
            q: self.q.view(),
            k: view(&self.k)?,
            v: view(&self.v)?,
            mask: self.mask,
        })
    }
}

fn attend_by<T: Float + BurnElement + Pod>(
    segments: &[Held],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let views: Vec<Segment<'_, T>> = segments.iter().map(Held::view).collect::<Option<_>>()?;
    let sinks = match &params.sinks {
        Some(sinks) => Some(Floats::of(sinks)?),
        None => None,
    };
    let softmax = Softmax {
        scale: params.scale as f32,
        soft_cap: params.soft_cap.map(|cap| cap as f32),
        sinks: sinks.as_ref().map(Floats::values),
    };
    let q = &segments.first()?.q;
    let shape @ [batch, heads, queries, head_dim] = q.shape();
    let mut out = vec![0.0_f32; shape.iter().product()];
    // In memory one token after the other, as the projection that comes next wants them.
    let strides = [queries * heads * head_dim, head_dim, heads * head_dim];
    let mut to = ViewMut::new(&mut out, shape, strides);
    cpu::attend(Isa::best(), &views, first_query, softmax, &mut to);
    let by_token: Tensor<4> = q.shaped(out, [batch, queries, heads, head_dim]);
    Some(by_token.swap_dims(1, 2)) // [batch, heads, queries, head_dim]
}

fn contiguous(x: FlexTensor) -> FlexTensor {
    if x.is_contiguous() {
        x
    } else {
        x.to_contiguous()
    }
}

/// A tensor on flex; `None` if it is elsewhere.
fn primitive<const D: usize>(x: &Tensor<D>) -> Option<FlexTensor> {
    x.clone().try_into_primitive::<Flex>().ok()
}

/// `[batch, heads, seq, head_dim]` where it lies; `None` if the vectors of `head_dim` are not whole there.
fn view<T: Float + BurnElement + Pod>(x: &FlexTensor) -> Option<View<'_, T>> {
    let layout = x.layout();
    let shape: [usize; 4] = layout.shape().dims();
    let [batch, head, seq, inner] = *layout.strides() else {
        return None;
    };
    if inner != 1 && shape[3] > 1 {
        return None;
    }
    let stride = |stride: isize| usize::try_from(stride).ok();
    let strides = [stride(batch)?, stride(head)?, stride(seq)?];
    let from = layout.start_offset().min(x.storage::<T>().len());
    Some(View::new(&x.storage::<T>()[from..], shape, strides))
}

/// A tensor's numbers as float32: where they lie if that is what they are, and else converted.
struct Floats {
    tensor: FlexTensor,
    dtype: DType,
}

impl Floats {
    /// In the order of their indices.
    fn of<const D: usize>(x: &Tensor<D>) -> Option<Self> {
        let x = primitive(x)?;
        let dtype = x.dtype();
        Self::converted(contiguous(x), dtype)
    }

    /// `[batch, heads, seq, head_dim]` in any order, if the vectors of `head_dim` are whole.
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
            DType::F16 => {
                FlexTensor::from_data(TensorData::new(x.as_slice::<f16>()?.to_f32_vec(), shape))
            }
            DType::BF16 => {
                FlexTensor::from_data(TensorData::new(x.as_slice::<bf16>()?.to_f32_vec(), shape))
            }
            _ => return None,
        };
        Some(Self { tensor, dtype })
    }

    /// In the order of their indices.
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

    /// Results in the type of these numbers, and in their shape.
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
