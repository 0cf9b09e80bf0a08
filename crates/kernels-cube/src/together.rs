//! Matrices that lie together: one behind the other in the same memory. Those that read the same vectors are one matrix then,
//! and take one launch.

use burn::{backend::Wgpu, tensor::Tensor};
use burn_cubecl::tensor::CubeTensor;

use super::{OnAdapters, adapter_tensor};

/// The most matrices that a kernel takes as one.
const MOST: usize = 3;

/// Some matrices as one.
pub(super) struct Run<K> {
    pub kind: K,
    /// What they consist of; quants, scales and zero points are tensors of their own.
    pub tensors: Vec<CubeTensor>,
    pub rows: Vec<RunRows>,
}

/// The rows of one of them.
#[derive(Clone, Copy, Debug)]
pub(super) struct RunRows {
    /// Rows of the run before it, those between matrices included.
    pub start: usize,
    pub len: usize,
}

impl<K> Run<K> {
    /// Rows up to the end of the last matrix.
    fn end(&self) -> usize {
        self.rows.last().map_or(0, |rows| rows.start + rows.len)
    }
}

/// Cuts a list of matrices, each in as many tensors as others of its kind, where they do not lie together.
pub(super) fn runs<K: Copy + PartialEq>(matrices: &[(K, Vec<CubeTensor>)]) -> Vec<Run<K>> {
    let mut runs: Vec<Run<K>> = Vec::new();
    for (kind, matrix) in matrices {
        let len = matrix[0].meta.shape()[0];
        let last =
            runs.last_mut().filter(|run| run.kind == *kind && run.rows.len() < MOST && run.rows[0].len > 0 && len > 0);
        if let Some(run) = last
            && let Some(start) = start_in(run, matrix)
        {
            run.tensors = run.tensors.iter().zip(matrix).map(|(run, next)| extended(run, next, start + len)).collect();
            run.rows.push(RunRows { start, len });
        } else {
            runs.push(Run { kind: *kind, tensors: matrix.clone(), rows: vec![RunRows { start: 0, len }] });
        }
    }
    runs
}

/// Where in a run the rows of `next` begin, if it lies behind the run: in each of its tensors behind as many rows.
fn start_in<K>(run: &Run<K>, next: &[CubeTensor]) -> Option<usize> {
    let mut starts = run.tensors.iter().zip(next).map(|(run, next)| {
        let [run_of, next_of] = [run, next].map(|tensor| tensor.handle.clone().binding());
        let alike = run.dtype == next.dtype
            && run.meta.shape()[1] == next.meta.shape()[1]
            && run.is_contiguous()
            && next.is_contiguous()
            && run_of.memory.id() == next_of.memory.id();
        let row = (run.meta.shape()[1] * run.dtype.size()) as u64;
        let before = next_of.range().start.checked_sub(run_of.range().start).filter(|_| alike && row > 0)?;
        before.is_multiple_of(row).then_some((before / row) as usize)
    });
    let start = starts.next().flatten().filter(|start| *start >= run.end())?;
    starts.all(|other| other == Some(start)).then_some(start)
}

/// `run` up to the end of `next`, so that it has so many rows.
fn extended(run: &CubeTensor, next: &CubeTensor, rows: usize) -> CubeTensor {
    let mut handle = run.handle.clone();
    handle.offset_end = next.handle.offset_end;
    let shape = [rows, run.meta.shape()[1]].into();
    CubeTensor::new_contiguous(run.client.clone(), run.device.clone(), shape, handle, run.dtype)
}

/// The same matrices (or the same parts of some), laid together, each where a binding may begin. `row_bytes` are those of a row
/// in each part that such matrices have: as many rows are between theirs in one part as in another. `None` where they are not
/// an adapter's, or where they take more than `most` bytes.
///
/// `[rows, columns]` each, with equally many columns
pub fn lay_together<K: OnAdapters>(
    matrices: &[Tensor<2, K>],
    row_bytes: &[usize],
    most: u64,
) -> Option<Vec<Tensor<2, K>>> {
    let tensors: Vec<CubeTensor> = matrices.iter().map(adapter_tensor).collect::<Option<_>>()?;
    let first = tensors.first().filter(|_| tensors.len() > 1)?;
    let (client, device, dtype) = (first.client.clone(), first.device.clone(), first.dtype);
    let columns = first.meta.shape()[1];
    let fits = |tensor: &CubeTensor| tensor.dtype == dtype && tensor.meta.shape()[1] == columns;
    if !tensors.iter().all(|tensor| fits(tensor) && tensor.meta.num_elements() > 0) {
        return None;
    }
    // An alignment is a power of two, and so are the rows that make whole ones of it.
    let alignment = client.properties().memory.alignment;
    let step = |bytes: &usize| alignment >> alignment.trailing_zeros().min(bytes.trailing_zeros());
    let step = row_bytes.iter().map(step).max()? as usize;
    let mut pieces = Vec::new();
    let mut rows = 0usize;
    let starts = matrices.iter().map(|matrix| {
        let start = rows.next_multiple_of(step);
        if start > rows {
            // Nobody reads what is between.
            pieces.push(Tensor::empty([start - rows, columns], (&matrix.device(), dtype)));
        }
        pieces.push(matrix.clone());
        rows = start + matrix.dims()[0];
        start
    });
    let starts: Vec<usize> = starts.collect();
    let row = (columns * dtype.size()) as u64;
    if rows as u64 * row > most {
        return None;
    }
    let whole = adapter_tensor(&Tensor::cat(pieces, 0))?; // [rows of all, columns]
    let parts = starts.into_iter().zip(&tensors).map(|(start, tensor)| {
        let shape = tensor.meta.shape().clone();
        let end = start + shape[0];
        let handle = whole.handle.clone().offset_start(start as u64 * row).offset_end((rows - end) as u64 * row);
        let part = CubeTensor::new_contiguous(client.clone(), device.clone(), shape, handle, dtype);
        Tensor::from_primitive::<Wgpu>(part) // [rows, columns]
    });
    Some(parts.collect())
}
