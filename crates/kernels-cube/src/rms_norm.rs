//! RMSNorm, with or without a sum before it; one cube for each row.

use burn::tensor::Tensor;
use burn_cubecl::kernel::into_contiguous;
use cubecl::{ir::ElemType, prelude::*};

use glass_kernels::RmsNorm;

use super::{AdapterClass, elem, like, primitive, reduce, tensor, vector_size};

pub fn rms_norm<const D: usize>(
    class: AdapterClass,
    x: &Tensor<D>,
    weight: &Tensor<1>,
    norm: RmsNorm,
) -> Option<Tensor<D>> {
    let rows = Rows::of(class, x)?;
    let (x, weight) = (into_contiguous(primitive(x)?), into_contiguous(primitive(weight)?));
    let out = like(&x);
    // SAFETY: each cube stays in its row.
    unsafe {
        rms_norm_kernel::launch_unchecked(
            &x.client.clone(),
            rows.count(),
            CubeDim::new_1d(rows.units as u32),
            rows.vector,
            x.clone().into_buffer_arg(),
            weight.into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows.n,
            rows.len / rows.vector,
            norm.eps,
            rows.units,
            norm.plus_one,
            elem(&x),
        );
    }
    Some(tensor(out))
}

pub fn add_rms_norm<const D: usize>(
    class: AdapterClass,
    x: &Tensor<D>,
    delta: &Tensor<D>,
    weight: &Tensor<1>,
    norm: RmsNorm,
) -> Option<(Tensor<D>, Tensor<D>)> {
    let rows = Rows::of(class, x)?;
    let [x, delta] = [x, delta].map(primitive).map(|x| x.map(into_contiguous));
    let (x, delta, weight) = (x?, delta?, into_contiguous(primitive(weight)?));
    let (sum, out) = (like(&x), like(&x));
    // SAFETY: each cube stays in its row.
    unsafe {
        add_rms_norm_kernel::launch_unchecked(
            &x.client.clone(),
            rows.count(),
            CubeDim::new_1d(rows.units as u32),
            rows.vector,
            x.clone().into_buffer_arg(),
            delta.into_buffer_arg(),
            weight.into_buffer_arg(),
            sum.clone().into_buffer_arg(),
            out.clone().into_buffer_arg(),
            rows.n,
            rows.len / rows.vector,
            norm.eps,
            rows.units,
            norm.plus_one,
            elem(&x),
        );
    }
    Some((tensor(sum), tensor(out)))
}

/// How the work is cut.
struct Rows {
    n: usize,
    len: usize,
    vector: usize,
    units: usize,
}

impl Rows {
    /// `None` if there is nothing to do.
    fn of<const D: usize>(class: AdapterClass, x: &Tensor<D>) -> Option<Self> {
        let (len, all) = (x.dims()[D - 1], x.shape().num_elements());
        let vector = vector_size(len);
        let units = if class.software { 8 } else { 128 };
        (all > 0).then(|| Self { n: all / len, len, vector, units: units.min((len / vector).next_power_of_two()) })
    }

    fn count(&self) -> CubeCount {
        super::count(self.n)
    }
}

#[cube(launch_unchecked)]
fn rms_norm_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    out: &mut [Vector<F, N>],
    rows: usize,
    vectors: usize,
    eps: f32,
    #[comptime] units: usize,
    #[comptime] plus_one: bool,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS < rows {
        let row = CUBE_POS * vectors;
        let mut squares = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let value = Vector::<f32, N>::cast_from(x[row + at]);
            squares += value * value;
            at += units;
        }
        let root = root::<N>(squares, vectors, eps, units);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let normed = Vector::<f32, N>::cast_from(x[row + at]) * Vector::new(root);
            out[row + at] = Vector::cast_from(normed * factor::<F, N>(weight[at], plus_one));
            at += units;
        }
    }
}

#[cube(launch_unchecked)]
fn add_rms_norm_kernel<F: Float, N: Size>(
    x: &[Vector<F, N>],
    delta: &[Vector<F, N>],
    weight: &[Vector<F, N>],
    sum: &mut [Vector<F, N>],
    out: &mut [Vector<F, N>],
    rows: usize,
    vectors: usize,
    eps: f32,
    #[comptime] units: usize,
    #[comptime] plus_one: bool,
    #[define(F)] _dtype: ElemType,
) {
    if CUBE_POS < rows {
        let row = CUBE_POS * vectors;
        let mut squares = Vector::<f32, N>::new(0.0f32);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            let rounded = x[row + at] + delta[row + at];
            sum[row + at] = rounded;
            let value = Vector::<f32, N>::cast_from(rounded);
            squares += value * value;
            at += units;
        }
        let root = root::<N>(squares, vectors, eps, units);
        let mut at = UNIT_POS_X as usize;
        while at < vectors {
            // What this unit itself has written above.
            let normed = Vector::<f32, N>::cast_from(sum[row + at]) * Vector::new(root);
            out[row + at] = Vector::cast_from(normed * factor::<F, N>(weight[at], plus_one));
            at += units;
        }
    }
}

/// What a normed vector is multiplied by.
#[cube]
fn factor<F: Float, N: Size>(weight: Vector<F, N>, #[comptime] plus_one: bool) -> Vector<f32, N> {
    let weight = Vector::<f32, N>::cast_from(weight);
    if plus_one { Vector::<f32, N>::new(1.0f32) + weight } else { weight }
}

/// The factor of a row, from the squares that each unit has summed.
#[cube]
fn root<N: Size>(squares: Vector<f32, N>, vectors: usize, eps: f32, #[comptime] units: usize) -> f32 {
    let mut shared = Shared::<[f32]>::new_slice(units);
    shared[UNIT_POS_X as usize] = Vector::vector_sum(squares);
    reduce::sum(&mut shared, units, units, 1usize);
    let len = f32::cast_from(vectors * N::value());
    1.0f32 / f32::sqrt(shared[0] / len + eps)
}
