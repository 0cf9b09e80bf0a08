//! A matrix of floats.

/// `[rows, columns]` in the order in which Hugging Face stores weights: row after row, a row for each output.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a, T> {
    values: &'a [T],
    columns: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// # Panics
    /// If `values` are not whole rows.
    pub fn new(values: &'a [T], columns: usize) -> Self {
        assert!(
            values.len().checked_rem(columns).unwrap_or(values.len()) == 0,
            "weight is [rows, columns]: {} numbers, {columns} columns",
            values.len()
        );
        Self { values, columns }
    }

    pub fn values(&self) -> &'a [T] {
        self.values
    }

    pub fn rows(&self) -> usize {
        self.values.len().checked_div(self.columns).unwrap_or(0)
    }

    pub fn columns(&self) -> usize {
        self.columns
    }
}
