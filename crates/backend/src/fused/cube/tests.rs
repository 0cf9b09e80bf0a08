//! Every kernel in both of its shapes, against those of the CPU, on whatever adapter there is.

use burn::tensor::{DType, Device as BurnDevice, Int, Tensor, TensorData};
use proptest::{
    prelude::*,
    sample::select,
    test_runner::{TestCaseError, TestRunner},
};

use super::{CodedRef, Machine};
use crate::{
    Device, Dtype, Visible,
    fused::{Family, Fused, cube::project::MOST},
};

/// Numbers between -1 and 1; which ones depends on the seed alone.
fn numbers<const D: usize>(
    seed: u64,
    shape: [usize; D],
    device: &BurnDevice,
    dtype: DType,
) -> Tensor<D> {
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
    let largest = theirs.iter().fold(1e-3f32, |most, x| most.max(x.abs()));
    // Some roundings to the type, and of the sums in float32.
    let allowed = 4.0 * unit.unit_roundoff() as f32 + (8 + sums) as f32 * 2f32.powi(-24);
    for (at, (a, b)) in ours.iter().zip(&theirs).enumerate() {
        let off = (a - b).abs();
        prop_assert!(off <= allowed * largest, "{what}: {a} is not {b} at {at}");
    }
    Ok(())
}

/// Both shapes of the kernels on the first adapter, in each of its types, `cases` times.
fn on_adapter<S: Strategy>(
    cases: u32,
    strategy: &S,
    check: impl Fn(Fused, &BurnDevice, DType, S::Value) -> Result<(), TestCaseError>,
) {
    let device = match Device::open("wgpu") {
        Ok(device) => device,
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => return eprintln!("not tested on wgpu: {error}"),
    };
    for software in [true, false] {
        let fused = Fused(Some(Family::Cube(Machine { software })));
        for dtype in device.dtypes() {
            let mut runner = TestRunner::new(ProptestConfig {
                cases,
                failure_persistence: None,
                ..ProptestConfig::default()
            });
            let check = |value| check(fused, device.burn(), dtype.burn(), value);
            let outcome = runner.run(strategy, check);
            outcome.unwrap_or_else(|error| panic!("software: {software}, {dtype}: {error}"));
        }
    }
}

const CPU: Fused = Fused(Some(Family::Flex));

#[test]
fn projections() {
    // Rows that can be read in words, and others; one vector, and several.
    let columns = prop_oneof![1usize..300, (1usize..20).prop_map(|steps| 16 * steps)];
    let n = prop_oneof![Just(1), 1usize..=MOST];
    let strategy = (n, columns, 1usize..150, 1usize..40);
    on_adapter(
        60,
        &strategy,
        |fused, device, dtype, (n, columns, rows, more)| {
            let products = |fused: Fused, device: &BurnDevice| {
                let x = numbers(1, [columns, n], device, dtype).transpose();
                let weights = [rows, more].map(|rows| numbers(2, [rows, columns], device, dtype));
                fused.project(&x, &weights).expect("a kernel")
            };
            let (ours, theirs) = (products(fused, device), products(CPU, &BurnDevice::flex()));
            for (ours, theirs) in ours.into_iter().zip(theirs) {
                close("product", Some(ours), Some(theirs), columns)?;
            }
            Ok(())
        },
    );
}

#[test]
fn rows_and_numbers() {
    let strategy = (1usize..4, 1usize..20, 1usize..600, 0u64..9);
    on_adapter(
        30,
        &strategy,
        |fused, device, dtype, (batch, seq, hidden, seed)| {
            let outputs = |fused: Fused, device: &BurnDevice| {
                let input =
                    |seed| numbers(seed, [seq, batch, hidden], device, dtype).swap_dims(0, 1);
                let (x, delta) = (input(seed), input(seed + 10));
                let weight = numbers(seed + 20, [hidden], device, dtype);
                let (sum, normed) = fused.add_rms_norm(&x, &delta, &weight, 1e-5)?;
                let norm = fused.rms_norm(&x, &weight, 1e-5)?;
                Some([sum, normed, norm, fused.silu_gate(&(x * 9.0), &delta)?])
            };
            let ours = outputs(fused, device).expect("kernels");
            let theirs = outputs(CPU, &BurnDevice::flex()).expect("kernels");
            let names = ["sum", "norm of the sum", "norm", "gate"];
            for ((ours, theirs), name) in ours.into_iter().zip(theirs).zip(names) {
                close(name, Some(ours), Some(theirs), hidden)?;
            }
            Ok(())
        },
    );
}

#[test]
fn rotations() {
    let half = select(vec![1usize, 2, 3, 5, 8, 32, 40]);
    let strategy = (1usize..4, 1usize..7, 1usize..20, half, prop::bool::ANY);
    on_adapter(
        30,
        &strategy,
        |fused, device, dtype, (batch, heads, seq, half, alike)| {
            let turned = |fused: Fused, device: &BurnDevice| {
                let x = numbers(1, [batch, seq, heads, 2 * half], device, dtype).swap_dims(1, 2);
                let rows = if alike { 1 } else { batch };
                let angles = |seed| numbers(seed, [rows, 1, seq, half], device, DType::F32);
                fused.rotate(&x, &angles(2), &angles(3))
            };
            close(
                "rotated",
                turned(fused, device),
                turned(CPU, &BurnDevice::flex()),
                2,
            )
        },
    );
}

#[test]
fn attention() {
    let shape = (1usize..4, 1usize..4, 1usize..4, 1usize..=8, 1usize..400);
    let head_dim = select(vec![1usize, 6, 7, 16, 64, 80]);
    let strategy = (shape, head_dim, 0usize..40, 0usize..5);
    on_adapter(
        40,
        &strategy,
        |fused, device, dtype, (shape, head_dim, from, seen)| {
            let (batch, kv_heads, groups, queries, keys) = shape;
            let heads = kv_heads * groups;
            let visible = match seen {
                0 => Visible::all(queries, keys),
                1 => Visible::causal(keys.saturating_sub(queries), queries, None, 0..keys),
                2 => Visible::causal(keys, queries, Some(keys.div_ceil(3)), 0..keys),
                // A ring, of which each row of the batch holds something else.
                3 => Visible::new(batch, queries, keys, |row, query| {
                    let gap = (row + query).min(keys)..(2 * row + query + 40).min(keys);
                    [0..gap.start, gap.end..keys]
                }),
                // Anything; some see nothing.
                _ => {
                    let len = batch * queries * keys;
                    let masked: Vec<bool> = (0..len)
                        .map(|i| i * i % 7 < 3 || i / keys % 3 == 1)
                        .collect();
                    Visible::unmasked(batch, queries, keys, &masked)
                }
            };
            let mixed = |fused: Fused, device: &BurnDevice| {
                let q =
                    numbers(1, [batch, queries, heads, head_dim], device, dtype).swap_dims(1, 2);
                let room = [batch, kv_heads, from + keys + 5, head_dim];
                let held = |seed| numbers(seed, room, device, dtype).narrow(2, from, keys);
                let visible = visible.clone();
                fused.attend(&q, &held(2), &held(3), || visible.into(), 0.7)
            };
            let (ours, theirs) = (mixed(fused, device), mixed(CPU, &BurnDevice::flex()));
            close("mixed", ours, theirs, head_dim + keys)
        },
    );
}

#[test]
fn every_float16_is_read() {
    on_adapter(1, &Just(()), |fused, device, _, ()| {
        if !device.supports_dtype(DType::F16) {
            return Ok(());
        }
        let finite = |bits: &u16| half::f16::from_bits(*bits).is_finite();
        let all: Vec<half::f16> = (0..=u16::MAX)
            .filter(finite)
            .map(half::f16::from_bits)
            .collect();
        let columns = 16;
        let rows = all.len() / columns;
        let matrix = TensorData::new(all.clone(), [rows, columns]);
        let matrix = Tensor::<2>::from_data(matrix, (device, DType::F16));
        for column in 0..columns {
            let one: Vec<f32> = (0..columns).map(|i| f32::from(i == column)).collect();
            let one = TensorData::new(one, [1, columns]);
            let one = Tensor::<2>::from_data(one, (device, DType::F16));
            let products = fused.project(&one, std::slice::from_ref(&matrix));
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
            let products = fused.project(&row.ones_like(), &[row]);
            let ours = products.expect("a kernel").swap_remove(0).into_data();
            let ours = ours.try_to_vec::<half::f16>().expect("halves");
            prop_assert!(ours[0] == odd || ours[0].is_nan() && odd.is_nan());
        }
        Ok(())
    });
}

/// A matrix of codes and its numbers in float64.
struct Coded {
    words: Vec<i32>,
    scales: Vec<f32>,
    numbers: Vec<f64>,
}

impl Coded {
    /// Any codes and scales; scales are exact in float16.
    fn any(seed: u64, [rows, columns]: [usize; 2], bits: usize) -> Self {
        let blocks = columns.div_ceil(32);
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) as usize
        };
        let scales: Vec<f32> = (0..rows * blocks)
            .map(|_| (1 + next() % 1000) as f32 / 1024.0)
            .collect();
        let (per_word, zero) = (32 / bits, 1 << (bits - 1));
        let mut words = vec![0u32; rows * blocks * bits];
        let mut numbers = vec![0.0; rows * columns];
        for row in 0..rows {
            for column in 0..blocks * 32 {
                let code = if column < columns {
                    next() % (2 * zero)
                } else {
                    zero
                };
                let at = row * blocks * 32 + column;
                words[at / per_word] |= (code as u32) << (at % per_word * bits);
                if column < columns {
                    numbers[row * columns + column] =
                        (code as f64 - zero as f64) * f64::from(scales[at / 32]);
                }
            }
        }
        Self {
            words: words.into_iter().map(|word| word as i32).collect(),
            scales,
            numbers,
        }
    }
}

#[test]
fn projections_by_codes() {
    let shape = (1usize..=MOST, 1usize..300, 1usize..150, 1usize..40);
    let strategy = (shape, select(vec![8usize, 4]), prop::bool::ANY, 0u64..1000);
    on_adapter(
        30,
        &strategy,
        |fused, device, dtype, ((n, columns, rows, more), bits, halves, seed)| {
            // Scales in float16 beside vectors in float32, too, where there is float16.
            let scale_dtype = match halves && device.supports_dtype(DType::F16) {
                true => DType::F16,
                false => DType::F32,
            };
            let x = numbers(seed, [columns, n], device, dtype).transpose();
            let matrices = [rows, more].map(|rows| Coded::any(seed + 1, [rows, columns], bits));
            let blocks = columns.div_ceil(32);
            let held = matrices.each_ref().map(|matrix| {
                let rows = matrix.scales.len() / blocks;
                let codes = TensorData::new(matrix.words.clone(), [rows, blocks * bits]);
                let scales = TensorData::new(matrix.scales.clone(), [rows, blocks]);
                (
                    Tensor::<2, Int>::from_data(codes, (device, DType::I32)),
                    Tensor::<2>::from_data(scales, (device, scale_dtype)),
                )
            });
            let weights = held.each_ref().map(|(codes, scales)| CodedRef {
                codes,
                scales,
                bits: bits as u32,
                columns,
            });
            let products = fused.project_codes(&x, &weights).expect("a kernel");
            let x = x.cast(DType::F32).into_data().try_to_vec::<f32>();
            let x = x.expect("floats");
            for (ours, matrix) in products.into_iter().zip(&matrices) {
                let rows = matrix.scales.len() / blocks;
                prop_assert_eq!(ours.dims(), [n, rows]);
                prop_assert_eq!(ours.dtype(), dtype);
                let ours = ours.cast(DType::F32).into_data().try_to_vec::<f32>();
                for (at, ours) in ours.expect("floats").into_iter().enumerate() {
                    let x = &x[at / rows * columns..][..columns];
                    let row = &matrix.numbers[at % rows * columns..][..columns];
                    let terms = || x.iter().zip(row).map(|(x, w)| f64::from(*x) * w);
                    let (sum, size) = (terms().sum::<f64>(), terms().map(f64::abs).sum::<f64>());
                    let unit = if dtype == DType::F32 {
                        Dtype::F32
                    } else {
                        Dtype::F16
                    };
                    let roundings = (columns + 8) as f64 * 2f64.powi(-24) * size;
                    let allowed = roundings + unit.unit_roundoff() * sum.abs() + 1e-6;
                    let off = (f64::from(ours) - sum).abs();
                    prop_assert!(off <= allowed, "{ours} is not {sum} at {at}");
                }
            }
            Ok(())
        },
    );
}

#[test]
fn codes_that_do_not_fit_are_nobodys() {
    on_adapter(1, &Just(()), |fused, device, dtype, ()| {
        let codes = Tensor::<2, Int>::zeros([3, 16], device);
        let scales = Tensor::<2>::zeros([3, 2], (device, dtype));
        let x = |columns| Tensor::<2>::zeros([1, columns], (device, dtype));
        let product = |columns, bits| {
            let weight = CodedRef {
                codes: &codes,
                scales: &scales,
                bits,
                columns,
            };
            fused.project_codes(&x(columns), &[weight])
        };
        prop_assert!(product(64, 8).is_some() && product(33, 8).is_some());
        prop_assert!(product(32, 8).is_none(), "a block too many");
        prop_assert!(product(64, 4).is_none(), "twice as many codes");
        prop_assert!(product(64, 2).is_none(), "codes that nobody makes");
        Ok(())
    });
}

#[test]
fn the_most_probable() {
    let odd = select(vec![
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        0.0,
        -0.0,
        3.5,
    ]);
    let odd = prop::collection::vec((0usize..20_000, odd), 0..4);
    let strategy = (1usize..4, 1usize..20_000, 0u64..1000, odd);
    on_adapter(20, &strategy, |fused, device, _, (n, vocab, seed, odd)| {
        let mut logits = numbers(seed, [n, vocab], device, DType::F32)
            .into_data()
            .try_to_vec::<f32>()
            .expect("floats");
        // Some occur more than once, and some are no logits.
        logits
            .iter_mut()
            .for_each(|logit| *logit = (*logit * 64.0).round());
        for (at, value) in odd {
            let len = logits.len();
            logits[at % len] = value;
        }
        check_most_probable(fused, device, &logits, [n, vocab])
    });
}

#[test]
fn the_most_probable_of_nothing_but_impossible_ones() {
    on_adapter(1, &Just(()), |fused, device, _, ()| {
        for vocab in [1, 5000] {
            check_most_probable(fused, device, &vec![f32::NEG_INFINITY; vocab], [1, vocab])?;
            check_most_probable(fused, device, &vec![-0.0; vocab], [1, vocab])?;
        }
        let none = Tensor::<2>::zeros([0, 7], device);
        prop_assert!(fused.argmax(&none).is_none());
        Ok(())
    });
}

fn check_most_probable(
    fused: Fused,
    device: &BurnDevice,
    logits: &[f32],
    [n, vocab]: [usize; 2],
) -> Result<(), TestCaseError> {
    let data = TensorData::new(logits.to_vec(), [n, vocab]);
    let best = fused
        .argmax(&Tensor::from_data(data, device))
        .expect("a kernel");
    prop_assert_eq!(best.dims(), [n, 3]);
    let best = best.into_data().try_to_vec::<f32>().expect("floats");
    for (row, best) in logits.chunks(vocab).zip(best.chunks(3)) {
        let no_logit = |logit: &f32| logit.is_nan() || *logit == f32::INFINITY;
        let highest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let id = row.iter().position(no_logit);
        let id = id.or_else(|| row.iter().position(|logit| *logit == highest));
        let id = id.expect("one is the highest");
        prop_assert_eq!(best[0] as usize, id);
        let same = best[1] == row[id] || best[1].is_nan() && row[id].is_nan();
        prop_assert!(same, "{} is not {}", best[1], row[id]);
        if row[id].is_finite() {
            let share = |logit: &f32| f64::from(logit - row[id]).exp();
            let expected = -row.iter().map(share).sum::<f64>().ln();
            let off = (f64::from(best[2]) - expected).abs();
            prop_assert!(off <= 1e-4, "{} is not {expected}", best[2]);
        }
    }
    Ok(())
}
