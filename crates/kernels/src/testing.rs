//! Inputs and assertions that the tests of several kernels share.

use half::f16;

use crate::{
    gemv::{activations::Order, tiles::Tiles},
    quant::{BlockFormat, GROUP_SIZE, QuantFormat, Quantized, groups, words, zero_words},
};

/// Unit roundoff of float32.
pub const ROUNDOFF: f64 = 1.0 / (1 << 24) as f64;

/// `n` numbers in -1..1, the same for the same seed: the bits of a linear congruential generator (Knuth's MMIX).
pub fn random(n: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}

impl Quantized {
    /// Random bits, which are all quants and zero points, and random scales.
    pub fn random([rows, columns]: [usize; 2], format: QuantFormat, seed: u64) -> Self {
        let bits = |n: usize, seed| {
            let halves = random(2 * n, seed);
            let words = halves.as_chunks().0.iter().map(|[a, b]| (a.to_bits() << 9 ^ b.to_bits() >> 3) as i32);
            words.collect()
        };
        let scales = random(rows * groups(columns), seed + 1);
        Self {
            format,
            quants: bits(rows * words(columns, format), seed),
            scales: scales.into_iter().map(f16::from_f32).collect(),
            zero_points: bits(rows * zero_words(columns, format), seed + 2),
            columns,
        }
    }

    pub fn rows(&self) -> usize {
        self.view().rows()
    }

    /// One row's quants without their zero points, those past its end included, and its scales.
    fn row(&self, row: usize) -> (Vec<f64>, &[f16]) {
        let nth = |words: &[i32], bits: usize, i: usize| {
            let word = words[i * bits / 32] as u32 >> (i * bits % 32);
            (word & ((1 << bits) - 1)) as i32
        };
        let (words, zeros) = (words(self.columns, self.format), zero_words(self.columns, self.format));
        let quants = &self.quants[row * words..][..words];
        let zero_points = &self.zero_points[row * zeros..][..zeros];
        let quant = |i: usize| match self.format {
            QuantFormat::Int4 => f64::from(nth(quants, 4, i) - nth(zero_points, 4, i / GROUP_SIZE)),
            format => f64::from(format.quant(nth(quants, format.bits(), i) as u8)),
        };
        (
            (0..groups(self.columns) * GROUP_SIZE).map(quant).collect(),
            &self.scales[row * groups(self.columns)..][..groups(self.columns)],
        )
    }
}

/// Asserts that every product is within the bound of a float32 sum in any order: `columns` products and as many sums are off
/// by at most `2 columns u` of the sum of magnitudes (Higham, Accuracy and Stability, 3.1).
pub fn assert_products(x: &[f32], weight: &[f32], y: &[f32], columns: usize, what: &str) {
    let rows = weight.len() / columns;
    assert_eq!(y.len(), x.len() / columns * rows, "{what}");
    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
        for (r, (w, y)) in weight.chunks(columns).zip(y).enumerate() {
            let terms = x.iter().zip(w).map(|(x, w)| f64::from(*x) * f64::from(*w));
            let (sum, size) = terms.fold((0.0, 0.0), |(s, m), t| (s + t, m + t.abs()));
            let bound = 2.0 * columns as f64 * ROUNDOFF * size;
            let error = (f64::from(*y) - sum).abs();
            assert!(error <= bound, "{what}, row {r}: {y} is not {sum}");
        }
    }
}

/// Asserts that every product is within float32's rounding of that with the same activations, and within the bound that
/// [`crate::gemv`] states of that with exact ones.
///
/// Where the kernel adds the offset to the quants and subtracts it from the sum in float32, `offset_in_sum` allows for that.
pub fn assert_quantized_products(x: &[f32], matrix: &Quantized, y: &[f32], offset_in_sum: bool, what: &str) {
    let activations = Tiles::new(x, matrix.columns, Order::Plain, 1);
    let offset = f64::from(matrix.format.offset());
    let vectors = x.chunks(matrix.columns).zip(y.chunks(matrix.rows()));
    for (i, (x, y)) in vectors.enumerate() {
        let quantized = activations.tile(i).spans;
        for (row, y) in y.iter().enumerate() {
            let (quants, scales) = matrix.row(row);
            let (mut same, mut exact, mut size, mut bound) = (0.0, 0.0, 0.0, 0.0);
            for (group, scale) in scales.iter().enumerate() {
                let (scale, step) = (scale.to_f64(), f64::from(quantized[group / 8].scales[group % 8]));
                let (mut product, mut magnitudes) = (0.0, 0.0);
                let pairs = quants.iter().zip(quantized.iter().flat_map(|span| &span.quants)).enumerate();
                for (at, (w, a)) in pairs.skip(group * GROUP_SIZE).take(GROUP_SIZE) {
                    let a = f64::from(*a);
                    product += w * scale * a * step;
                    magnitudes += ((w.abs() + 2.0 * offset) * scale * a * step).abs();
                    if let Some(x) = x.get(at) {
                        exact += w * scale * f64::from(*x);
                        bound += step / 2.0 * (1.0 + 2f64.powi(-15)) * (w * scale).abs();
                    }
                }
                same += product;
                size += if offset_in_sum { magnitudes } else { product.abs() };
            }
            let sums = scales.len() + if offset_in_sum { 8 } else { 2 };
            let rounding = 2.0 * sums as f64 * ROUNDOFF * size;
            let y = f64::from(*y);
            assert!((y - same).abs() <= rounding, "{what}, row {row}: {y} is not {same}");
            assert!((y - exact).abs() <= bound + rounding, "{what}, row {row}: {y} is far from {exact}");
        }
    }
}

/// Random blocks: all bits, but scales of ordinary size.
pub fn random_blocks(rows: usize, format: BlockFormat, columns: usize, seed: u64) -> Vec<u8> {
    let numbers = random(rows * format.row_bytes(columns), seed);
    let mut blocks: Vec<u8> = numbers.iter().map(|number| (number.to_bits() >> 3) as u8).collect();
    let end = format.block_bytes();
    let halves: &[usize] = match format {
        BlockFormat::Q4_1 | BlockFormat::Q5_1 | BlockFormat::Q4K | BlockFormat::Q5K => &[0, 2],
        BlockFormat::Q2K => &[end - 4, end - 2],
        BlockFormat::Q3K | BlockFormat::Q6K => &[end - 2],
        BlockFormat::Q4_0 | BlockFormat::Q5_0 | BlockFormat::Q8_0 | BlockFormat::Iq4Nl | BlockFormat::Iq4Xs => &[0],
        BlockFormat::Mxfp4 => &[],
    };
    for (block, numbers) in blocks.chunks_exact_mut(end).zip(numbers.chunks_exact(end)) {
        for at in halves {
            block[*at..][..2].copy_from_slice(&f16::from_f32(numbers[*at]).to_le_bytes());
        }
        if format == BlockFormat::Mxfp4 {
            block[0] = 120 + block[0] % 16;
        }
    }
    blocks
}

/// Asserts that each vector alone gives the bits that it gives among others.
pub fn assert_rows_alone(x: &[f32], y: &[f32], columns: usize, what: &str, multiply: impl Fn(&[f32]) -> Vec<f32>) {
    if x.is_empty() {
        return;
    }
    let rows = y.len() / (x.len() / columns);
    for (x, y) in x.chunks(columns).zip(y.chunks(rows)) {
        assert_eq!(multiply(x), y, "{what}");
    }
}

/// Asserts that `run` gives the same on one thread and on more.
pub fn assert_same_on_any_threads<T: PartialEq + Send>(what: &str, run: impl Fn() -> T + Sync) {
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(&run)
    };
    let one = on(1);
    for threads in [2, 3, 7] {
        assert!(on(threads) == one, "{what}, {threads} threads");
    }
}
