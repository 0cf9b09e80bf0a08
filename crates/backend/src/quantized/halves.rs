//! Matrices of float16 or bfloat16 for devices that do not compute in their type: two numbers in a word of 32 bits.

use burn::tensor::{DType, Int, Tensor, TensorData};
use glass_kernels::quant::GROUP_SIZE;
use half::{bf16, f16};

use crate::{Device, Dtype};

/// A matrix of floats of 16 bits, which is unpacked to float32.
#[derive(Clone, Debug)]
pub struct HalfTensor {
    /// `[rows, words]`: the number with the lower column in the lower half of a word, and zeros up to a whole group of 32
    pub(crate) words: Tensor<2, Int>,
    /// float16 or bfloat16
    pub(crate) dtype: Dtype,
    pub(crate) columns: usize,
}

impl HalfTensor {
    /// Of `numbers` `[rows, columns]` in any type, each rounded to `dtype`.
    pub(crate) fn new(numbers: TensorData, columns: usize, dtype: Dtype, device: &Device) -> Self {
        let halves = numbers.convert_dtype(dtype.burn());
        let (rows, of_row) = (halves.shape()[0], columns.next_multiple_of(GROUP_SIZE) / 2);
        let mut words = vec![0i32; rows * of_row];
        let rows_of_words = words.chunks_exact_mut(of_row.max(1));
        for (words, halves) in rows_of_words.zip(halves.as_bytes().chunks_exact((2 * columns).max(1))) {
            for (word, pair) in words.iter_mut().zip(halves.chunks(4)) {
                let half = |bytes: &[u8]| u32::from(u16::from_ne_bytes([bytes[0], bytes[1]]));
                let upper = pair.get(2..).filter(|upper| !upper.is_empty()).map_or(0, half);
                *word = (half(pair) | upper << 16) as i32;
            }
        }
        let words = Tensor::from_data(TensorData::new(words, [rows, of_row]), (device.burn(), DType::I32));
        Self { words, dtype, columns }
    }

    /// `[rows, columns]`.
    pub(super) fn shape(&self) -> [usize; 2] {
        [self.words.dims()[0], self.columns]
    }

    /// The rows with these numbers, still packed.
    ///
    /// `ids` `[n]`
    pub(super) fn select(&self, ids: Tensor<1, Int>) -> Self {
        Self { words: self.words.clone().select(0, ids), ..*self }
    }

    /// The numbers, unpacked by the host: kernels do so where there are any.
    ///
    /// -> `[rows, columns]`
    pub(super) fn dequantize(&self) -> Tensor<2> {
        let [rows, of_row] = self.words.dims();
        let widened = |half: u16| match self.dtype {
            Dtype::F16 => f16::from_bits(half).to_f32(),
            _ => bf16::from_bits(half).to_f32(),
        };
        let words = self.words.to_data();
        let halves = words.iter::<i64>().flat_map(|word| [word as u16, (word >> 16) as u16]);
        let values: Vec<f32> = halves.map(widened).collect();
        let values =
            Tensor::<2>::from_data(TensorData::new(values, [rows, 2 * of_row]), (&self.words.device(), DType::F32));
        values.narrow(1, 0, self.columns) // [rows, columns]
    }
}
