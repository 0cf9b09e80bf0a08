//! A matrix of weights held by rows, in as many tensors as the device's binding limit asks for.

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor},
};

use crate::{Device, Fused, Quantized, WeightError, Weights};

/// A matrix `[rows, columns]` in the order in which Hugging Face stores it: one row per token of an embedding,
/// one row per output of a projection.
///
/// WebGPU promises bindings of 128 MiB and no more, and a vocabulary of 128,256 tokens by 2048 is 1 GiB in float32,
/// so the matrix is split between rows where the device's limit demands it. Nobody above this type sees the split, nor
/// whether the numbers are held in few bits.
#[derive(Module, Debug)]
pub struct Rows {
    /// Each `[rows of this part, columns]`, in order; empty if the matrix is quantized.
    parts: Vec<Param<Tensor<2>>>,
    /// The same for a quantized matrix.
    #[module(skip)]
    quantized: Vec<Quantized>,
    #[module(skip)]
    fused: Fused,
}

impl Rows {
    /// Loads tensor `name` of `weights`, which must have the shape `[rows, columns]`.
    ///
    /// # Errors
    /// What the source says; [`WeightError::RowTooLarge`] if a single row is over the device's limit.
    pub fn load(
        weights: &mut Weights<'_>,
        name: &str,
        [rows, columns]: [usize; 2],
    ) -> Result<Self, WeightError> {
        let coded = weights.is_coded(name)?;
        // A quantized matrix is dequantized where there is no kernel for it, in integers of 32 bits first.
        let row_bytes = columns * if coded { 4 } else { weights.dtype().bytes() };
        let per_part = rows_per_part(rows, row_bytes, weights.device()).map_err(|limit| {
            WeightError::RowTooLarge {
                name: weights.full_name(name),
                row_bytes: row_bytes as u64,
                limit,
                device: weights.device().name().to_owned(),
            }
        })?;
        let cuts = (0..rows).step_by(per_part);
        let cuts = cuts.map(|start| start..rows.min(start + per_part));
        let fused = weights.device().fused();
        let (mut parts, mut quantized) = (Vec::new(), Vec::new());
        for cut in cuts {
            match coded {
                true => quantized.push(weights.coded_rows(name, [rows, columns], cut)?),
                false => parts.push(weights.rows(name, [rows, columns], cut)?),
            }
        }
        Ok(Self {
            parts,
            quantized,
            fused,
        })
    }

    /// How many parts hold the matrix.
    pub fn parts(&self) -> usize {
        self.parts.len() + self.quantized.len()
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        let shapes = || {
            let parts = self.parts.iter().map(|part| part.dims());
            parts.chain(self.quantized.iter().map(Quantized::shape))
        };
        let rows = shapes().map(|[rows, _]| rows).sum();
        [rows, shapes().next().map_or(0, |[_, columns]| columns)]
    }

    /// The rows with these numbers: an embedding.
    ///
    /// `ids` `[n]` with every id below the number of rows -> `[n, columns]`
    pub fn select(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        if self.parts() == 1 {
            return self.select_from(0, ids); // [n, columns]
        }
        // Every part is asked for every id, clamped into its range, and the answers of the right one are kept.
        let mut start = 0i64;
        let mut selected: Option<Tensor<2>> = None;
        for part in 0..self.parts() {
            let rows = self.rows_of(part) as i64;
            let local = ids.clone() - start; // [n]
            let here = self.select_from(part, local.clone().clamp(0, rows - 1)); // [n, columns]
            selected = Some(match selected {
                None => here,
                Some(before) => {
                    let shape = before.dims();
                    let mine = local
                        .greater_equal_elem(0)
                        .unsqueeze_dim::<2>(1)
                        .expand(shape); // [n, columns]
                    before.mask_where(mine, here)
                }
            });
            start += rows;
        }
        selected.unwrap_or_else(|| unreachable!("there is more than one part"))
    }

    fn rows_of(&self, part: usize) -> usize {
        match self.quantized.get(part) {
            Some(quantized) => quantized.shape()[0],
            None => self.parts[part].dims()[0],
        }
    }

    /// `ids` `[n]` -> `[n, columns]`
    fn select_from(&self, part: usize, ids: Tensor<1, Int>) -> Tensor<2> {
        match self.quantized.get(part) {
            Some(quantized) => {
                let fused = self.fused.select(quantized, &ids);
                fused.unwrap_or_else(|| quantized.select(ids).dequantize())
            }
            None => self.parts[part].val().select(0, ids),
        }
    }

    /// The product with the transposed matrix: a projection, or the head.
    ///
    /// `x` `[n, columns]` -> `[n, rows]`
    pub fn project(&self, x: Tensor<2>) -> Tensor<2> {
        let mut outputs = Self::project_all(&[self], x);
        outputs.swap_remove(0)
    }

    /// The same for several matrices of equally many columns.
    ///
    /// `x` `[n, columns]` -> `[n, rows]` each
    pub fn project_all(matrices: &[&Self], x: Tensor<2>) -> Vec<Tensor<2>> {
        let fused = matrices.first().map_or(Fused::NONE, |matrix| matrix.fused);
        let plain = |weight: Tensor<2>| x.clone().matmul(weight.transpose()); // [n, rows of this part]
        let weights: Vec<_> = matrices
            .iter()
            .flat_map(|matrix| matrix.parts.iter().map(Param::val))
            .collect();
        let quantized: Vec<_> = matrices
            .iter()
            .flat_map(|matrix| &matrix.quantized)
            .collect();
        let products = fused
            .project(&x, &weights)
            .unwrap_or_else(|| weights.into_iter().map(plain).collect());
        let dequantized = fused.project_quantized(&x, &quantized).unwrap_or_else(|| {
            let weights = quantized.iter().map(|weight| weight.dequantize());
            weights.map(plain).collect()
        });
        let (mut products, mut dequantized) = (products.into_iter(), dequantized.into_iter());
        let joined = matrices.iter().map(|matrix| {
            let parts = products.by_ref().take(matrix.parts.len());
            let mut parts: Vec<_> = parts
                .chain(dequantized.by_ref().take(matrix.quantized.len()))
                .collect();
            match parts.len() {
                1 => parts.swap_remove(0),
                _ => Tensor::cat(parts, 1), // [n, rows]
            }
        });
        joined.collect()
    }
}

/// How many rows go into one tensor, at least one; the limit as error if not even one does.
fn rows_per_part(rows: usize, row_bytes: usize, device: &Device) -> Result<usize, u64> {
    match device.max_binding() {
        None => Ok(rows.max(1)),
        Some(limit) => match usize::try_from(limit).unwrap_or(usize::MAX) / row_bytes.max(1) {
            0 => Err(limit),
            fitting => Ok(fitting.min(rows.max(1))),
        },
    }
}
