//! A matrix of weights held by rows, in as many tensors as the device's binding limit asks for.

use burn::{
    module::{Module, Param},
    tensor::{Int, Tensor},
};

use crate::{Device, Fused, WeightError, Weights};

/// A matrix `[rows, columns]` in the order in which Hugging Face stores it: one row per token of an embedding,
/// one row per output of a projection.
///
/// WebGPU promises bindings of 128 MiB and no more, and a vocabulary of 128,256 tokens by 2048 is 1 GiB in float32,
/// so the matrix is split between rows where the device's limit demands it. Nobody above this type sees the split.
#[derive(Module, Debug)]
pub struct Rows {
    /// Each `[rows of this part, columns]`, in order.
    parts: Vec<Param<Tensor<2>>>,
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
        let row_bytes = columns * weights.dtype().bytes();
        let per_part = rows_per_part(rows, row_bytes, weights.device()).map_err(|limit| {
            WeightError::RowTooLarge {
                name: weights.full_name(name),
                row_bytes: row_bytes as u64,
                limit,
                device: weights.device().name().to_owned(),
            }
        })?;
        let parts = (0..rows)
            .step_by(per_part)
            .map(|start| {
                let end = rows.min(start + per_part);
                weights.rows(name, [rows, columns], start..end)
            })
            .collect::<Result<_, _>>()?;
        let fused = weights.device().fused();
        Ok(Self { parts, fused })
    }

    /// How many tensors hold the matrix.
    pub fn parts(&self) -> usize {
        self.parts.len()
    }

    /// `[rows, columns]`.
    pub fn shape(&self) -> [usize; 2] {
        let rows = self.parts.iter().map(|part| part.dims()[0]).sum();
        [rows, self.parts[0].dims()[1]]
    }

    /// The rows with these numbers: an embedding.
    ///
    /// `ids` `[n]` with every id below the number of rows -> `[n, columns]`
    pub fn select(&self, ids: Tensor<1, Int>) -> Tensor<2> {
        let [first, rest @ ..] = self.parts.as_slice() else {
            unreachable!("a matrix has at least one part")
        };
        if rest.is_empty() {
            return first.val().select(0, ids); // [n, columns]
        }
        // Every part is asked for every id, clamped into its range, and the answers of the right one are kept.
        let mut start = 0i64;
        let mut selected: Option<Tensor<2>> = None;
        for part in &self.parts {
            let rows = part.dims()[0] as i64;
            let local = ids.clone() - start; // [n]
            let here = part.val().select(0, local.clone().clamp(0, rows - 1)); // [n, columns]
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
        let all = || matrices.iter().flat_map(|matrix| &matrix.parts);
        let fused = matrices.first().map_or(Fused::NONE, |matrix| matrix.fused);
        let weights: Vec<_> = all().map(Param::val).collect();
        let products = fused.project(&x, &weights).unwrap_or_else(|| {
            let plain = |weight: Tensor<2>| x.clone().matmul(weight.transpose()); // [n, rows of this part]
            weights.into_iter().map(plain).collect()
        });
        let mut products = products.into_iter();
        let joined = matrices.iter().map(|matrix| {
            let mut parts: Vec<_> = products.by_ref().take(matrix.parts()).collect();
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
