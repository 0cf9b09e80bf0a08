//! Matrices that lie together: one behind the other in the same memory. Those that read the same vectors are one matrix then,
//! and take one launch.

use burn::tensor::Tensor;
use burn_cubecl::tensor::CubeTensor;

use super::{OnAdapters, adapter_tensor};

/// The most matrices that a kernel takes as one.
const MOST: usize = 3;

/// Some matrices as one.
pub(super) struct Run<K> {
    pub kind: K,
    /// What they consist of; quants, scales and zero points are tensors of their own.
    pub tensors: Vec<CubeTensor>,
    /// Of each matrix.
    pub rows: Vec<usize>,
}

/// Cuts a list of matrices, each in as many tensors as others of its kind, where they do not lie together.
pub(super) fn runs<K: Copy + PartialEq>(matrices: &[(K, Vec<CubeTensor>)]) -> Vec<Run<K>> {
    let rows_of = |matrix: &[CubeTensor]| matrix[0].meta.shape()[0];
    let mut runs: Vec<Run<K>> = Vec::new();
    for (kind, matrix) in matrices {
        let rows = rows_of(matrix);
        if let Some(run) = runs.last_mut()
            && run.kind == *kind
            && run.rows.len() < MOST
            && rows * run.rows[0] > 0
            && run.tensors.iter().zip(matrix).all(|(run, next)| follows(run, next))
        {
            run.tensors = run.tensors.iter().zip(matrix).map(|(run, next)| extended(run, next)).collect();
            run.rows.push(rows);
        } else {
            runs.push(Run { kind: *kind, tensors: matrix.clone(), rows: vec![rows] });
        }
    }
    runs
}

/// Whether `next` begins where `run` ends.
fn follows(run: &CubeTensor, next: &CubeTensor) -> bool {
    let [run_of, next_of] = [run, next].map(|tensor| tensor.handle.clone().binding());
    run.dtype == next.dtype
        && run.meta.shape()[1] == next.meta.shape()[1]
        && run.is_contiguous()
        && next.is_contiguous()
        && run_of.memory.id() == next_of.memory.id()
        && run_of.range().end == next_of.range().start
}

/// `run` up to the end of `next`, which follows it.
fn extended(run: &CubeTensor, next: &CubeTensor) -> CubeTensor {
    let rows = run.meta.shape()[0] + next.meta.shape()[0];
    let mut handle = run.handle.clone();
    handle.offset_end = next.handle.offset_end;
    let shape = [rows, run.meta.shape()[1]].into();
    CubeTensor::new_contiguous(run.client.clone(), run.device.clone(), shape, handle, run.dtype)
}

/// The same matrices (or the same parts of some), laid together. `None` where they are not an adapter's, or where one would
/// begin between the places where a binding may begin, or where they take more than `most` bytes.
///
/// `[rows, columns]` each, with equally many columns
pub fn lay_together<K: OnAdapters>(matrices: &[Tensor<2, K>], most: u64) -> Option<Vec<Tensor<2, K>>> {
    let tensors: Vec<CubeTensor> = matrices.iter().map(|matrix| adapter_tensor(matrix)).collect::<Option<_>>()?;
    let (last, others) = tensors.split_last()?;
    let alignment = last.client.properties().memory.alignment as usize;
    let bytes = |tensor: &CubeTensor| tensor.meta.num_elements() * tensor.dtype.size();
    if tensors.iter().any(|tensor| bytes(tensor) == 0 || tensor.dtype != last.dtype)
        || others.iter().any(|tensor| !bytes(tensor).is_multiple_of(alignment))
    {
        return None;
    }
    let all: usize = tensors.iter().map(bytes).sum();
    // What lies before the last part is told by where that ends, so its length counts too.
    if others.is_empty() || !bytes(last).is_multiple_of(alignment) || all as u64 > most {
        return None;
    }
    let whole = Tensor::cat(matrices.to_vec(), 0); // [rows of all, columns]
    let mut start = 0;
    let parts = matrices.iter().map(|matrix| {
        let rows = matrix.dims()[0];
        start += rows;
        whole.clone().narrow(0, start - rows, rows) // [rows, columns]
    });
    Some(parts.collect())
}
