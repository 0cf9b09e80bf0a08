//! Attention on flex: segments where they lie.

use std::ops::Range;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Int, Tensor, TensorData},
};
use bytemuck::{Pod, cast_slice, cast_slice_mut};
use glass_kernels::{
    self as cpu, Attention, Float, Int8View, Isa, Kept, KeyMask, Segment, Softmax, View, ViewMut,
    quant::{GROUP_SIZE, groups},
};
use half::{bf16, f16};

use super::{Floats, place, primitive, view};
use crate::{AttentionParams, KvSegment, KvTensor, TextKv};

pub fn attend(
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let positions = first_query..first_query + q.dims()[2];
    attend_all(q, &[TextKv { segments: segments.to_vec(), positions }], params)
}

pub fn attend_all(q: &Tensor<4>, texts: &[TextKv], params: &AttentionParams) -> Option<Tensor<4>> {
    let held: Vec<Text> = texts.iter().map(Text::of).collect::<Option<_>>()?;
    let q = Floats::where_it_lies(q)?;
    match &held.first()?.segments.first()?.k {
        HeldVectors::Q8 { .. } => attend_by(&q, &held, HeldVectors::int8s, params),
        HeldVectors::Float(k) => match k.dtype() {
            DType::F32 => attend_by(&q, &held, HeldVectors::floats::<f32>, params),
            DType::F16 => attend_by(&q, &held, HeldVectors::floats::<f16>, params),
            DType::BF16 => attend_by(&q, &held, HeldVectors::floats::<bf16>, params),
            _ => None,
        },
    }
}

/// The segments of a text where they lie.
struct Text {
    segments: Vec<Held>,
    positions: Range<usize>,
}

impl Text {
    fn of(text: &TextKv) -> Option<Self> {
        let segments = text.segments.iter().map(Held::of);
        Some(Self { segments: segments.collect::<Option<_>>()?, positions: text.positions.clone() })
    }
}

/// A segment where it lies.
struct Held {
    /// The queries as rotated for it alone.
    q: Option<Floats>,
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
    fn of(segment: &KvSegment) -> Option<Self> {
        let q = match &segment.q {
            Some(q) => Some(Floats::where_it_lies(q)?),
            None => None,
        };
        Some(Self { q, k: HeldVectors::of(&segment.k)?, v: HeldVectors::of(&segment.v)?, mask: segment.mask() })
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

/// The queries `q` `[batch, heads, tokens of all texts, head_dim]` of texts whose keys are seen by `view`.
fn attend_by<'a, K: Kept>(
    q: &'a Floats,
    texts: &'a [Text],
    view: impl Fn(&'a HeldVectors) -> Option<K>,
    params: &AttentionParams,
) -> Option<Tensor<4>> {
    let mut start = 0;
    let views = texts.iter().map(|text| {
        let tokens = start..start + text.positions.len();
        start = tokens.end;
        let segments = text.segments.iter().map(|held| {
            let of_all = || q.view().tokens(tokens.clone());
            let q = held.q.as_ref().map_or_else(of_all, Floats::view);
            Some(Segment { q, k: view(&held.k)?, v: view(&held.v)?, mask: held.mask })
        });
        segments.collect()
    });
    let views: Vec<Vec<Segment<'_, K>>> = views.collect::<Option<_>>()?;
    let sinks = match &params.sinks {
        Some(sinks) => Some(Floats::of(sinks)?),
        None => None,
    };
    let softmax = Softmax {
        scale: params.scale as f32,
        soft_cap: params.soft_cap.map(|cap| cap as f32),
        sinks: sinks.as_ref().map(Floats::values),
    };
    let shape @ [batch, heads, queries, head_dim] = q.shape();
    let mut out = vec![0.0_f32; shape.iter().product()];
    // In memory one token after the other, as the projection that comes next wants them.
    let width = heads * head_dim;
    let mut rest = &mut out[..];
    let attentions = texts.iter().zip(&views).map(|(text, segments)| {
        let tokens = text.positions.len();
        let (own, others) = std::mem::take(&mut rest).split_at_mut(batch * tokens * width);
        rest = others;
        let (shape, strides) = ([batch, heads, tokens, head_dim], [tokens * width, head_dim, width]);
        Attention { segments, first_query: text.positions.start, out: ViewMut::new(own, shape, strides) }
    });
    cpu::attend_all(Isa::best(), &mut attentions.collect::<Vec<_>>(), softmax);
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
