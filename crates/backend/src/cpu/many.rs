//! Projections of many vectors, as a prompt needs them.

use gemm::Parallelism;
use rayon::prelude::*;

use super::{project::project_all, weight::Weight};

/// Vectors from which the `gemm` crate's repacking of float32 has paid for itself. Weights of 16 bits are half the
/// traffic in the caches, and it never does: it would have to be given a widened copy.
pub(crate) const GEMM_FROM: usize = 128;

/// Rows of weights that one call multiplies: `gemm` on one thread each is ahead of one `gemm` on all threads.
const PANEL: usize = 256;

/// [`project_all`] for any `n`: `x` `[n, columns]` times each `weight` `[rows, columns]` -> its `y` `[n, rows]`.
///
/// # Panics
/// As [`project_all`].
pub(crate) fn project_many<W: Weight>(
    x: &[f32],
    products: &mut [(&[W], &mut [f32])],
    columns: usize,
) {
    let enough = columns > 0 && x.len() / columns >= GEMM_FROM;
    let mut panels = Vec::new();
    for (weight, y) in &mut *products {
        match W::as_f32(weight) {
            Some(weight) if enough => cut(x, weight, y, columns, &mut panels),
            _ => return project_all(x, products, columns),
        }
    }
    // All of them together, so that no thread waits at the end of each.
    let panels = panels.into_par_iter().with_max_len(1);
    panels.for_each(|panel| panel.multiply(x, columns));
}

/// Some rows of a weight, and where their outputs begin.
struct Panel<'a> {
    weight: &'a [f32],
    y: Shared,
    /// Outputs of the whole weight, for each vector.
    rows: usize,
}

fn cut<'a>(
    x: &[f32],
    weight: &'a [f32],
    y: &mut [f32],
    columns: usize,
    panels: &mut Vec<Panel<'a>>,
) {
    let (n, rows) = (x.len() / columns, weight.len() / columns);
    assert_eq!(x.len(), n * columns, "x is [n, columns]");
    assert_eq!(weight.len(), rows * columns, "weight is [rows, columns]");
    assert_eq!(y.len(), n * rows, "y is [n, rows]");
    let start = Shared(y.as_mut_ptr());
    let cut = weight.chunks(PANEL * columns).enumerate();
    panels.extend(cut.map(|(i, weight)| Panel {
        weight,
        y: Shared(start.from(i * PANEL)),
        rows,
    }));
}

impl Panel<'_> {
    fn multiply(self, x: &[f32], columns: usize) {
        // SAFETY: `x` and `weight` are read as the `[n, columns]` and `[.., columns]` that they are. Of `y`, `[n, rows]`, this
        // writes as many columns as the panel has rows, from where it begins on: no other panel has these.
        unsafe {
            gemm::gemm(
                x.len() / columns,
                self.weight.len() / columns,
                columns,
                self.y.0,
                1,
                self.rows as isize,
                false,
                x.as_ptr(),
                1,
                columns as isize,
                self.weight.as_ptr(),
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
    }
}

/// The start of a matrix of which every thread writes columns of its own.
struct Shared(*mut f32);

// SAFETY: the pointer is to plain numbers that are borrowed while panels live; `multiply` says why no two threads write the
// same.
unsafe impl Send for Shared {}

impl Shared {
    fn from(&self, column: usize) -> *mut f32 {
        self.0.wrapping_add(column)
    }
}
