//! Zero points as compressed-tensors stores them: 4 bits each, packed down the columns of `[rows, groups]`.

use glass_backend::quant::{QuantFormat, ZERO_POINTS_PER_WORD, groups, zero_words};

use crate::RawTensor;

/// The zero points of a matrix in 4 bits, in its file.
pub(super) struct ZeroPoints<'a> {
    bytes: &'a [u8],
    groups: usize,
    /// Whether each has a byte of its own, from -8 to 7, as older files have them.
    bytewise: bool,
}

impl<'a> ZeroPoints<'a> {
    /// # Errors
    /// What is wrong with the tensor, to be said of its name.
    pub fn of(tensor: &RawTensor<'a>, [rows, groups]: [usize; 2]) -> Result<Self, String> {
        use safetensors::Dtype::{I8, I32};

        let packed = [rows.div_ceil(ZERO_POINTS_PER_WORD), groups];
        let (bytewise, shape) = match tensor.dtype {
            I32 => (false, packed),
            I8 => (true, [rows, groups]),
            other => return Err(format!("is stored as {other}, where I32 or I8 is read")),
        };
        if tensor.shape != shape {
            return Err(format!("has the shape {:?}, where {shape:?} belongs to the scales", tensor.shape));
        }
        let outside = |byte: &&u8| !(-8..8).contains(&(**byte as i8));
        if let (true, Some(byte)) = (bytewise, tensor.bytes.iter().find(outside)) {
            return Err(format!("holds {}, where 4 bits are -8 to 7", *byte as i8));
        }
        Ok(Self { bytes: tensor.bytes, groups, bytewise })
    }

    /// From 0 to 15.
    pub fn stored(&self, row: usize, group: usize) -> i32 {
        if self.bytewise {
            return i32::from(self.bytes[row * self.groups + group] as i8) + QuantFormat::Int4.offset();
        }
        let (word, shift) = (row / ZERO_POINTS_PER_WORD, 4 * (row % ZERO_POINTS_PER_WORD));
        let byte = self.bytes[(word * self.groups + group) * 4 + shift / 8];
        i32::from(byte >> (shift % 8) & 0xf)
    }
}

/// Those of a matrix in memory, `[rows, zero_words]`, as a file has them: `[rows / 8, rounded up, groups]`.
pub(super) fn down_columns(zero_points: &[i32], columns: usize, format: QuantFormat) -> Vec<i32> {
    let groups = groups(columns);
    let of_row = zero_words(columns, format).max(1);
    let mut packed = vec![0; zero_points.len().div_ceil(of_row).div_ceil(ZERO_POINTS_PER_WORD) * groups];
    for (row, words) in zero_points.chunks(of_row).enumerate() {
        let (word, shift) = (row / ZERO_POINTS_PER_WORD, 4 * (row % ZERO_POINTS_PER_WORD));
        for group in 0..groups {
            let zero = words[group / ZERO_POINTS_PER_WORD] >> (4 * (group % ZERO_POINTS_PER_WORD)) & 0xf;
            packed[word * groups + group] |= zero << shift;
        }
    }
    packed
}
