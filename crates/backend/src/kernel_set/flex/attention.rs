//! Attention on flex: segments where they lie.

use burn::{
    backend::flex::FlexTensor,
    tensor::{DType, Element as BurnElement, Tensor},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Float, Isa, KeyMask, Segment, Softmax, ViewMut};
use half::{bf16, f16};

use super::{Floats, primitive, view};
use crate::{AttentionParams, KvSegment};

pub fn attend(
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let segments: Vec<Held> = segments.iter().map(|segment| Held::of(q, segment)).collect::<Option<_>>()?;
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
        Some(Segment { q: self.q.view(), k: view(&self.k)?, v: view(&self.v)?, mask: self.mask })
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
