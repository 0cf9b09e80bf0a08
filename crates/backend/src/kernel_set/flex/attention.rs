//! Attention on flex: segments where they lie.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Int, Tensor, TensorData},
};
use bytemuck::{Pod, cast_slice, cast_slice_mut};
use glass_kernels::{
    self as cpu, Float, Int8View, Isa, Kept, KeyMask, Segment, Softmax, View, ViewMut,
    quant::{GROUP_SIZE, groups},
};
use half::{bf16, f16};

use super::{Floats, place, primitive, view};
use crate::{AttentionParams, KvSegment, KvTensor};

pub fn attend(
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let segments: Vec<Held> = segments.iter().map(|segment| Held::of(q, segment)).collect::<Option<_>>()?;
    match &segments.first()?.k {
        HeldVectors::Q8 { .. } => attend_by(&segments, HeldVectors::int8s, first_query, params),
        HeldVectors::Float(k) => match k.dtype() {
            DType::F32 => attend_by(&segments, HeldVectors::floats::<f32>, first_query, params),
            DType::F16 => attend_by(&segments, HeldVectors::floats::<f16>, first_query, params),
            DType::BF16 => attend_by(&segments, HeldVectors::floats::<bf16>, first_query, params),
            _ => None,
        },
    }
}

/// A segment where it lies.
struct Held {
    q: Floats,
    k: HeldVectors,
    v: HeldVectors,
    mask: KeyMask,
}

/// Keys or values where they lie.
enum HeldVectors {
    Float(FlexTensor),
    Q8 { words: FlexTensor, scales: FlexTensor, head_dim: usize },
}

impl Held {
    fn of(q: &Tensor<4>, segment: &KvSegment) -> Option<Self> {
        Some(Self {
            q: Floats::where_it_lies(segment.q.as_ref().unwrap_or(q))?,
            k: HeldVectors::of(&segment.k)?,
            v: HeldVectors::of(&segment.v)?,
            mask: segment.mask(),
        })
    }
}

impl HeldVectors {
    fn of(x: &KvTensor) -> Option<Self> {
        Some(match x {
            KvTensor::Float(x) => Self::Float(primitive(x)?),
            KvTensor::Q8(x) => Self::Q8 {
                words: x.words.clone().try_into_primitive::<Flex>().ok()?,
                scales: primitive(&x.scales)?,
                head_dim: x.head_dim,
            },
        })
    }

    fn floats<T: Float + BurnElement + Pod>(&self) -> Option<View<'_, T>> {
        match self {
            Self::Float(x) if x.dtype() == T::dtype() => view(x),
            _ => None,
        }
    }

    fn int8s(&self) -> Option<Int8View<'_>> {
        let Self::Q8 { words, scales, head_dim } = self else {
            return None;
        };
        let (from, [batch, heads, keys, count], strides) = place(words)?;
        const BYTES: usize = size_of::<i32>();
        let storage = words.storage::<i32>();
        let quants: &[i8] = cast_slice(&storage[from.min(storage.len())..]);
        let quants = View::new(quants, [batch, heads, keys, BYTES * count], strides.map(|stride| BYTES * stride));
        Some(Int8View::new(quants, view(scales)?, *head_dim))
    }
}

fn attend_by<'a, K: Kept>(
    segments: &'a [Held],
    view: impl Fn(&'a HeldVectors) -> Option<K>,
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let views = segments.iter().map(|held| {
        let (q, mask) = (held.q.view(), held.mask);
        Some(Segment { q, k: view(&held.k)?, v: view(&held.v)?, mask })
    });
    let views: Vec<Segment<'_, K>> = views.collect::<Option<_>>()?;
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

pub fn quantize_vectors(x: &Tensor<4>) -> Option<(Tensor<4, Int>, Tensor<4>)> {
    let [batch, heads, tokens, head_dim] = x.dims();
    let (vectors, groups, x) = (batch * heads * tokens, groups(head_dim), Floats::where_it_lies(x)?);
    let words = groups * GROUP_SIZE / size_of::<i32>();
    let (mut quants, mut scales) = (vec![0_i32; vectors * words], vec![0.0_f32; vectors * groups]);
    cpu::quantize_vectors(x.view(), cast_slice_mut(&mut quants), &mut scales);
    let quants = FlexTensor::from_data(TensorData::new(quants, [batch, heads, tokens, words]));
    let scales = FlexTensor::from_data(TensorData::new(scales, [batch, heads, tokens, groups]));
    Some((Tensor::from_primitive::<Flex>(quants), Tensor::from_primitive::<Flex>(scales)))
}
