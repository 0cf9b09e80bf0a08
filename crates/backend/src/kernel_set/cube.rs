//! The kernels of a graphics adapter on what modules hold.

use burn::tensor::{DType, Int, Tensor};
use glass_kernels_cube::{self as cube, AdapterClass, HalfTensors, PlanesTensors, QuantizedTensors, SelectiveScan};

use crate::{
    Around, AttentionParams, BlockTensor, HalfTensor, KeyPositions, KvSegment, KvTensor, PlanarTensor, QuantizedTensor,
    RopeAngles, Scan, Then,
    quantized::{BlockStorage, Planes},
};

/// What is computed around products, as kernels take it.
pub fn around(around: Around<'_>) -> cube::Around<'_> {
    let then = match around.then {
        Then::Nothing => cube::Then::Nothing,
        Then::Add(residual) => cube::Then::Add(residual),
        Then::Gate(kind) => cube::Then::Gate(kind),
    };
    cube::Around { norm: around.norm, then }
}

/// Angles as kernels take them.
pub fn angles(angles: &RopeAngles) -> cube::Angles<'_> {
    cube::Angles { table: &angles.table, first: angles.first, interleaved: angles.interleaved }
}

pub fn matmul_t_quantized(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[&PlanarTensor],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<_> = weights.iter().map(|weight| planar(weight)).collect();
    cube::matmul_t_quantized(class, x, &weights, self::around(around))
}

pub fn matmul_t_blocks(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[&BlockTensor],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let weights = weights.iter().map(|weight| planes(weight)).collect::<Option<Vec<_>>>()?;
    cube::matmul_t_planes(class, x, &weights, self::around(around))
}

pub fn matmul_t_halves(
    class: AdapterClass,
    x: &Tensor<2>,
    weights: &[&HalfTensor],
    around: Around<'_>,
) -> Option<Vec<Tensor<2>>> {
    let weights: Vec<_> = weights.iter().map(|weight| halves(weight)).collect();
    cube::matmul_t_halves(class, x, &weights, self::around(around))
}

/// Rows of a matrix, or all of them.
pub fn select(class: AdapterClass, matrix: &QuantizedTensor, ids: Option<&Tensor<1, Int>>) -> Option<Tensor<2>> {
    match matrix {
        QuantizedTensor::Planar(matrix) => cube::select_quantized(class, &planar(matrix), ids, matrix.dtype),
        QuantizedTensor::Blocks(matrix) => cube::select_planes(class, &planes(matrix)?, ids, matrix.dtype),
        QuantizedTensor::Halves(matrix) => cube::select_halves(class, &halves(matrix), ids, DType::F32),
        QuantizedTensor::Panels(_) => None,
    }
}

fn halves(matrix: &HalfTensor) -> HalfTensors<'_> {
    HalfTensors { words: &matrix.words, dtype: matrix.dtype.burn(), columns: matrix.columns }
}

fn planar(matrix: &PlanarTensor) -> QuantizedTensors<'_> {
    QuantizedTensors {
        quants: &matrix.quants,
        scales: &matrix.scales,
        zero_points: matrix.zero_points.as_ref(),
        format: matrix.format,
        columns: matrix.columns,
    }
}

/// `None` if its blocks are held as they lie in a file.
fn planes(matrix: &BlockTensor) -> Option<PlanesTensors<'_>> {
    let BlockStorage::Planes(Planes { low, high, factors, scales }) = &matrix.storage else { return None };
    let high = high.as_ref();
    Some(PlanesTensors { low, high, factors, scales, format: matrix.format, columns: matrix.columns })
}

pub fn attend(
    class: AdapterClass,
    q: &Tensor<4>,
    segments: &[KvSegment],
    first_query: usize,
    params: &AttentionParams,
) -> Option<Tensor<3>> {
    let joined;
    let segment = match segments {
        [segment] => segment,
        _ => {
            joined = join(segments)?;
            &joined
        }
    };
    let out = cube::attend(
        class,
        segment.q.as_ref().unwrap_or(q),
        &segment.k.floats(),
        &segment.v.floats(),
        segment.mask(),
        first_query,
        cube::Softmax {
            scale: params.scale as f32,
            soft_cap: params.soft_cap.map(|cap| cap as f32),
            sinks: params.sinks.as_ref(),
        },
    )?;
    let [batch, heads, queries, head_dim] = out.dims();
    Some(out.swap_dims(1, 2).reshape([batch, queries, heads * head_dim]))
}

pub fn selective_scan(class: AdapterClass, scan: &Scan<'_>) -> Option<(Tensor<4>, Tensor<4>)> {
    let Scan { x, dt, a, b, c, d, state } = *scan;
    cube::selective_scan(class, &SelectiveScan { x, dt, a, b, c, d, state })
}

/// Segments as one, if they are runs that follow each other with the same mask and the same queries.
fn join(segments: &[KvSegment]) -> Option<KvSegment> {
    let (first, others) = segments.split_first()?;
    let KeyPositions::Run { first: start } = first.positions else {
        return None;
    };
    let mut next = start + first.keys();
    for segment in others {
        let follows = segment.positions == KeyPositions::Run { first: next };
        let alike = segment.first_key == first.first_key && segment.window == first.window;
        if !follows || !alike || segment.q.is_some() || first.q.is_some() {
            return None;
        }
        next += segment.keys();
    }
    let cat = |part: fn(&KvSegment) -> &KvTensor| {
        let parts = segments.iter().map(|segment| part(segment).clone());
        KvTensor::cat(parts.collect()) // [batch, kv_heads, keys of all, head_dim]
    };
    Some(KvSegment { k: cat(|segment| &segment.k), v: cat(|segment| &segment.v), ..first.clone() })
}
