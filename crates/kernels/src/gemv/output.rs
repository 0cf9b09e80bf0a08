//! Products that several threads write at once, each its own rows.

use std::marker::PhantomData;

/// `y` `[n, rows]`.
pub struct Output<'a> {
    first: *mut f32,
    n: usize,
    rows: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: `new` asks for what several threads need: no two write the same number, and none reads.
unsafe impl Sync for Output<'_> {}

impl<'a> Output<'a> {
    /// # Safety
    /// No two threads write the same row.
    pub unsafe fn new(y: &'a mut [f32], rows: usize) -> Self {
        let n = y.len().checked_div(rows).unwrap_or(0);
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        Self { first: y.as_mut_ptr(), n, rows, lifetime: PhantomData }
    }

    /// The products of a vector with N rows from `row` on: whole vectors are written without a call.
    #[inline(always)]
    pub fn write_all<const N: usize>(&self, vector: usize, row: usize, products: [f32; N]) {
        assert!(vector < self.n && row + N <= self.rows);
        // SAFETY: it lies within `y`, and nobody else writes it.
        unsafe { self.first.add(vector * self.rows + row).cast::<[f32; N]>().write(products) };
    }

    /// The products of a vector with some rows from `row` on.
    #[inline(always)]
    pub fn write(&self, vector: usize, row: usize, products: &[f32]) {
        assert!(vector < self.n && row + products.len() <= self.rows);
        for (i, product) in products.iter().enumerate() {
            // SAFETY: it lies within `y`, and nobody else writes it.
            unsafe { *self.first.add(vector * self.rows + row + i) = *product };
        }
    }
}
