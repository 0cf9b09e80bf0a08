//! Every kernel in both of its shapes, against those of the CPU, on whatever adapter there is.

mod argmax;
mod around;
mod draw;
mod quantized;
mod recurrence;

use std::sync::LazyLock;

use burn::tensor::{DType, Device as BurnDevice, Tensor, TensorData};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};

use glass_kernels::{Gate, RmsNorm};
use glass_kernels_cube::MAX_VECTORS;

use super::{AdapterClass, KernelBackend, KernelSet};
use crate::{Around, AttentionParams, Device, Dtype, KeyPositions, KvSegment, RopeAngles};

/// Numbers between -1 and 1; which ones depends on the seed alone.
fn numbers<const D: usize>(seed: u64, shape: [usize; D], device: &BurnDevice, dtype: DType) -> Tensor<D> {
    let number = |place: u64| {
        let mut x = (seed << 32 ^ place).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        x ^= x >> 29;
        x = x.wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let len: usize = shape.iter().product();
    let data = TensorData::new((0..len as u64).map(number).collect(), shape);
    Tensor::from_data(data, (device, dtype))
}

fn close<const D: usize>(
    what: &str,
    ours: Option<Tensor<D>>,
    theirs: Option<Tensor<D>>,
    sums: usize,
) -> Result<(), TestCaseError> {
    let (ours, theirs) = (ours.expect("a kernel"), theirs.expect("a kernel"));
    prop_assert_eq!(ours.dims(), theirs.dims(), "{}", what);
    prop_assert_eq!(ours.dtype(), theirs.dtype(), "{}", what);
    let unit = match ours.dtype() {
        DType::F32 => Dtype::F32,
        _ => Dtype::F16,
    };
    let read = |x: Tensor<D>| x.cast(DType::F32).into_data().try_to_vec::<f32>();
    let (ours, theirs) = (read(ours).expect("floats"), read(theirs).expect("floats"));
    let largest = theirs.iter().fold(1e-3f32, |max, x| max.max(x.abs()));
    // Some roundings to the type, and of the sums in float32.
    let allowed = 4.0 * unit.unit_roundoff() as f32 + (8 + sums) as f32 * 2f32.powi(-24);
    for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let off = (a - b).abs();
        prop_assert!(off <= allowed * largest, "{what}: {a} is not {b} at {at}");
    }
    Ok(())
}

static FLEX: LazyLock<Device> = LazyLock::new(|| Device::open("flex").expect("it is built in"));

/// The first adapter, as it is.
static ADAPTER: LazyLock<Device> = LazyLock::new(|| Device::open("wgpu").expect("an adapter"));

/// The same as the least that there may be.
static LEAST: LazyLock<Device> = LazyLock::new(|| Device::open_least_wgpu().expect("what WebGPU promises"));

fn device_of(burn: &BurnDevice) -> &'static Device {
    match burn {
        burn if burn == FLEX.burn() => &FLEX,
        burn if is_least(burn) => &LEAST,
        _ => &ADAPTER,
    }
}

/// Whether it is the least adapter, which is not there where there is none.
fn is_least(burn: &BurnDevice) -> bool {
    burn != FLEX.burn() && burn == LEAST.burn()
}

/// Whether it has float16: burn asks the adapter, and not the device.
fn halves(device: &BurnDevice) -> bool {
    device_of(device).dtypes().contains(&Dtype::F16)
}

/// Both shapes of the kernels on the first adapter and on the least, in each of its types, `cases` times.
fn on_adapter<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(KernelSet, &BurnDevice, DType, S::Value) -> Result<(), TestCaseError>,
) {
    match Device::open("wgpu") {
        Ok(_) => {}
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("not tested on wgpu: {error}"),
    }
    for (device, cases) in [(&*ADAPTER, cases), (&*LEAST, cases.div_ceil(3))] {
        for software in [true, false] {
            let kernels = KernelSet { backend: Some(KernelBackend::Cube(AdapterClass { software })), trains: false };
            on(kernels, device, cases, strategy, |dtype, value| check(kernels, device.burn(), dtype, value));
        }
    }
}

/// The same on the CPU, and then on the adapter.
fn on_both<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(KernelSet, &BurnDevice, DType, S::Value) -> Result<(), TestCaseError>,
) {
    on(CPU, &FLEX, cases, strategy, |dtype, value| check(CPU, FLEX.burn(), dtype, value));
    on_adapter(cases, strategy, check);
}

/// In each type of a device.
fn on<S: Strategy>(
    kernels: KernelSet,
    device: &Device,
    cases: u32,
    strategy: &S,
    check: impl Fn(DType, S::Value) -> Result<(), TestCaseError>,
) {
    for dtype in device.dtypes() {
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let outcome = runner.run(strategy, |value| check(dtype.burn(), value));
        outcome.unwrap_or_else(|error| panic!("{kernels:?}, {dtype}: {error}"));
    }
}

/// Numbers of vectors. Each power of two is kernels of their own, which software compiles in a second: large ones are rare.
fn vectors() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(1), 2 => 2usize..=4, 1 => 5usize..=MAX_VECTORS]
}

const CPU: KernelSet = KernelSet { backend: Some(KernelBackend::Flex), trains: false };

#[test]
fn matmul_t_is_that_of_the_cpu() {
    // Rows that can be read in words, and others; one vector, and several.
    let columns = prop_oneof![1usize..300, (1usize..20).prop_map(|steps| 16 * steps)];
    let strategy = (vectors(), columns, 1usize..150, 1usize..40);
    on_adapter(60, &strategy, |kernels, device, dtype, (n, columns, rows, more)| {
        let products = |kernels: KernelSet, device: &BurnDevice| {
            let x = numbers(1, [columns, n], device, dtype).transpose();
            let weights = [rows, more].map(|rows| numbers(2, [rows, columns], device, dtype));
            kernels.matmul_t(&x, &weights.each_ref(), Around::default()).expect("a kernel")
        };
        let (ours, theirs) = (products(kernels, device), products(CPU, &BurnDevice::flex()));
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            close("product", Some(ours), Some(theirs), columns)?;
        }
        Ok(())
    });
}

#[test]
fn norms_and_gates_are_those_of_the_cpu() {
    let strategy = (1usize..4, 1usize..20, 1usize..600, 0u64..9);
    on_adapter(30, &strategy, |kernels, device, dtype, (batch, seq, hidden, seed)| {
        let outputs = |kernels: KernelSet, device: &BurnDevice| {
            let input = |seed| numbers(seed, [seq, batch, hidden], device, dtype).swap_dims(0, 1);
            let (x, delta) = (input(seed), input(seed + 10));
            let weight = numbers(seed + 20, [hidden], device, dtype);
            let norm = RmsNorm { eps: 1e-5, plus_one: seed % 2 == 0 };
            let (sum, normed) = kernels.add_rms_norm(&x, &delta, &weight, norm)?;
            let norm = kernels.rms_norm(&x, &weight, norm)?;
            let gate = if seed % 3 == 0 { Gate::GeluTanh } else { Gate::Silu };
            Some([sum, normed, norm, kernels.gate(gate, &(x * 9.0), &delta)?])
        };
        let ours = outputs(kernels, device).expect("kernels");
        let theirs = outputs(CPU, &BurnDevice::flex()).expect("kernels");
        let names = ["sum", "norm of the sum", "norm", "gate"];
        for ((ours, theirs), name) in ours.into_iter().zip(theirs).zip(names) {
            close(name, Some(ours), Some(theirs), hidden)?;
        }
        Ok(())
    });
}

#[test]
fn rotate_is_that_of_the_cpu() {
    let half = select(vec![1usize, 2, 3, 5, 8, 32, 40]);
    let pairs = (half, select(vec![0usize, 0, 1, 4, 6]), prop::bool::ANY);
    let strategy = (1usize..4, 1usize..7, 1usize..20, pairs, prop::bool::ANY, prop::option::of(0usize..30));
    on_adapter(30, &strategy, |kernels, device, dtype, (batch, heads, seq, (half, rest, interleaved), alike, from)| {
        let turned = |kernels: KernelSet, device: &BurnDevice| {
            let x = numbers(1, [batch, seq, heads, 2 * half + rest], device, dtype).swap_dims(1, 2);
            let rows = if alike { 1 } else { batch };
            kernels.rotate(&x, &angles(from, [rows, seq, half], interleaved, device))
        };
        close("rotated", turned(kernels, device), turned(CPU, &BurnDevice::flex()), 2)
    });
}

/// Angles of these tokens alone, or from a place on of a longer table.
fn angles(from: Option<usize>, [rows, seq, half]: [usize; 3], interleaved: bool, device: &BurnDevice) -> RopeAngles {
    let places = from.map_or(seq, |first| first + seq + 2);
    let table = numbers(2, [rows, places, 2 * half], device, DType::F32);
    RopeAngles { table: table.into(), first: from.unwrap_or(0), interleaved }
}

#[test]
fn attend_is_that_of_the_cpu() {
    // So many that GPUs read parts of them at a time, too.
    let keys = prop_oneof![4 => 1usize..400, 1 => 1000usize..2500];
    attends_as_the_cpu(24, (1usize..=8, keys, select(vec![1usize, 6, 7, 16, 64, 80])));
}

/// Tiles that are not full, and heads that are not; a prompt, or a chunk of one behind others.
#[test]
fn attend_in_tiles_is_that_of_the_cpu() {
    let keys = prop_oneof![3 => 1usize..200, 1 => 400usize..700];
    attends_as_the_cpu(9, (9usize..150, keys, select(vec![6usize, 20, 64, 192, 256])));
}

/// Queries, keys, and numbers of a head.
fn attends_as_the_cpu(cases: u32, sizes: impl Strategy<Value = (usize, usize, usize)>) {
    let window = prop_oneof![Just(None), (1usize..300).prop_map(Some)];
    let mask = (prop::bool::ANY, 0usize..500, 0usize..40, 0usize..200, window);
    let softmax = (prop::option::of(0.5..40.0), prop::option::of(-4.0f32..4.0));
    let strategy = ((1usize..4, 1usize..4, 1usize..4), sizes, 0usize..40, mask, softmax);
    on_adapter(cases, &strategy, |kernels, device, dtype, (shape, sizes, from, mask, (soft_cap, sink))| {
        let ((batch, kv_heads, groups), (queries, keys, head_dim)) = (shape, sizes);
        let (ring, first_query, back, first_key, window) = mask;
        let heads = kv_heads * groups;
        let first_query = if keys < 400 { first_query } else { first_query + keys };
        // Near the queries or far from them; some see nothing.
        let end = first_query + queries + 3;
        let positions = if ring {
            KeyPositions::Ring { end: end.saturating_sub(back), len: keys }
        } else {
            KeyPositions::Run { first: end.saturating_sub(back + keys) }
        };
        let attended = |kernels: KernelSet, device: &BurnDevice, cut: Option<usize>| {
            let q = numbers(1, [batch, queries, heads, head_dim], device, dtype).swap_dims(1, 2);
            let room = [batch, kv_heads, from + keys + 5, head_dim];
            let held = |seed| numbers(seed, room, device, dtype).narrow(2, from, keys);
            let whole = KvSegment {
                first_key: if first_key > 100 { 0 } else { first_key },
                window,
                ..KvSegment::new(held(2), held(3), positions)
            };
            let params = AttentionParams {
                scale: 0.7,
                soft_cap,
                sinks: sink.map(|sink| numbers(4, [heads], device, dtype) + sink),
            };
            let segments = match (cut, positions) {
                (Some(cut), KeyPositions::Run { first }) => {
                    let part = |start: usize, len: usize| KvSegment {
                        k: whole.k.clone().narrow(start, len),
                        v: whole.v.clone().narrow(start, len),
                        positions: KeyPositions::Run { first: first + start },
                        ..whole.clone()
                    };
                    vec![part(0, cut), part(cut, keys - cut)]
                }
                _ => vec![whole],
            };
            kernels.attend(&q, &segments, first_query, &params)
        };
        let theirs = attended(CPU, &BurnDevice::flex(), None);
        let roundings = head_dim + keys + if soft_cap.is_some() { 50 } else { 0 };
        let ours = attended(kernels, device, None);
        close("attention", ours, theirs.clone(), roundings)?;
        // Runs that follow each other are one.
        if keys > 1 {
            let ours = attended(kernels, device, Some(keys / 2));
            close("attention in two segments", ours, theirs, roundings)?;
        }
        Ok(())
    });
}

#[test]
fn segments_of_different_masks_have_no_kernel() {
    on_adapter(1, &Just(()), |kernels, device, dtype, ()| {
        let segment = |first, window| KvSegment {
            window,
            ..KvSegment::new(
                numbers(1, [1, 1, 4, 8], device, dtype),
                numbers(2, [1, 1, 4, 8], device, dtype),
                KeyPositions::Run { first },
            )
        };
        let q = numbers(3, [1, 2, 1, 8], device, dtype);
        let params = AttentionParams { scale: 1.0, soft_cap: None, sinks: None };
        let attend = |segments: &[KvSegment]| kernels.attend(&q, segments, 9, &params).is_some();
        prop_assert!(attend(&[segment(0, None), segment(4, None)]));
        prop_assert!(!attend(&[segment(0, None), segment(5, None)]), "a gap");
        prop_assert!(!attend(&[segment(0, None), segment(4, Some(3))]), "two windows");
        let mut own = segment(4, None);
        own.q = Some(q.clone());
        prop_assert!(!attend(&[segment(0, None), own]), "queries of its own");
        prop_assert!(!attend(&[]));
        Ok(())
    });
}

#[test]
fn matmul_t_reads_every_float16() {
    on_adapter(1, &Just(()), |kernels, device, _, ()| {
        if !halves(device) {
            return Ok(());
        }
        let finite = |bits: &u16| half::f16::from_bits(*bits).is_finite();
        let all: Vec<half::f16> = (0..=u16::MAX).filter(finite).map(half::f16::from_bits).collect();
        let columns = 16;
        let rows = all.len() / columns;
        let matrix = TensorData::new(all.clone(), [rows, columns]);
        let matrix = Tensor::<2>::from_data(matrix, (device, DType::F16));
        for column in 0..columns {
            let one: Vec<f32> = (0..columns).map(|i| f32::from(i == column)).collect();
            let one = TensorData::new(one, [1, columns]);
            let one = Tensor::<2>::from_data(one, (device, DType::F16));
            let products = kernels.matmul_t(&one, &[&matrix], Around::default());
            let ours = products.expect("a kernel").swap_remove(0).into_data();
            let ours = ours.try_to_vec::<half::f16>().expect("halves");
            let theirs = all.iter().skip(column).step_by(columns);
            for (ours, theirs) in ours.iter().zip(theirs) {
                prop_assert!(ours == theirs, "{ours} is not {theirs}");
            }
        }
        for odd in [half::f16::INFINITY, half::f16::NAN] {
            let row = TensorData::new(vec![odd; columns], [1, columns]);
            let row = Tensor::<2>::from_data(row, (device, DType::F16));
            let products = kernels.matmul_t(&row.ones_like(), &[&row], Around::default());
            let ours = products.expect("a kernel").swap_remove(0).into_data();
            let ours = ours.try_to_vec::<half::f16>().expect("halves");
            prop_assert!(ours[0] == odd || ours[0].is_nan() && odd.is_nan());
        }
        Ok(())
    });
}
