//! `silu(gate) * up`; one vector of numbers for each unit.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};

use super::{AdapterClass, elem, like, primitive, tensor, vector_size};

pub fn silu_gate<const D: usize>(class: AdapterClass, gate: &Tensor<D>, up: &Tensor<D>) -> Option<Tensor<D>> {
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
        silu_gate_kernel::launch_unchecked(
            &gate.client.clone(),
            super::count(vectors.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            vector,
            gate.clone().into_buffer_arg(),
            up.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            vectors,
            elem(&gate),
        );
    }
    Some(tensor(out))
}

#[cube(launch_unchecked)]
fn silu_gate_kernel<F: Float, N: Size>(
    gate: &[Vector<F, N>],
    up: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    vectors: usize,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < vectors {
        let one = Vector::<f32, N>::new(1.0f32);
        let gate = Vector::<f32, N>::cast_from(gate[ABSOLUTE_POS]);
        let up = Vector::<f32, N>::cast_from(up[ABSOLUTE_POS]);
        out[ABSOLUTE_POS] = Vector::cast_from(gate * up / (one + Vector::exp(-gate)));
    }
}
