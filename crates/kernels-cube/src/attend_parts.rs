//! Attention to parts of the keys at a time, joined: few queries of few heads would leave most of a large adapter idle.

use burn_cubecl::tensor::CubeTensor;
use cubecl::{ir::ElemType, prelude::*};

use super::{AdapterClass, attend::LOWEST, elem};

/// Cubes that keep an adapter busy.
const CUBES: usize = 256;

/// Keys that are worth a cube of their own.
pub(super) const PART: usize = 512;

/// Parts of the keys of each query of each head; the last of them may be empty. As many for all texts that are worth it, so that
/// a token is launched with the numbers of the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts(pub usize);

impl Parts {
    /// For so many queries of heads, each of which sees so many keys at most.
    pub fn of(class: AdapterClass, cubes: usize, keys: usize) -> Self {
        // Software has few threads.
        let worth = if class.software || keys < 2 * PART { 1 } else { CUBES / cubes };
        Self(worth.max(1))
    }
}

/// Joins `from` `[rows * parts, vectors + 2]` to `out`, whose heads of tokens are the rows; vectors of so many numbers.
pub(super) fn join(
    class: AdapterClass,
    from: CubeTensor,
    parts: Parts,
    sinks: CubeTensor,
    has_sinks: bool,
    out: &CubeTensor,
    vector: usize,
) {
    let [_, _, heads, head_dim]: [usize; 4] = out.meta.shape().dims();
    let (all, units) = (out.meta.num_elements() / vector, class.units());
    let sink = elem(&sinks);
    // SAFETY: units beyond the end do nothing.
    unsafe {
        join_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(all.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            vector,
            from.into_buffer_arg(),
            sinks.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            all,
            head_dim / vector,
            heads,
            parts.0,
            has_sinks,
            sink,
            elem(out),
        );
    }
}

#[cube(launch_unchecked)]
fn join_kernel<S: Float, O: Float, N: Size>(
    from: &[Vector<f32, N>],
    sinks: &[S],
    out: &mut [Vector<O, N>],
    all: usize,
    vectors: usize,
    heads: usize,
    parts: usize,
    #[comptime] has_sinks: bool,
    #[define(S)] _sink_dtype: ElemType,
    #[define(O)] _out_dtype: ElemType,
) {
    if ABSOLUTE_POS < all {
        let (row, lane) = (ABSOLUTE_POS / vectors, ABSOLUTE_POS % vectors);
        let mut max = f32::new(LOWEST);
        let mut total = 0.0f32;
        let mut sum = Vector::<f32, N>::new(0.0f32);
        for part in 0..parts {
            let at = (row * parts + part) * (vectors + 2);
            let before = max;
            let own = from[at + vectors].extract(0usize);
            max = f32::max(before, own);
            let (old, new) = (f32::exp(before - max), f32::exp(own - max));
            total = total * old + from[at + vectors + 1].extract(0usize) * new;
            sum = sum * Vector::new(old) + from[at + lane] * Vector::new(new);
        }
        out[ABSOLUTE_POS] = Vector::cast_from(normalized::<S, N>(sum, total, max, sinks, row % heads, has_sinks));
    }
}

/// What a query finds: the sum of values by their weights, of which the highest score has 1, divided by all weights.
#[cube]
pub(super) fn normalized<S: Float, N: Size>(
    sum: Vector<f32, N>,
    total: f32,
    max: f32,
    sinks: &[S],
    head: usize,
    #[comptime] has_sinks: bool,
) -> Vector<f32, N> {
    let mut sum = sum;
    let mut total = total;
    if comptime!(has_sinks) {
        // One more score, without a value.
        let sink = f32::cast_from(sinks[head]);
        let most = f32::max(max, sink);
        let factor = f32::exp(max - most);
        total = total * factor + f32::exp(sink - most);
        sum *= Vector::new(factor);
    }
    // A query that sees nothing has summed nothing.
    let inverse = select(total > 0.0f32, 1.0f32 / total, 0.0f32);
    sum * Vector::new(inverse)
}

/// `tanh x` in its own formula: shaders promise no more than an absolute error of 1e-5.
#[cube]
pub(super) fn tanh(x: f32) -> f32 {
    let size = f32::max(x, -x);
    let power = f32::exp(-2.0f32 * size);
    let large = (1.0f32 - power) / (1.0f32 + power);
    // The series, where the difference above has lost digits.
    let square = size * size;
    let series = 1.0f32 - square * (0.333_333_34f32 - square * (0.133_333_34f32 - square * 0.053_968_254f32));
    let value = select(size < 0.25f32, size * series, large);
    select(x < 0.0f32, -value, value)
}
