//! Products with quantized matrices, against sums in float64.

use burn::tensor::Int;

use super::*;
use crate::{
    BlockRows, HalfTensor, PlanarTensor, QuantizedRows, QuantizedTensor,
    quant::{BlockFormat, QuantFormat, quantize_blocks},
};

/// A quantized matrix, and its numbers in float64.
struct Stored {
    words: Vec<i32>,
    scales: Vec<f32>,
    /// `[rows, words]`, in 4 bits
    zero_points: Option<Vec<i32>>,
    numbers: Vec<f64>,
}

impl Stored {
    /// Random quants, scales and zero points; scales are exact in float16.
    fn random(seed: u64, [rows, columns]: [usize; 2], bits: usize) -> Self {
        let groups = columns.div_ceil(32);
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            (state >> 33) as usize
        };
        let scales: Vec<f32> = (0..rows * groups).map(|_| (1 + next() % 1000) as f32 / 1024.0).collect();
        let (per_word, middle) = (32 / bits, 1 << (bits - 1));
        let zeros: Vec<usize> = (0..rows * groups).map(|_| if bits == 4 { next() % 16 } else { middle }).collect();
        let of_row = groups.div_ceil(8);
        let mut zero_points = vec![0u32; rows * of_row];
        for (at, zero) in zeros.iter().enumerate() {
            let group = at % groups;
            zero_points[at / groups * of_row + group / 8] |= (*zero as u32 & 0xf) << (4 * (group % 8));
        }
        let mut words = vec![0u32; rows * groups * bits];
        let mut numbers = vec![0.0; rows * columns];
        for row in 0..rows {
            for column in 0..groups * 32 {
                let at = row * groups * 32 + column;
                let zero = zeros[at / 32];
                let quant = if column < columns { next() % (2 * middle) } else { zero };
                words[at / per_word] |= (quant as u32) << (at % per_word * bits);
                if column < columns {
                    numbers[row * columns + column] = (quant as f64 - zero as f64) * f64::from(scales[at / 32]);
                }
            }
        }
        let signed = |words: Vec<u32>| words.into_iter().map(|word| word as i32).collect();
        let zero_points = (bits == 4).then(|| signed(zero_points));
        Self { words: signed(words), scales, zero_points, numbers }
    }
}

#[test]
fn matmul_t_quantized_is_the_definition() {
    // Vectors shorter than a load, too.
    let columns = prop_oneof![3 => 1usize..300, 1 => 1usize..9];
    let shape = (vectors(), columns, 1usize..150, 1usize..40);
    // Both of one format, or one of each.
    let strategy = (shape, [select(vec![8usize, 4]), select(vec![8usize, 4])], prop::bool::ANY, 0u64..1000);
    on_adapter(18, &strategy, |kernels, device, dtype, ((n, columns, rows, more), bits, in_halves, seed)| {
        // Scales in float16 beside vectors in float32, too, where there is float16.
        let scale_dtype = if in_halves && halves(device) { DType::F16 } else { DType::F32 };
        let x = numbers(seed, [columns, n], device, dtype).transpose();
        let matrices = [0, 1].map(|i| Stored::random(seed + 1, [[rows, more][i], columns], bits[i]));
        let groups = columns.div_ceil(32);
        let held = matrices.each_ref().map(|matrix| {
            let rows = matrix.scales.len() / groups;
            let quants = TensorData::new(matrix.words.clone(), [rows, matrix.words.len() / rows]);
            let scales = TensorData::new(matrix.scales.clone(), [rows, groups]);
            let zero_points = matrix.zero_points.clone().map(|words| {
                let words = TensorData::new(words, [rows, groups.div_ceil(8)]);
                Tensor::<2, Int>::from_data(words, (device, DType::I32))
            });
            (
                Tensor::<2, Int>::from_data(quants, (device, DType::I32)),
                Tensor::<2>::from_data(scales, (device, scale_dtype)),
                zero_points,
            )
        });
        let weights = held.map(|(quants, scales, zero_points)| {
            let format = if zero_points.is_some() { QuantFormat::Int4 } else { QuantFormat::Int8 };
            QuantizedTensor::Planar(PlanarTensor { quants, scales, zero_points, format, columns, dtype })
        });
        for (weight, matrix) in weights.iter().zip(&matrices) {
            // The last row first, and the first twice.
            let ids = Tensor::<1, Int>::from_ints([matrix.scales.len() as i32 / groups as i32 - 1, 0, 0], device);
            let selected = kernels.select(weight, &ids).expect("a kernel");
            prop_assert_eq!((selected.dims(), selected.dtype()), ([3, columns], dtype));
            let all = kernels.dequantize(weight).expect("a kernel");
            prop_assert_eq!(all.into_data(), weight.dequantize().into_data());
            let numbers = &matrix.numbers;
            let theirs = [&numbers[numbers.len() - columns..], &numbers[..columns], &numbers[..columns]].concat();
            let ours = selected.cast(DType::F32).into_data().try_to_vec::<f32>().expect("floats");
            for (ours, number) in ours.into_iter().zip(theirs) {
                let rounded = if dtype == DType::F32 { number as f32 } else { half::f16::from_f64(number).to_f32() };
                prop_assert_eq!(ours, rounded);
            }
        }
        let products = kernels.matmul_t_quantized(&x, &weights.each_ref(), Around::default());
        let products = products.expect("a kernel");
        let x = x.cast(DType::F32).into_data().try_to_vec::<f32>();
        let x = x.expect("floats");
        for (ours, matrix) in products.into_iter().zip(&matrices) {
            let rows = matrix.scales.len() / groups;
            prop_assert_eq!(ours.dims(), [n, rows]);
            prop_assert_eq!(ours.dtype(), dtype);
            let ours = ours.cast(DType::F32).into_data().try_to_vec::<f32>();
            for (at, ours) in ours.expect("floats").into_iter().enumerate() {
                let x = &x[at / rows * columns..][..columns];
                let row = &matrix.numbers[at % rows * columns..][..columns];
                let terms = || x.iter().zip(row).map(|(x, w)| f64::from(*x) * w);
                // Zero points are taken from sums: numbers there have up to 8 scales more.
                let most = matrix.scales[at % rows * groups..][..groups].iter().fold(0f32, |max, x| max.max(*x));
                let shifted: f64 = x.iter().map(|x| f64::from(x.abs() * most * 16.0)).sum();
                let sum = terms().sum::<f64>();
                let size =
                    terms().map(f64::abs).sum::<f64>() + if matrix.zero_points.is_some() { shifted } else { 0.0 };
                let unit = if dtype == DType::F32 { Dtype::F32 } else { Dtype::F16 };
                let roundings = (columns + 8) as f64 * 2f64.powi(-24) * size;
                let allowed = roundings + unit.unit_roundoff() * sum.abs() + 1e-6;
                let off = (f64::from(ours) - sum).abs();
                prop_assert!(off <= allowed, "{ours} is not {sum} at {at}");
            }
        }
        Ok(())
    });
}

/// All numbers of 16 bits but NaNs, and sums that are those of float32 of the same numbers.
#[test]
fn packed_halves_are_the_numbers_that_they_stand_for() {
    let floats = |x: Tensor<2>| x.into_data().try_to_vec::<f32>().expect("floats");
    let strategy = (vectors(), 1usize..300, 1usize..150, select(vec![Dtype::BF16, Dtype::F16]), 0u64..1000);
    on_adapter(16, &strategy, |kernels, device, dtype, (n, columns, rows, half, seed)| {
        if dtype != DType::F32 {
            return Ok(());
        }
        let weight = |values: &Tensor<2>| {
            let held = HalfTensor::new(values.to_data(), columns, half, device_of(device));
            QuantizedTensor::Halves(held)
        };
        // Of all sizes that are no subnormal numbers of float32, which adapters may flush.
        let bits = |i: u64| (seed + i).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48;
        let any = (0..(rows * columns) as u64).map(|i| match half {
            Dtype::F16 => half::f16::from_bits(bits(i) as u16).to_f32(),
            _ => half::bf16::from_bits(bits(i) as u16).to_f32(),
        });
        let any: Vec<f32> = any.map(|x| if x.is_normal() || x == 0.0 { x } else { 1.0 }).collect();
        let all = weight(&Tensor::from_data(TensorData::new(any.clone(), [rows, columns]), FLEX.burn()));
        prop_assert_eq!(floats(kernels.dequantize(&all).expect("a kernel")), &any[..]);
        prop_assert_eq!(floats(all.dequantize()), &any[..]);
        let ids = Tensor::<1, Int>::from_ints([rows as i32 - 1, 0, 0], device);
        let chosen = [&any[(rows - 1) * columns..], &any[..columns], &any[..columns]].concat();
        prop_assert_eq!(floats(kernels.select(&all, &ids).expect("a kernel")), &chosen[..]);
        prop_assert_eq!(floats(all.select(ids)), &chosen[..]);

        let numbers = |device: &BurnDevice| {
            let x = super::numbers(seed, [columns, n], device, dtype).transpose();
            (x, super::numbers(seed + 1, [rows, columns], FLEX.burn(), half.burn()).cast(DType::F32))
        };
        let (x, values) = numbers(device);
        let ours = kernels.matmul_t_quantized(&x, &[&weight(&values)], Around::default()).expect("a kernel");
        let (x, values) = numbers(FLEX.burn());
        let theirs = CPU.matmul_t(&x, &[&values], Around::default()).expect("a kernel");
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            close("product", Some(ours), Some(theirs), columns)?;
        }
        Ok(())
    });
}

#[test]
fn quants_that_do_not_fit_have_no_kernel() {
    on_adapter(1, &Just(()), |kernels, device, dtype, ()| {
        let quants = Tensor::<2, Int>::zeros([3, 16], device);
        let scales = Tensor::<2>::zeros([3, 2], (device, dtype));
        let zeros = Tensor::<2, Int>::zeros([3, 1], device);
        let x = |columns| Tensor::<2>::zeros([1, columns], (device, dtype));
        let product = |columns, format, zero_points| {
            let (quants, scales) = (quants.clone(), scales.clone());
            let weight = PlanarTensor { quants, scales, zero_points, format, columns, dtype };
            kernels.matmul_t_quantized(&x(columns), &[&QuantizedTensor::Planar(weight)], Around::default())
        };
        let of = |columns| product(columns, QuantFormat::Int8, None);
        prop_assert!(of(64).is_some() && of(33).is_some());
        prop_assert!(of(32).is_none(), "a group too many");
        prop_assert!(product(64, QuantFormat::Int4, Some(zeros.clone())).is_none(), "twice as many quants");
        let half = Tensor::<2, Int>::zeros([3, 8], device);
        let four = |zero_points| {
            let (quants, scales) = (half.clone(), scales.clone());
            let format = QuantFormat::Int4;
            let weight = PlanarTensor { quants, scales, zero_points, format, columns: 64, dtype };
            kernels.matmul_t_quantized(&x(64), &[&QuantizedTensor::Planar(weight)], Around::default())
        };
        prop_assert!(four(Some(zeros)).is_some());
        prop_assert!(four(None).is_none(), "no zero points");
        Ok(())
    });
}

#[test]
fn blocks_are_the_numbers_that_they_stand_for() {
    let floats = |x: Tensor<2>| x.cast(DType::F32).into_data().try_to_vec::<f32>().expect("floats");
    let formats = BlockFormat::ALL.into_iter().filter(|format| format.comes_apart()).collect::<Vec<_>>();
    let strategy = (vectors(), 1usize..8, 1usize..70, select(formats), 0u64..1000);
    on_adapter(15, &strategy, |kernels, device, dtype, (n, blocks, rows, format, seed)| {
        let columns = blocks * format.block_len();
        let values = floats(numbers(seed, [rows, columns], device, DType::F32));
        let unit = if dtype == DType::F32 { Dtype::F32 } else { Dtype::F16 };
        let quantized = |format: BlockFormat| {
            let mut bytes = vec![0; rows * format.row_bytes(columns)];
            quantize_blocks(&values, columns, format, &mut bytes).expect("finite numbers");
            let blocks = TensorData::new(bytes, [rows, format.row_bytes(columns)]);
            let held = QuantizedRows::Blocks(BlockRows { format, blocks });
            let exact = held.dequantize(columns);
            (QuantizedTensor::new(held, columns, device_of(device), unit), exact)
        };
        let (weight, exact) = quantized(format);
        prop_assert_eq!(weight.shape(), [rows, columns]);

        let allowed = |size: f64| unit.unit_roundoff() * size + 1e-6;
        for all in [weight.dequantize(), kernels.dequantize(&weight).expect("a kernel")] {
            for (number, exact) in floats(all).into_iter().zip(&exact) {
                let off = (f64::from(number) - f64::from(*exact)).abs();
                prop_assert!(off <= allowed(f64::from(exact.abs())), "{format}: {number} is not {exact}");
            }
        }

        let chosen: Vec<usize> = (0..n).map(|i| (5 * i + 1) % rows).collect();
        let ids = TensorData::from(&chosen.iter().map(|&row| row as i32).collect::<Vec<_>>()[..]);
        let ids = Tensor::<1, Int>::from_data(ids, (device, DType::I32));
        let selected = kernels.select(&weight, &ids).expect("a kernel");
        prop_assert_eq!(selected.dims(), [n, columns]);
        prop_assert_eq!(selected.dtype(), dtype);
        for (at, number) in floats(selected).into_iter().enumerate() {
            let exact = f64::from(exact[chosen[at / columns] * columns + at % columns]);
            let off = (f64::from(number) - exact).abs();
            prop_assert!(off <= allowed(exact.abs()), "{format}: {number} is not {exact} at {at}");
        }

        let x = numbers(seed + 1, [columns, n], device, dtype).transpose();
        // Beside a matrix in another format, as files have them.
        let (other, of_other) = quantized(match (format.block_len(), format) {
            (256, BlockFormat::Q6K) => BlockFormat::Q4K,
            (256, _) => BlockFormat::Q6K,
            (_, BlockFormat::Q4_0) => BlockFormat::Q8_0,
            _ => BlockFormat::Q4_0,
        });
        let products = kernels.matmul_t_quantized(&x, &[&weight, &other], Around::default()).expect("a kernel");
        prop_assert_eq!(products.len(), 2);
        let x = floats(x);
        for (product, exact) in products.into_iter().zip([exact, of_other]) {
            prop_assert_eq!((product.dims(), product.dtype()), ([n, rows], dtype));
            for (at, ours) in floats(product).into_iter().enumerate() {
                let (x, row) = (&x[at / rows * columns..][..columns], &exact[at % rows * columns..][..columns]);
                let sum: f64 = x.iter().zip(row).map(|(x, w)| f64::from(*x) * f64::from(*w)).sum();
                // Minima and zero points are taken from sums: numbers there are some times as large.
                let size: f64 = x.iter().map(|x| 4.0 * f64::from(x.abs())).sum();
                let roundings = (columns + 8) as f64 * 2f64.powi(-24) * size;
                let off = (f64::from(ours) - sum).abs();
                prop_assert!(off <= roundings + allowed(sum.abs()), "{format}: {ours} is not {sum} at {at}");
            }
        }
        Ok(())
    });
}
