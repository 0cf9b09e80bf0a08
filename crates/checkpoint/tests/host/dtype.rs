//! Conversion between the floating-point formats, against every 16-bit pattern and against the `half` crate.

use glass_backend::Dtype;
use glass_checkpoint::{StoredFloat, convert_bytes as convert_into, float};
use glass_testing::Random;
use half::{bf16, f16};

struct Converted {
    bytes: Vec<u8>,
    overflowed: usize,
}

fn convert(source: &[u8], from: impl Into<StoredFloat>, to: Dtype) -> Converted {
    let from = from.into();
    let mut bytes = vec![0x55; source.len() / from.bytes() * to.bytes()];
    let overflowed = convert_into(source, from, &mut bytes, to);
    Converted { bytes, overflowed }
}

fn bytes_of<const N: usize>(values: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    values.into_iter().flatten().collect()
}

fn elements<const N: usize>(bytes: &[u8]) -> Vec<[u8; N]> {
    bytes.as_chunks().0.to_vec()
}

/// f32 patterns spread over all exponents, with the edges of the 16-bit formats.
fn floats() -> Vec<f32> {
    let mut random = Random::new(1);
    let mut values = vec![0.0, -0.0, 65504.0, 65519.996, 65520.0, -65520.0, f32::MAX, 1e-8, 6e-8, f32::INFINITY];
    // Halfway between two neighbours of f16 and of bf16, below and above an even one.
    values.extend([1.0 + 1.0 / 2048.0, 1.0 + 3.0 / 2048.0, 1.0 + 1.0 / 256.0, 1.0 + 3.0 / 256.0]);
    values.extend((0..100_003).map(|_| f32::from_bits(random.bits())));
    values
}

#[test]
fn all_sixteen_bit_patterns_survive_f32() {
    let patterns = bytes_of((0..=u16::MAX).map(u16::to_le_bytes));
    for (half, is_nan) in [
        (Dtype::F16, (|bits| f16::from_bits(bits).is_nan()) as fn(u16) -> bool),
        (Dtype::BF16, |bits| bf16::from_bits(bits).is_nan()),
    ] {
        let wide = convert(&patterns, half, Dtype::F32);
        let back = convert(&wide.bytes, Dtype::F32, half);
        assert_eq!((wide.overflowed, back.overflowed), (0, 0));
        for (bits, bytes) in (0..=u16::MAX).zip(elements(&back.bytes)) {
            let got = u16::from_le_bytes(bytes);
            let same_nan = is_nan(bits) && is_nan(got) && bits >> 15 == got >> 15;
            assert!(got == bits || same_nan, "{half} {bits:04x} came back as {got:04x}");
        }
    }
}

#[test]
fn f32_rounds_as_half_does_and_overflow_is_counted() {
    let values = floats();
    let bytes = bytes_of(values.iter().map(|value| value.to_le_bytes()));
    let f16s = convert(&bytes, Dtype::F32, Dtype::F16);
    let bf16s = convert(&bytes, Dtype::F32, Dtype::BF16);
    let mut overflowed = (0, 0);
    for ((value, a), b) in values.iter().zip(elements(&f16s.bytes)).zip(elements(&bf16s.bytes)) {
        let (a, b) = (f16::from_le_bytes(a), bf16::from_le_bytes(b));
        if value.is_nan() {
            assert!(a.is_nan() && b.is_nan());
        } else {
            assert_eq!((a, b), (f16::from_f32(*value), bf16::from_f32(*value)), "{value:e}");
        }
        overflowed.0 += usize::from(value.is_finite() && !a.is_finite());
        overflowed.1 += usize::from(value.is_finite() && !b.is_finite());
    }
    assert_eq!((f16s.overflowed, bf16s.overflowed), overflowed);
    assert!(overflowed.0 > 1000 && overflowed.1 >= 1, "{overflowed:?}");
    let known = &elements::<2>(&f16s.bytes)[2..6];
    assert_eq!(known, [[0xff, 0x7b], [0xff, 0x7b], [0x00, 0x7c], [0x00, 0xfc]]);
}

#[test]
fn f64_rounds_once_and_overflow_is_counted() {
    // Just above the middle of two neighbours: by way of f32 it would be the middle, and go to the even one below.
    let above = |step: f64| 1.0 + step / 2.0 + 2f64.powi(-40);
    let mut values = vec![0.0, -0.0, 1e-310, 1e300, -1e39, f64::INFINITY, f64::NAN, 65520.0];
    values.extend([above(2f64.powi(-10)), above(2f64.powi(-7)), above(2f64.powi(-23))]);
    values.extend(floats().iter().map(|&value| f64::from(value) * 1.000_000_1));
    let bytes = bytes_of(values.iter().map(|value| value.to_le_bytes()));
    let [f32s, f16s, bf16s] = Dtype::ALL.map(|to| convert(&bytes, StoredFloat::F64, to));
    let same = |a: f64, b: f64| a == b || a.is_nan() && b.is_nan();
    let mut overflowed = [0; 3];
    let (singles, halves, brains) = (elements(&f32s.bytes), elements(&f16s.bytes), elements(&bf16s.bytes));
    for (i, &value) in values.iter().enumerate() {
        let single = f32::from_le_bytes(singles[i]);
        assert!(same(single.into(), (value as f32).into()), "{value:e}");
        let half = f16::from_le_bytes(halves[i]);
        let brain = bf16::from_le_bytes(brains[i]);
        // No neighbour is nearer. `half` has conversions of its own from f64, which drop half of the value first.
        let nearest = |own: f64, other: f64| other >= own || other.is_nan();
        let neighbours = |bits: u16| [bits.saturating_sub(1), bits, bits.saturating_add(1)];
        if f64::from(half).is_finite() {
            let off = neighbours(half.to_bits()).map(|bits| (f64::from(f16::from_bits(bits)) - value).abs());
            assert!([off[0], off[2]].iter().all(|&other| nearest(off[1], other)), "{value:e} became {half}");
        }
        if f64::from(brain).is_finite() {
            let off = neighbours(brain.to_bits()).map(|bits| (f64::from(bf16::from_bits(bits)) - value).abs());
            assert!([off[0], off[2]].iter().all(|&other| nearest(off[1], other)), "{value:e} became {brain}");
        }
        assert_eq!((half.is_nan(), brain.is_nan()), (value.is_nan(), value.is_nan()));
        for (count, narrow) in overflowed.iter_mut().zip([f64::from(single), half.to_f64(), brain.to_f64()]) {
            *count += usize::from(value.is_finite() && narrow.is_infinite());
        }
    }
    assert_eq!([f32s.overflowed, f16s.overflowed, bf16s.overflowed], overflowed);
    assert!(overflowed[0] >= 2 && overflowed[1] > 1000, "{overflowed:?}");
    assert_eq!(u16::from_le_bytes(halves[8]), f16::ONE.to_bits() + 1);
    assert_eq!(u16::from_le_bytes(brains[9]), bf16::ONE.to_bits() + 1);
}

#[test]
fn unaligned_bytes_and_the_other_half_format() {
    let mut bytes = vec![0xAA];
    bytes.extend(bytes_of([1.5_f32, 1e9, 65504.0].map(|value| bf16::from_f32(value).to_le_bytes())));
    let made = convert(&bytes[1..], Dtype::BF16, Dtype::F16);
    // 65504 lies between the bf16 neighbours 65280 and 65536, and 65536 is too big for f16.
    let expected = [f16::from_f32(1.5), f16::INFINITY, f16::INFINITY].map(f16::to_le_bytes);
    assert_eq!((made.bytes.as_slice(), made.overflowed), (expected.as_flattened(), 2));
}

#[test]
fn the_same_format_keeps_every_bit() {
    let signalling_nan = [0x01, 0x00, 0x80, 0x7f];
    assert_eq!(convert(&signalling_nan, Dtype::F32, Dtype::F32).bytes, signalling_nan);
    assert!(convert(&[], Dtype::BF16, Dtype::F32).bytes.is_empty());
}

#[test]
fn other_dtypes_are_refused_by_name() {
    use safetensors::Dtype as Stored;
    for dtype in [Stored::F8_E5M2, Stored::I8, Stored::F8_E4M3, Stored::BOOL] {
        let message = float(dtype).unwrap_err().to_string();
        assert!(message.contains(&format!("dtype {dtype} ")), "{message}");
    }
    assert_eq!(float(Stored::BF16), Ok(Dtype::BF16.into()));
    assert_eq!(float(Stored::F64), Ok(StoredFloat::F64));
}
