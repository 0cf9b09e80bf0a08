//! Matrices that are read word by word: quants of 8 or 4 bits, and floats of 16 bits, two in a word.

use burn::tensor::DType;
use burn_cubecl::tensor::CubeTensor;
use cubecl::{
    ir::{ElemType, UIntKind},
    prelude::*,
};

use glass_kernels::quant::GROUP_SIZE;

use super::AdapterClass;

/// Numbers of `x` that are read at once.
pub(super) const VECTOR: usize = 4;

/// The type of a matrix's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Format {
    F32,
    F16,
    BF16,
    /// Quants of so many bits; a scale for each [`GROUP_SIZE`], and a zero point in 4 bits.
    Quants(usize),
}

impl Format {
    /// That of floats of this type.
    pub fn of(dtype: DType) -> Option<Self> {
        match dtype {
            DType::F32 => Some(Self::F32),
            DType::F16 => Some(Self::F16),
            DType::BF16 => Some(Self::BF16),
            _ => None,
        }
    }

    fn bits(self) -> usize {
        match self {
            Self::F32 => 32,
            Self::F16 | Self::BF16 => 16,
            Self::Quants(bits) => bits,
        }
    }
}

/// How a row is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Reading {
    pub format: Format,
    /// Bits of a word.
    width: usize,
    /// Words of one load.
    pub load: usize,
    /// Loads of a unit in one step.
    pub loads: usize,
}

impl Reading {
    /// `None` if these rows are not whole steps.
    pub fn of(class: AdapterClass, x: &CubeTensor, format: Format, columns: usize) -> Option<Self> {
        let wide = ElemType::UInt(UIntKind::U64);
        let wide = class.software && x.client.properties().supports_type(wide);
        let width = if wide { 64 } else { 32 };
        // A unit that has a row to itself takes as many columns at once as share a scale. Units side by side read side by side,
        // and load as much at once as can be.
        let (load, loads) = match (class.software, format) {
            (true, Format::Quants(bits)) => (1, bits * GROUP_SIZE / width),
            (true, _) => (1, 8 * 32 / width),
            (false, _) => (4, 1),
        };
        let reading = Self { format, width, load, loads };
        let whole = columns.is_multiple_of(reading.columns());
        whole.then_some(reading)
    }

    /// How the same columns of `x` are read.
    pub fn of_input(self, x: &CubeTensor) -> Option<Self> {
        let format = Format::of(x.dtype)?;
        let load = self.load * self.width;
        Some(Self { format, loads: self.columns() * format.bits() / load, ..self })
    }

    /// Columns of a step.
    pub fn columns(self) -> usize {
        self.loads * self.load * self.width / self.format.bits()
    }

    pub fn elem(self) -> ElemType {
        ElemType::UInt(match self.width {
            64 => UIntKind::U64,
            _ => UIntKind::U32,
        })
    }
}

/// The numbers of one step, whose first load is at `at`.
#[cube]
pub(super) fn numbers<W: Int, N: Size, M: Size>(
    words: &[Vector<W, M>],
    at: usize,
    #[comptime] reading: Reading,
) -> Array<Vector<f32, N>> {
    let vectors = comptime!(reading.columns() / VECTOR);
    let parts = comptime!(reading.width / 32);
    // In words of 32 bits, in the order of their columns.
    let mut bits = Array::<u32>::new(comptime!(reading.loads * reading.load * parts));
    #[unroll]
    for i in 0..reading.loads {
        let loaded = words[at + i];
        #[unroll]
        for j in 0..reading.load {
            let word = loaded.extract(j);
            let first = comptime!((i * reading.load + j) * parts);
            bits[first] = signed(u32::cast_from(word), reading.format);
            if comptime!(parts == 2) {
                let upper = u32::cast_from(word >> W::from_int(32));
                bits[comptime!(first + 1)] = signed(upper, reading.format);
            }
        }
    }
    let mut numbers = Array::<Vector<f32, N>>::new(vectors);
    #[unroll]
    for i in 0..vectors {
        let mut four = Vector::<f32, N>::empty();
        #[unroll]
        for j in 0..VECTOR {
            let bit = comptime!((i * VECTOR + j) * reading.format.bits());
            let part = bits[comptime!(bit / 32)];
            four.insert(j, number(part, comptime!((bit % 32) as u32), reading.format));
        }
        numbers[i] = four;
    }
    numbers
}

/// Quants in two's complement: without their offset, they differ in the highest bit.
#[cube]
fn signed(bits: u32, #[comptime] format: Format) -> u32 {
    match comptime!(format) {
        Format::Quants(8) => bits ^ 0x8080_8080u32,
        Format::Quants(_) => bits ^ 0x8888_8888u32,
        _ => bits,
    }
}

/// The number from bit `first` on.
#[cube]
pub(super) fn number(bits: u32, #[comptime] first: u32, #[comptime] format: Format) -> f32 {
    match comptime!(format) {
        Format::F32 => f32::reinterpret(bits),
        Format::F16 => widened(bits >> first),
        // The upper half of a float32.
        Format::BF16 => f32::reinterpret((bits << comptime!(16 - first)) & 0xffff_0000u32),
        Format::Quants(width) => {
            let width = comptime!(width as u32);
            // Shifted up and back with its sign, it is alone.
            let shifted = i32::reinterpret(bits << comptime!(32 - width - first));
            f32::cast_from(shifted >> comptime!(32 - width as i32))
        }
    }
}

/// The float16 in the lower half, by integers: shaders may flush subnormal numbers to 0.
#[cube]
fn widened(bits: u32) -> f32 {
    let size = bits & 0x7fff;
    let sign = (bits & 0x8000) << 16;
    // Exponents are 15 from 0 in float16 and 127 in float32; the last one means infinity or NaN in both.
    let exponent = select(size < 0x7c00, 112u32 << 23, 224u32 << 23);
    let normal = (size << 13) + exponent;
    let small = u32::reinterpret(f32::cast_from(size) * 5.960_464_5e-8f32); // 2^-24
    f32::reinterpret(select(size < 0x0400, small, normal) | sign)
}
