//! Keys and values on flex, rotated and written to where a cache keeps them.

use burn::{
    backend::{Flex, flex::FlexTensor},
    tensor::{DType, Element as BurnElement, Tensor},
};
use bytemuck::Pod;
use glass_kernels::{self as cpu, Angles, Float, Isa, ViewMut};
use half::{bf16, f16};

use super::{Floats, rotate};
use crate::RopeAngles;

pub fn rotate_and_keep(
    [q, k, v]: [&Tensor<4>; 3],
    angles: &RopeAngles,
    held: [Tensor<4>; 2],
    slot: usize,
) -> (Option<Tensor<4>>, [Tensor<4>; 2]) {
    let [batch, kv_heads, seq, head_dim] = k.dims();
    let [.., capacity, _] = held[0].dims();
    let dtype = held[0].dtype();
    let shapes = held.each_ref().map(Tensor::dims) == [[1, kv_heads, capacity, head_dim]; 2];
    let fits = batch == 1 && shapes && slot + seq <= capacity && v.dims() == k.dims() && held[1].dtype() == dtype;
    // Of another type they would be rounded to that first.
    let rounded_once = [k, v].iter().all(|x| [DType::F32, dtype].contains(&x.dtype()));
    let inputs = || {
        let table = Floats::of(&angles.of_tokens(seq))?;
        Some((table, [Floats::where_it_lies(k)?, Floats::where_it_lies(v)?]))
    };
    let Some((table, kv)) = (fits && rounded_once).then(inputs).flatten() else {
        return (None, held);
    };
    let by = Angles { table: table.values(), pairs: angles.pairs(), interleaved: angles.interleaved };
    let mut held = held.map(|held| match held.try_into_primitive::<Flex>() {
        Ok(held) => held,
        Err(_) => unreachable!("a cache is where its keys are"),
    });
    // Who else holds them would see them change.
    let written = held.iter().all(|held| held.is_unique() && held.is_contiguous())
        && match dtype {
            DType::F32 => write::<f32>(&mut held, &kv, by, slot),
            DType::F16 => write::<f16>(&mut held, &kv, by, slot),
            DType::BF16 => write::<bf16>(&mut held, &kv, by, slot),
            _ => None,
        }
        .is_some();
    let queries = if written { rotate(q, angles) } else { None };
    (queries, held.map(Tensor::from_primitive::<Flex>))
}

/// Writes keys, by these angles, and values `[1, kv_heads, seq, head_dim]` to slots of `held` `[1, kv_heads, capacity, head_dim]`.
fn write<T: Float + BurnElement + Pod>(
    held: &mut [FlexTensor; 2],
    kv: &[Floats; 2],
    angles: Angles<'_>,
    slot: usize,
) -> Option<()> {
    let as_they_are = Angles { table: &[], pairs: 0, ..angles };
    for ((held, x), angles) in held.iter_mut().zip(kv).zip([angles, as_they_are]) {
        let [_, kv_heads, capacity, head_dim] = held.layout().shape().dims();
        let first = held.layout().start_offset() + slot * head_dim;
        let strides = [kv_heads * capacity * head_dim, capacity * head_dim, head_dim];
        let slots = held.try_storage_mut::<T>()?.get_mut(first..)?;
        cpu::rotate(Isa::best(), x.view(), angles, &mut ViewMut::new(slots, x.shape(), strides));
    }
    Some(())
}
