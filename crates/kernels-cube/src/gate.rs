//! `act(gate) * up`; one vector of numbers for each unit.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};

use glass_kernels::Gate;

use super::{AdapterClass, elem, like, primitive, tensor, vector_size};

pub fn gate<const D: usize>(class: AdapterClass, kind: Gate, gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
    let all = gate.shape().num_elements();
    if all == 0 {
        return None;
    }
    let (gate, up) = (into_contiguous(primitive(gate)?), into_contiguous(primitive(up)?));
    let out = like(&gate);
    let vector = vector_size(all);
    let (vectors, units) = (all / vector, class.units());
    // SAFETY: units beyond the end do nothing.
    unsafe {
        gate_kernel::launch_unchecked(
            &gate.client.clone(),
            super::count(vectors.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            vector,
            gate.clone().into_buffer_arg(),
            up.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            vectors,
            kind == Gate::GeluTanh,
            elem(&gate),
        );
    }
    Some(tensor(out))
}

#[cube(launch_unchecked)]
fn gate_kernel<F: Float, N: Size>(
    gate: &[Vector<F, N>],
    up: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    vectors: usize,
    #[comptime] gelu: bool,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < vectors {
        let gate = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
        let up = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
        let mut gated = Vector::<f32, N>::empty();
        let size = N::value();
        #[unroll]
        for i in 0..size {
            gated.insert(i, gated_number(gate.extract(i), up.extract(i), gelu));
        }
        out[ABSOLUTE_POS] = Vector::cast_from(gated);
    }
}

/// `act(gate) * up` of two numbers, with `act(gate) = gate * sigmoid(s)` as in `glass_kernels::Gate`.
#[cube]
pub(super) fn gated_number(gate: f32, up: f32, #[comptime] gelu: bool) -> f32 {
    let s = if gelu { (gate + gate * gate * gate * 0.044715f32) * 1.5957692f32 } else { gate };
    gate * up / (1.0f32 + f32::exp(-s))
}
