//! Keys and values on flex, written to where a cache keeps them.

use std::ops::Range;

use burn::tensor::{DType, Element as BurnElement, Tensor};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Angles, Float, Isa, ViewMut};
use half::{bf16, f16};

use super::{Floats, OfTokens, attention::attend_to_slots, lent::LentMut, rotate};
use crate::{AttentionParams, RopeAngles, SeenSlots};

pub fn rotate_and_keep(
    [q, k, v]: [&Tensor<4>; 3],
    angles: &RopeAngles,
    held: [&mut Tensor<4>; 2],
    slot: usize,
) -> Option<Tensor<4>> {
    let tokens = 0..k.dims()[2];
    write([k, v], tokens.clone(), OfTokens::new(angles, tokens.len())?.angles(), held, slot)?;
    rotate(q, angles)
}

pub fn keep_and_attend(
    [q, k, v]: [&Tensor<4>; 3],
    angles: &RopeAngles,
    held: [&mut Tensor<4>; 2],
    slot: usize,
    seen: SeenSlots,
    params: &AttentionParams,
    kept: impl FnOnce(),
) -> Option<Tensor<3>> {
    let tokens = 0..k.dims()[2];
    let (q, by) = (Floats::where_it_lies(q)?, OfTokens::new(angles, tokens.len())?);
    let held = write([k, v], tokens, by.angles(), held, slot)?;
    kept();
    match held[0].dtype() {
        DType::F32 => attend_to_slots::<f32>(&q, by.angles(), &held, seen, params),
        DType::F16 => attend_to_slots::<f16>(&q, by.angles(), &held, seen, params),
        DType::BF16 => attend_to_slots::<bf16>(&q, by.angles(), &held, seen, params),
        _ => None,
    }
}

pub fn keep(kv: [&Tensor<4>; 2], tokens: Range<usize>, held: [&mut Tensor<4>; 2], slot: usize) -> Option<()> {
    write(kv, tokens, AS_THEY_ARE, held, slot).map(drop)
}

/// No pair is rotated.
const AS_THEY_ARE: Angles<'_> = Angles { table: &[], pairs: 0, interleaved: false };

/// Writes keys of these tokens, by these angles, and values `[1, kv_heads, tokens of all, head_dim]` to the slots of `held`
/// from `slot` on, `[1, kv_heads, capacity, head_dim]`. `None`: nothing was written.
fn write<'a>(
    [k, v]: [&Tensor<4>; 2],
    tokens: Range<usize>,
    angles: Angles<'_>,
    [keys, values]: [&'a mut Tensor<4>; 2],
    slot: usize,
) -> Option<[LentMut<'a>; 2]> {
    let [batch, kv_heads, _, head_dim] = k.dims();
    let ([.., capacity, _], dtype) = (keys.dims(), keys.dtype());
    let slots = [keys.dims(), values.dims()] == [[1, kv_heads, capacity, head_dim]; 2] && values.dtype() == dtype;
    let fits = batch == 1 && slots && v.dims() == k.dims() && slot + tokens.len() <= capacity;
    // Of another type they would be rounded to that first.
    let rounded_once = [k, v].iter().all(|x| [DType::F32, dtype].contains(&x.dtype()));
    let mut held = [LentMut::of(keys)?, LentMut::of(values)?];
    // Who else holds them would see them change.
    let whole = held.iter().all(|held| held.is_unique() && held.is_contiguous());
    if !fits || !rounded_once || !whole {
        return None;
    }
    let kv = [Floats::where_it_lies(k)?, Floats::where_it_lies(v)?];
    match dtype {
        DType::F32 => write_in::<f32>(&mut held, &kv, tokens, angles, slot)?,
        DType::F16 => write_in::<f16>(&mut held, &kv, tokens, angles, slot)?,
        DType::BF16 => write_in::<bf16>(&mut held, &kv, tokens, angles, slot)?,
        _ => return None,
    }
    Some(held)
}

fn write_in<T: Float + BurnElement + Pod>(
    held: &mut [LentMut<'_>; 2],
    kv: &[Floats<'_>; 2],
    tokens: Range<usize>,
    angles: Angles<'_>,
    slot: usize,
) -> Option<()> {
    for ((held, x), angles) in held.iter_mut().zip(kv).zip([angles, AS_THEY_ARE]) {
        let [_, kv_heads, capacity, head_dim] = held.layout().shape().dims();
        let first = held.layout().start_offset() + slot * head_dim;
        let strides = [kv_heads * capacity * head_dim, capacity * head_dim, head_dim];
        let slots = held.storage_mut::<T>()?.get_mut(first..)?;
        let x = x.view().tokens(tokens.clone());
        cpu::rotate(Isa::best(), x, angles, &mut ViewMut::new(slots, x.shape(), strides));
    }
    Some(())
}
