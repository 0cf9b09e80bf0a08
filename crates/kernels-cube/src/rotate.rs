//! RoPE; one vector of pairs for each unit.

use burn::tensor::{DType, Tensor};
use burn_cubecl::{kernel::into_contiguous, tensor::CubeTensor};
use cubecl::{ir::ElemType, prelude::*};

use super::{
    AdapterClass, Strided, elem, is_float,
    lent::Lent,
    like,
    place::{self, Place},
    primitive, tensor, vector_size,
};

/// What tokens are rotated by: pairs `(x[i], x[i + pairs])`, or `(x[2 i], x[2 i + 1])` if they are `interleaved`.
#[derive(Clone, Copy, Debug)]
pub struct Angles<'a> {
    /// Of each place the cosines of all pairs, and then their sines: `[batch or 1, places, 2 * pairs]`, float32
    pub table: &'a Tensor<3>,
    /// The place of the first token; others are behind it, one after the other.
    pub first: usize,
    pub interleaved: bool,
}

/// Numbers behind the pairs stay.
pub fn rotate(class: AdapterClass, x: &Tensor<4>, angles: &Angles<'_>) -> Option<Tensor<4>> {
    let angles = Prepared::of(angles, x.dims()[3])?;
    let x = Heads::of(x, &angles)?;
    let (out, units) = (like(&x.input.tensor), class.units());
    // SAFETY: units beyond the end do nothing.
    unsafe {
        rotate_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(x.units.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            angles.vector,
            x.input.tensor.clone().into_buffer_arg(),
            angles.table.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            x.layout(x.seq),
            angles.numbers(),
            angles.first,
            angles.interleaved,
            elem(&out),
        );
    }
    Some(tensor(out))
}

/// Queries, and keys and values that go to the slots from `slot` on of `held`, keys rotated: the rotated queries. If others hold
/// `held` too, or there is no kernel, nothing was written and there are no queries.
///
/// `q` `[1, heads, seq, head_dim]`, `k` and `v` `[1, kv_heads, seq, head_dim]`, `held` `[1, kv_heads, capacity, head_dim]` each
pub fn rotate_and_keep(
    class: AdapterClass,
    [q, k, v]: [&Tensor<4>; 3],
    angles: &Angles<'_>,
    held: [&mut Tensor<4>; 2],
    slot: usize,
) -> Option<Tensor<4>> {
    let [batch, kv_heads, seq, head_dim] = k.dims();
    let [.., capacity, _] = held[0].dims();
    let shapes = held.each_ref().map(|held| held.dims()) == [[1, kv_heads, capacity, head_dim]; 2];
    let fits = batch == 1 && shapes && slot + seq <= capacity && q.dims()[3] == head_dim && v.dims() == k.dims();
    let of_one_type = q.dtype() == k.dtype() && k.dtype() == v.dtype() && held[0].dtype() == held[1].dtype();
    let inputs = || {
        let angles = Prepared::of(angles, head_dim)?;
        let heads = [Heads::of(q, &angles)?, Heads::of(k, &angles)?, Heads::of(v, &angles)?];
        Some((Place::of(angles.first, &angles.table)?, angles, heads))
    };
    let (place, angles, [q, k, v]) = (fits && of_one_type).then(inputs).flatten()?;
    let [keys, values] = held.map(Lent::of);
    let (keys, values) = (keys?, values?);
    // Who else holds them would see them change.
    let whole = |held: &CubeTensor| is_float(held) && held.handle.can_mut() && held.is_contiguous();
    if !whole(&keys) || !whole(&values) {
        return None;
    }
    let (out, units) = (like(&q.input.tensor), class.units());
    let all = q.units + k.units + v.units;
    // From the place of a token to its slot, which is another only behind a text before or in a ring.
    let to_slot = (slot + capacity - angles.first % capacity) % capacity;
    // SAFETY: units beyond the end do nothing, and the slots are there.
    unsafe {
        rotate_and_keep_kernel::launch_unchecked(
            &out.client.clone(),
            super::count(all.div_ceil(units)),
            CubeDim::new_1d(units as u32),
            angles.vector,
            q.input.tensor.clone().into_buffer_arg(),
            k.input.tensor.clone().into_buffer_arg(),
            v.input.tensor.clone().into_buffer_arg(),
            angles.table.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            keys.clone().into_buffer_arg(),
            values.clone().into_buffer_arg(),
            place.high.into_buffer_arg(),
            place.low.into_buffer_arg(),
            q.layout(q.seq),
            k.layout(capacity),
            v.layout(capacity),
            angles.numbers(),
            capacity,
            to_slot,
            angles.interleaved,
            elem(&out),
            elem(&keys),
        );
    }
    Some(tensor(out))
}

/// [`Angles`] where they lie, and how they cut a head.
struct Prepared {
    table: CubeTensor,
    first: usize,
    interleaved: bool,
    /// Numbers that are read at once.
    vector: usize,
    /// Pairs of a head, and numbers behind them.
    half: usize,
    rest: usize,
}

impl Prepared {
    fn of(angles: &Angles<'_>, head_dim: usize) -> Option<Self> {
        let half = angles.table.dims()[2] / 2;
        let rest = head_dim - 2 * half;
        // Numbers of interleaved pairs are read one by one.
        let vector = if angles.interleaved { 1 } else { vector_size(half).min(vector_size(half + rest)) };
        let table = primitive(angles.table).filter(|table| table.dtype == DType::F32)?;
        let Angles { first, interleaved, .. } = *angles;
        Some(Self { table: into_contiguous(table), first, interleaved, vector, half, rest })
    }

    fn numbers(&self) -> TableLaunch {
        let [rows, places, _]: [usize; 3] = self.table.meta.shape().dims();
        TableLaunch::new(self.half / self.vector, self.rest / self.vector, rows, places)
    }
}

/// What is rotated, `[batch, heads, seq, head_dim]`.
struct Heads {
    input: Strided,
    heads: usize,
    seq: usize,
    /// A head of a token, in vectors.
    head: usize,
    /// Units that it takes: each has a vector of pairs, or one behind them.
    units: usize,
}

impl Heads {
    /// `None` if there is nothing to do.
    fn of(x: &Tensor<4>, angles: &Prepared) -> Option<Self> {
        let [batch, heads, seq, head_dim] = x.dims();
        let units = batch * heads * seq * (angles.half + angles.rest) / angles.vector;
        let head = head_dim / angles.vector;
        (units > 0).then_some(Self { input: Strided::of(primitive(x)?, angles.vector), heads, seq, head, units })
    }

    /// With the results in heads of so many slots.
    fn layout(&self, capacity: usize) -> LayoutLaunch {
        let [by_batch, by_head, by_token] = self.input.strides;
        LayoutLaunch::new(self.units, self.seq, self.heads, by_batch, by_head, by_token, capacity * self.head)
    }
}

/// Vectors of a head, and what the table has.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Table {
    half: usize,
    rest: usize,
    rows: usize,
    places: usize,
}

/// Where heads lie, and where the results go; in vectors.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Layout {
    units: usize,
    seq: usize,
    heads: usize,
    by_batch: usize,
    by_head: usize,
    by_token: usize,
    /// From a head's results to those of the next.
    to_head: usize,
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn rotate_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    angles: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    layout: Layout,
    table: Table,
    first: usize,
    #[comptime] interleaved: bool,
    #[define(F)] _dtype: ElemType,
) {
    if ABSOLUTE_POS < layout.units {
        turn::<F, F, N>(x, angles, out, ABSOLUTE_POS, &layout, &table, first, 0usize, interleaved);
    }
}

#[cube(launch_unchecked)]
#[allow(clippy::too_many_arguments)]
fn rotate_and_keep_kernel<F: Float, K: Float, N: Size>(
    q: &[Vector<F, N>],
    k: &[Vector<F, N>],
    v: &[Vector<F, N>],
    angles: &[Vector<f32, N>],
    out: &mut [Vector<F, N>],
    keys: &mut [Vector<K, N>],
    values: &mut [Vector<K, N>],
    high: &[u32],
    low: &[u32],
    of_q: Layout,
    of_k: Layout,
    of_v: Layout,
    table: Table,
    capacity: usize,
    to_slot: usize,
    #[comptime] interleaved: bool,
    #[define(F)] _dtype: ElemType,
    #[define(K)] _key_dtype: ElemType,
) {
    let first = place::position(high, low) as usize;
    let slot = (first + to_slot) % capacity;
    let (of_keys, of_values) = (of_q.units, of_q.units + of_k.units);
    if ABSOLUTE_POS < of_keys {
        turn::<F, F, N>(q, angles, out, ABSOLUTE_POS, &of_q, &table, first, 0usize, interleaved);
    } else if ABSOLUTE_POS < of_values {
        turn::<F, K, N>(k, angles, keys, ABSOLUTE_POS - of_keys, &of_k, &table, first, slot, interleaved);
    } else if ABSOLUTE_POS < of_values + of_v.units {
        let (from, to, pair) = places(ABSOLUTE_POS - of_values, &of_v, &table, slot);
        // Of both halves, or of what is behind them.
        if pair < table.half {
            values[to + pair] = Vector::cast_from(v[from + pair]);
        }
        values[to + table.half + pair] = Vector::cast_from(v[from + table.half + pair]);
    }
}

/// Where a unit's head begins and where its results do, and which of the head's vectors it has; the first token's go to `slot`.
#[cube]
fn places(at: usize, layout: &Layout, table: &Table, slot: usize) -> (usize, usize, usize) {
    // A head has `half` vectors of pairs, and `rest` others.
    let parts = table.half + table.rest;
    let vector = at / parts;
    let token = vector % layout.seq;
    let head = vector / layout.seq;
    let from = head / layout.heads * layout.by_batch + head % layout.heads * layout.by_head + token * layout.by_token;
    let to = head * layout.to_head + (slot + token) * (table.half + parts);
    (from, to, at % parts)
}

/// Rotates a vector of pairs, or copies one behind them; the first token's place in the table is `first`.
#[cube]
#[allow(clippy::too_many_arguments)]
fn turn<F: Float, O: Float, N: Size>(
    x: &[Vector<F, N>],
    angles: &[Vector<f32, N>],
    out: &mut [Vector<O, N>],
    at: usize,
    layout: &Layout,
    table: &Table,
    first: usize,
    slot: usize,
    #[comptime] interleaved: bool,
) {
    let half = table.half;
    let (from, to, pair) = places(at, layout, table, slot);
    if pair < half {
        let mut one = pair;
        let mut other = pair + half;
        if comptime!(interleaved) {
            one = 2 * pair;
            other = 2 * pair + 1;
        }
        let x_one = Vector::<f32, N>::cast_from(x[from + one]);
        let x_other = Vector::<f32, N>::cast_from(x[from + other]);
        let vector = at / (half + table.rest);
        let row = usize::min(vector / layout.seq / layout.heads, table.rows - 1);
        let angle = (row * table.places + first + vector % layout.seq) * 2 * half + pair;
        let (cos, sin) = (angles[angle], angles[angle + half]);
        // Kept in another type, it is rounded to its own first.
        let turned = Vector::<F, N>::cast_from(x_one * cos - x_other * sin);
        out[to + one] = Vector::cast_from(turned);
        let turned = Vector::<F, N>::cast_from(x_other * cos + x_one * sin);
        out[to + other] = Vector::cast_from(turned);
    } else {
        out[to + half + pair] = Vector::cast_from(x[from + half + pair]);
    }
}
