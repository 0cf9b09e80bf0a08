//! Keys and values on flex, written to where a cache keeps them.

use std::ops::Range;

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Tensor},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Angles, Float, Isa, ViewMut};
use half::{bf16, f16};

use super::{Floats, OfTokens, attention::attend_to_slots, rotate};
use crate::{AttentionParams, RopeAngles, SeenSlots};

pub fn rotate_and_keep(
    [q, k, v]: [&Tensor<4>; 3],
    angles: &RopeAngles,
    held: [Tensor<4>; 2],
    slot: usize,
) -> (Option<Tensor<4>>, [Tensor<4>; 2]) {
    let tokens = 0..k.dims()[2];
    let Some(by) = OfTokens::new(angles, tokens.len()) else { return (None, held) };
    let (written, held) = write([k, v], tokens, by.angles(), held, slot);
    let held = held.map(Tensor::from_primitive::<Flex>);
    (if written { rotate(q, angles) } else { None }, held)
}

pub fn keep_and_attend(
    [q, k, v]: [&Tensor<4>; 3],
    angles: &RopeAngles,
    held: [Tensor<4>; 2],
    slot: usize,
    seen: SeenSlots,
    params: &AttentionParams,
    kept: impl FnOnce(),
) -> (Option<Tensor<3>>, [Tensor<4>; 2]) {
    let tokens = 0..k.dims()[2];
    let Some((q, by)) = Floats::where_it_lies(q).zip(OfTokens::new(angles, tokens.len())) else {
        return (None, held);
    };
    let by = by.angles();
    let (written, held) = write([k, v], tokens, by, held, slot);
    let out = if written {
        kept();
        match held[0].dtype() {
            DType::F32 => attend_to_slots::<f32>(&q, by, &held, seen, params),
            DType::F16 => attend_to_slots::<f16>(&q, by, &held, seen, params),
            DType::BF16 => attend_to_slots::<bf16>(&q, by, &held, seen, params),
            _ => None,
        }
    } else {
        None
    };
    (out, held.map(Tensor::from_primitive::<Flex>))
}

pub fn keep(kv: [&Tensor<4>; 2], tokens: Range<usize>, held: [Tensor<4>; 2], slot: usize) -> (bool, [Tensor<4>; 2]) {
    let (written, held) = write(kv, tokens, AS_THEY_ARE, held, slot);
    (written, held.map(Tensor::from_primitive::<Flex>))
}

/// No pair is rotated.
const AS_THEY_ARE: Angles<'_> = Angles { table: &[], pairs: 0, interleaved: false };

/// Writes keys of these tokens, by these angles, and values `[1, kv_heads, tokens of all, head_dim]` to the slots of `held`
/// from `slot` on, `[1, kv_heads, capacity, head_dim]`. Whether it has, and `held` again.
fn write(
    [k, v]: [&Tensor<4>; 2],
    tokens: Range<usize>,
    angles: Angles<'_>,
    held: [Tensor<4>; 2],
    slot: usize,
) -> (bool, [FlexTensor; 2]) {
    let [batch, kv_heads, _, head_dim] = k.dims();
    let ([.., capacity, _], dtype) = (held[0].dims(), held[0].dtype());
    let slots = held.each_ref().map(Tensor::dims) == [[1, kv_heads, capacity, head_dim]; 2] && held[1].dtype() == dtype;
    let mut held = held.map(|held| match held.try_into_primitive::<Flex>() {
        Ok(held) => held,
        Err(_) => unreachable!("a cache is where its keys are"),
    });
    let fits = batch == 1 && slots && v.dims() == k.dims() && slot + tokens.len() <= capacity;
    // Of another type they would be rounded to that first.
    let rounded_once = [k, v].iter().all(|x| [DType::F32, dtype].contains(&x.dtype()));
    let inputs = || Some([Floats::where_it_lies(k)?, Floats::where_it_lies(v)?]);
    let Some(kv) = (fits && rounded_once).then(inputs).flatten() else { return (false, held) };
    // Who else holds them would see them change.
    let written = held.iter().all(|held| held.is_unique() && held.is_contiguous())
        && match dtype {
            DType::F32 => write_in::<f32>(&mut held, &kv, tokens, angles, slot),
            DType::F16 => write_in::<f16>(&mut held, &kv, tokens, angles, slot),
            DType::BF16 => write_in::<bf16>(&mut held, &kv, tokens, angles, slot),
            _ => None,
        }
        .is_some();
    (written, held)
}

fn write_in<T: Float + BurnElement + Pod>(
    held: &mut [FlexTensor; 2],
    kv: &[Floats<'_>; 2],
    tokens: Range<usize>,
    angles: Angles<'_>,
    slot: usize,
) -> Option<()> {
    for ((held, x), angles) in held.iter_mut().zip(kv).zip([angles, AS_THEY_ARE]) {
        let [_, kv_heads, capacity, head_dim] = held.layout().shape().dims();
        let first = held.layout().start_offset() + slot * head_dim;
        let strides = [kv_heads * capacity * head_dim, capacity * head_dim, head_dim];
        let slots = held.try_storage_mut::<T>()?.get_mut(first..)?;
        let x = x.view().tokens(tokens.clone());
        cpu::rotate(Isa::best(), x, angles, &mut ViewMut::new(slots, x.shape(), strides));
    }
    Some(())
}
