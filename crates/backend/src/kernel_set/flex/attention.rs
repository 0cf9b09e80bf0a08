//! Attention on flex: segments where they lie.

use std::ops::Range;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Int, Tensor, TensorData},
};
use bytemuck::{Pod, cast_slice, cast_slice_mut};
use glass_kernels::{
    self as cpu, Angles, Attention, Float, Int8View, Isa, Kept, KeyMask, Scratch, Segment, Softmax, View, ViewMut,
    quant::{GROUP_SIZE, groups},
};
use half::{bf16, f16};

use super::{
    Floats,
    lent::{Lent, LentMut},
    output::{Output, round},
    place, view,
};
use crate::{AttentionParams, Few, KvSegment, KvTensor, SeenSlots, TextKv};

/// -> `[batch, queries, heads * head_dim]`
pub fn attend(
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<3>> {
    let positions = first_query..first_query + q.dims()[2];
    attend_to(q, &[Text::of(segments, positions)?], params)
}

/// -> `[1, tokens of all texts, heads * head_dim]`
pub fn attend_all(q: &Tensor<4>, texts: &[TextKv], params: &AttentionParams) -> Option<Tensor<3>> {
    let texts = texts.iter().map(|text| Text::of(&text.segments, text.positions.clone()));
    attend_to(q, &texts.collect::<Option<Vec<_>>>()?, params)
}

fn attend_to(q: &Tensor<4>, texts: &[Text<'_>], params: &AttentionParams) -> Option<Tensor<3>> {
    let q = Floats::where_it_lies(q)?;
    match &texts.first()?.segments.first()?.k {
        HeldVectors::Q8 { .. } => attend_by(&q, texts, HeldVectors::int8s, params),
        HeldVectors::Float(k) => match k.dtype() {
            DType::F32 => attend_by(&q, texts, HeldVectors::floats::<f32>, params),
            DType::F16 => attend_by(&q, texts, HeldVectors::floats::<f16>, params),
            DType::BF16 => attend_by(&q, texts, HeldVectors::floats::<bf16>, params),
            _ => None,
        },
    }
}

/// The segments of a text where they lie.
struct Text<'a> {
    segments: Few<Held<'a>>,
    positions: Range<usize>,
}

impl<'a> Text<'a> {
    fn of(segments: &'a [KvSegment], positions: Range<usize>) -> Option<Self> {
        Some(Self { segments: segments.iter().map(Held::of).collect::<Option<_>>()?, positions })
    }
}

/// A segment where it lies.
struct Held<'a> {
    /// The queries as rotated for it alone.
    q: Option<Floats<'a>>,
    k: HeldVectors<'a>,
    v: HeldVectors<'a>,
    mask: KeyMask,
}

/// Keys or values where they lie.
enum HeldVectors<'a> {
    Float(Lent<'a>),
    Q8 { words: Lent<'a>, scales: Lent<'a>, head_dim: usize },
}

impl<'a> Held<'a> {
    fn of(segment: &'a KvSegment) -> Option<Self> {
        let q = match &segment.q {
            Some(q) => Some(Floats::where_it_lies(q)?),
            None => None,
        };
        Some(Self { q, k: HeldVectors::of(&segment.k)?, v: HeldVectors::of(&segment.v)?, mask: segment.mask() })
    }
}

impl<'a> HeldVectors<'a> {
    fn of(x: &'a KvTensor) -> Option<Self> {
        Some(match x {
            KvTensor::Float(x) => Self::Float(Lent::of(x)?),
            KvTensor::Q8(x) => {
                Self::Q8 { words: Lent::of(&x.words)?, scales: Lent::of(&x.scales)?, head_dim: x.head_dim }
            }
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
fn attend_by<'t, 'h, K: Kept>(
    q: &Floats<'_>,
    texts: &'t [Text<'h>],
    view: impl Fn(&'t HeldVectors<'h>) -> Option<K>,
    params: &AttentionParams,
) -> Option<Tensor<3>> {
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
    let views: Few<Few<Segment<'_, K>>> = views.collect::<Option<_>>()?;
    let sinks = match &params.sinks {
        Some(sinks) => Some(Floats::of(sinks)?),
        None => None,
    };
    let [batch, heads, queries, head_dim] = q.shape();
    // In memory one token after the other, as the projection that comes next wants them.
    let width = heads * head_dim;
    let mut out = Output::new(q.dtype, [batch, queries, width]);
    let mut rest = out.values();
    let attentions = texts.iter().zip(&views).map(|(text, segments)| {
        let tokens = text.positions.len();
        let (own, others) = std::mem::take(&mut rest).split_at_mut(batch * tokens * width);
        rest = others;
        let (shape, strides) = ([batch, heads, tokens, head_dim], [tokens * width, head_dim, width]);
        Attention { segments, first_query: text.positions.start, out: ViewMut::new(own, shape, strides) }
    });
    cpu::attend_all(Isa::best(), &mut attentions.collect::<Few<_>>(), softmax(params, sinks.as_ref()));
    Some(out.tensor()) // [batch, queries, heads * head_dim]
}

/// What queries `[1, heads, queries, head_dim]`, rotated by these angles and rounded then, find in the slots of a cache.
///
/// -> `[1, queries, heads * head_dim]`
pub(super) fn attend_to_slots<T: Float + BurnElement + Pod>(
    q: &Floats<'_>,
    angles: Angles<'_>,
    held: &[LentMut<'_>; 2],
    seen: SeenSlots,
    params: &AttentionParams,
) -> Option<Tensor<3>> {
    let keys = 0..seen.keys;
    let [k, v] = [view::<T>(&held[0])?.tokens(keys.clone()), view::<T>(&held[1])?.tokens(keys)];
    let sinks = match &params.sinks {
        Some(sinks) => Some(Floats::of(sinks)?),
        None => None,
    };
    let shape @ [batch, heads, queries, head_dim] = q.shape();
    let width = heads * head_dim;
    let by_token = [queries * width, head_dim, width];
    let mut rotated = Scratch::of_any_values::<f32>(batch * queries * width);
    let rotated = &mut rotated.values_mut()[..batch * queries * width];
    cpu::rotate(Isa::best(), q.view(), angles, &mut ViewMut::new(rotated, shape, by_token));
    round(rotated, q.dtype);
    let segment = Segment { q: View::new(rotated, shape, by_token), k, v, mask: seen.mask() };
    let mut out = Output::new(q.dtype, [batch, queries, width]);
    let (softmax, mut to) = (softmax(params, sinks.as_ref()), ViewMut::new(out.values(), shape, by_token));
    cpu::attend(Isa::best(), &[segment], seen.first_query, softmax, &mut to);
    Some(out.tensor())
}

fn softmax<'a>(params: &AttentionParams, sinks: Option<&'a Floats<'_>>) -> Softmax<'a> {
    Softmax {
        scale: params.scale as f32,
        soft_cap: params.soft_cap.map(|cap| cap as f32),
        sinks: sinks.map(Floats::values),
    }
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
