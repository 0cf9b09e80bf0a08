//! Projections of many vectors, as a prompt needs them.

use gemm::Parallelism;
use rayon::prelude::*;

use super::{project::project, weight::Weight};

/// Vectors from which the `gemm` crate's repacking of float32 has paid for itself. Weights of 16 bits are half the
/// traffic in the caches, and it never does: it would have to be given a widened copy.
pub(crate) const GEMM_FROM: usize = 128;

/// Rows of weights that one call multiplies: `gemm` on one thread each is ahead of one `gemm` on all threads.
const PANEL: usize = 256;

/// [`project`] for any `n`: `x` `[n, columns]` times `weight` `[rows, columns]` -> `y` `[n, rows]`.
///
/// # Panics
/// As [`project`].
pub(crate) fn project_many<W: Weight>(x: &[f32], weight: &[W], y: &mut [f32], columns: usize) {
    match W::as_f32(weight) {
        Some(weight) if columns > 0 && x.len() / columns >= GEMM_FROM && !weight.is_empty() => {
            multiply(x, weight, y, columns);
        }
        _ => project(x, weight, y, columns),
    }
}

/// The same for float32 through `gemm`, `columns` and `rows` at least one.
fn multiply(x: &[f32], weight: &[f32], y: &mut [f32], columns: usize) {
    let (n, rows) = (x.len() / columns, weight.len() / columns);
    assert_eq!(x.len(), n * columns, "x is [n, columns]");
    assert_eq!(weight.len(), rows * columns, "weight is [rows, columns]");
    assert_eq!(y.len(), n * rows, "y is [n, rows]");
    let y = Shared(y.as_mut_ptr());
    let panels = weight.par_chunks(PANEL * columns).enumerate();
    panels.with_max_len(1).for_each(|(i, panel)| {
        // SAFETY: `x` and `panel` are read as the `[n, columns]` and `[.., columns]` that they are. Of `y`, `[n, rows]`, this
        // writes as many columns as `panel` has rows, from `i * PANEL` on: no other call of this closure writes these.
        unsafe {
            gemm::gemm(
                n,
                panel.len() / columns,
                columns,
                y.from(i * PANEL),
                1,
                rows as isize,
                false,
                x.as_ptr(),
                1,
                columns as isize,
                panel.as_ptr(),
                columns as isize,
                1,
                0.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    });
}

/// The start of a matrix of which every thread writes columns of its own.
struct Shared(*mut f32);

// SAFETY: the pointer is to plain numbers; `multiply` says why no two threads write the same.
unsafe impl Sync for Shared {}

impl Shared {
    fn from(&self, column: usize) -> *mut f32 {
        self.0.wrapping_add(column)
    }
}
