//! RoPE; one vector of pairs for each unit.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};

use super::{AdapterClass, Strided, elem, like, primitive, tensor, vector_size};

/// Of pairs `(x[i], x[i + pairs])`, or `(x[2 i], x[2 i + 1])` if they are `interleaved`; numbers behind the pairs stay.
pub fn rotate(
    class: AdapterClass,
    x: &Tensor<4>,
    cos: &Tensor<4>,
    sin: &Tensor<4>,
    interleaved: bool,
) -> Option<Tensor<4>> {
    let [batch, heads, seq, head_dim] = x.dims();
    let half = cos.dims()[3];
    let rest = head_dim - 2 * half;
    let all = batch * heads * seq * (half + rest);
    if all == 0 {
        return None;
    }
    // Numbers of interleaved pairs are read one by one.
    let vector = if interleaved { 1 } else { vector_size(half).min(vector_size(half + rest)) };
    let x = Strided::of(primitive(x)?, vector);
    let rows = cos.dims()[0];
    let (cos, sin) = (into_contiguous(primitive(cos)?), into_contiguous(primitive(sin)?));
    let out = like(&x.tensor);
    let (vectors, units) = (all / vector, class.units());
    let angles = elem(&cos);
    // SAFETY: units beyond the end do nothing.
    unsafe {
        rotate_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(vectors.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            vector,
            x.tensor.clone().into_buffer_arg(),
            cos.into_buffer_arg(),
            sin.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            vectors,
            half / vector,
            rest / vector,
            seq,
            heads,
            rows,
            x.strides[0],
            x.strides[1],
            x.strides[2],
            interleaved,
            elem(&x.tensor),
            angles,
        );
    }
    Some(tensor(out))
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn rotate_kernel<F: Float, A: Float, N: Size>(
    x: &[Vector<F, N>],
    cos: &[Vector<A, N>],
    sin: &[Vector<A, N>],
    out: &mut [Vector<F, N>],
    vectors: usize,
    half: usize,
    rest: usize,
    seq: usize,
    heads: usize,
    rows: usize,
    by_batch: usize,
    by_head: usize,
    by_token: usize,
    #[comptime] interleaved: bool,
    #[define(F)] _dtype: ElemType,
    #[define(A)] _angles: ElemType,
) {
    if ABSOLUTE_POS < vectors {
        // A head has `half` vectors of pairs, and `rest` others.
        let pair = ABSOLUTE_POS % (half + rest);
        let vector = ABSOLUTE_POS / (half + rest);
        let token = vector % seq;
        let head = vector / seq % heads;
        let batch = vector / seq / heads;
        let row = usize::min(batch, rows - 1);

        let from = batch * by_batch + head * by_head + token * by_token;
        let to = vector * (2 * half + rest);
        if pair < half {
            let mut one = pair;
            let mut other = pair + half;
            if comptime!(interleaved) {
                one = 2 * pair;
                other = 2 * pair + 1;
            }
            let first = Vector::<f32, N>::cast_from(x[from + one]);
            let second = Vector::<f32, N>::cast_from(x[from + other]);
            let angle = (row * seq + token) * half + pair;
            let cos = Vector::<f32, N>::cast_from(cos[angle]);
            let sin = Vector::<f32, N>::cast_from(sin[angle]);
            out[to + one] = Vector::cast_from(first * cos - second * sin);
            out[to + other] = Vector::cast_from(second * cos + first * sin);
        } else {
            out[to + half + pair] = x[from + half + pair];
        }
    }
}
