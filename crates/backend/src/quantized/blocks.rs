//! Matrices in blocks on a device: as they lie in a file where kernels read bytes, and elsewhere taken apart into words.

use burn::tensor::{DType, Int, Tensor, TensorData};
use glass_kernels::quant::{self, Apart, BlockFormat, BlockMatrix, BlockPlanes, GROUP_SIZE};

use super::{PartsMut, PlanarRows, PlanarTensor, QuantizedTensor, scale_dtype, unpacked};
use crate::{Device, Dtype};

/// Columns of a block that is held in planes.
const BLOCK: usize = 256;

/// Rows in blocks.
#[derive(Clone, Debug)]
pub struct BlockRows {
    pub format: BlockFormat,
    /// `[rows, row_bytes]`, bytes
    pub blocks: TensorData,
}

impl BlockRows {
    pub(super) fn matrix(&self, columns: usize) -> BlockMatrix<'_> {
        let Ok(blocks) = self.blocks.as_slice::<u8>() else { panic!("blocks are bytes") };
        BlockMatrix::new(self.format, blocks, columns)
    }

    pub(super) fn dequantize(&self, columns: usize) -> Vec<f32> {
        let matrix = self.matrix(columns);
        let mut values = vec![0.0; matrix.rows() * columns];
        quant::dequantize_blocks(matrix, &mut values);
        values
    }
}

impl QuantizedTensor {
    /// Blocks that can be are taken apart where no kernel reads their bytes.
    pub(super) fn of_blocks(rows: BlockRows, columns: usize, device: &Device, dtype: Dtype) -> Self {
        let apart = if device.kernel_set().reads_blocks() { None } else { Apart::of(rows.matrix(columns)) };
        let BlockRows { format, blocks } = rows;
        let storage = match apart {
            Some(Apart::Planar(matrix)) => {
                return Self::Planar(PlanarTensor::new(PlanarRows::from(matrix), columns, device, dtype));
            }
            Some(Apart::Planes(planes)) => BlockStorage::Planes(Planes::new(planes, columns, device)),
            None => BlockStorage::Bytes(Tensor::from_data(blocks, (device.burn(), DType::U8))),
        };
        Self::Blocks(BlockTensor { storage, format, columns, dtype: dtype.burn() })
    }
}

/// A matrix in blocks.
#[derive(Clone, Debug)]
pub struct BlockTensor {
    pub(crate) storage: BlockStorage,
    pub(crate) format: BlockFormat,
    pub(crate) columns: usize,
    /// The type of the dequantized numbers.
    pub(crate) dtype: DType,
}

/// How blocks are held.
#[derive(Clone, Debug)]
#[expect(clippy::large_enum_variant, reason = "one of each matrix, and none is copied in a loop")]
pub(crate) enum BlockStorage {
    /// `[rows, row_bytes]`, bytes
    Bytes(Tensor<2, Int>),
    Planes(Planes),
}

/// [`BlockPlanes`] on a device.
#[derive(Clone, Debug)]
pub(crate) struct Planes {
    /// `[rows, columns / 8]`
    pub low: Tensor<2, Int>,
    /// `[rows, high_bits * columns / 32]`; `None` if there are no such bits
    pub high: Option<Tensor<2, Int>>,
    /// `[rows, columns / 64]`
    pub factors: Tensor<2, Int>,
    /// `[rows, columns / 128]`
    pub scales: Tensor<2>,
}

impl Planes {
    fn new(planes: BlockPlanes, columns: usize, device: &Device) -> Self {
        let BlockPlanes { low, high, factors, scales } = planes;
        let rows = scales.len().checked_div(columns / 128).unwrap_or_default();
        let words = |words: Vec<i32>| {
            let of_row = words.len().checked_div(rows).unwrap_or_default();
            Tensor::from_data(TensorData::new(words, [rows, of_row]), (device.burn(), DType::I32))
        };
        Self {
            high: (!high.is_empty()).then(|| words(high)),
            low: words(low),
            factors: words(factors),
            scales: Tensor::from_data(
                TensorData::new(scales, [rows, columns / 128]),
                (device.burn(), scale_dtype(device)),
            ),
        }
    }

    fn select(&self, ids: &Tensor<1, Int>) -> Self {
        let rows = |words: &Tensor<2, Int>| words.clone().select(0, ids.clone());
        Self {
            low: rows(&self.low),
            high: self.high.as_ref().map(rows),
            factors: rows(&self.factors),
            scales: self.scales.clone().select(0, ids.clone()),
        }
    }

    /// -> `[rows, columns]` in float32
    fn dequantize(&self, format: BlockFormat, columns: usize) -> Tensor<2> {
        let rows = self.low.dims()[0];
        let blocks = rows * columns / BLOCK;
        let float = |words: Tensor<2, Int>| words.float().cast(DType::F32);
        let low = unpacked(&self.low, 4); // [rows, columns]
        let quants = match (&self.high, BlockPlanes::high_bits(format)) {
            (Some(high), Some(bits)) => low + unpacked(high, bits) * 16,
            _ => low,
        };
        let quants = float(quants); // [rows, columns]
        let factors = float(unpacked(&self.factors, 8).reshape([blocks, 16])); // [blocks, 16]
        let scales = self.scales.clone().cast(DType::F32).reshape([blocks, 2]); // [blocks, 2]
        let [d, dmin] = [0, 1].map(|i| scales.clone().narrow(1, i, 1)); // [blocks, 1]
        let values: Tensor<3> = if format == BlockFormat::Q6K {
            let scales = (factors - f32::from(BlockPlanes::FACTOR_OFFSET)) * d; // [blocks, 16]
            (quants - 32.0).reshape([blocks, 16, 16]) * scales.unsqueeze_dim(2)
        } else {
            let groups = BLOCK / GROUP_SIZE;
            let scales = factors.clone().narrow(1, 0, groups) * d; // [blocks, 8]
            let minima = factors.narrow(1, groups, groups) * dmin; // [blocks, 8]
            quants.reshape([blocks, groups, GROUP_SIZE]) * scales.unsqueeze_dim(2) - minima.unsqueeze_dim(2)
        }; // [blocks, groups, columns of one]
        values.reshape([rows, columns])
    }
}

impl BlockTensor {
    /// What it consists of; nothing where its bytes are held as they are.
    pub(super) fn parts_mut(&mut self) -> PartsMut<'_> {
        match &mut self.storage {
            BlockStorage::Bytes(_) => PartsMut::default(),
            BlockStorage::Planes(Planes { low, high, factors, scales }) => {
                let words = [low, factors].into_iter().chain(high);
                PartsMut { words: words.collect(), scales: vec![scales] }
            }
        }
    }

    pub(super) fn shape(&self) -> [usize; 2] {
        let rows = match &self.storage {
            BlockStorage::Bytes(blocks) => blocks.dims()[0],
            BlockStorage::Planes(planes) => planes.low.dims()[0],
        };
        [rows, self.columns]
    }

    pub(crate) fn select(&self, ids: Tensor<1, Int>) -> Self {
        let storage = match &self.storage {
            BlockStorage::Bytes(blocks) => BlockStorage::Bytes(blocks.clone().select(0, ids)),
            BlockStorage::Planes(planes) => BlockStorage::Planes(planes.select(&ids)),
        };
        Self { storage, ..*self }
    }

    /// -> `[rows, columns]`
    pub(super) fn dequantize(&self) -> Tensor<2> {
        match &self.storage {
            BlockStorage::Bytes(blocks) => {
                let rows = BlockRows { format: self.format, blocks: blocks.to_data() };
                let values = TensorData::new(rows.dequantize(self.columns), self.shape());
                Tensor::from_data(values, (&blocks.device(), self.dtype))
            }
            BlockStorage::Planes(planes) => planes.dequantize(self.format, self.columns).cast(self.dtype),
        }
    }
}
