//! Rows of a cache chosen anew: reordered, as beam search does; repeated, as it begins; dropped, as a batch does.

use std::ops::Range;

use burn::tensor::{Int, Tensor, TensorData};

use super::{Cache, CacheError};

/// Which rows are kept, in which order, and how much of them is alike anyway.
pub struct Selection {
    rows: Vec<usize>,
    /// The same on the device: `[rows]`.
    index: Tensor<1, Int>,
    differs: Option<Range<usize>>,
}

impl Selection {
    /// The row that each new row is taken from.
    pub fn rows(&self) -> &[usize] {
        &self.rows
    }

    /// The same on the device: `[rows]`.
    pub fn index(&self) -> &Tensor<1, Int> {
        &self.index
    }

    /// The slots in which a row may differ from the one whose place it takes; `None` if there are more or fewer rows than
    /// before, so that none has a place yet.
    pub fn differs(&self) -> Option<Range<usize>> {
        self.differs.clone()
    }
}

impl Cache {
    /// Row `i` becomes what row `rows[i]` was; rows that are not named are forgotten. The order that is there already
    /// costs nothing; everything else copies what the rows hold, once.
    ///
    /// # Errors
    /// No rows, a row that is not there, or more of them than the device can hold: then nothing has changed.
    pub fn select(&mut self, rows: &[usize]) -> Result<(), CacheError> {
        self.select_after(0, rows)
    }

    /// The same, where row `i` and row `rows[i]` hold the same in the first `alike` slots: those stay where they are, if
    /// there are as many rows as before, and only what comes after them is copied. `tova` and the few states of `sinks`
    /// are copied whole.
    ///
    /// # Errors
    /// As [`Cache::select`].
    pub fn select_after(&mut self, alike: usize, rows: &[usize]) -> Result<(), CacheError> {
        let (before, after) = (self.batch, rows.len());
        if rows.is_empty() {
            return Err(CacheError::NoRows);
        }
        if let Some(&row) = rows.iter().find(|&&row| row >= before) {
            return Err(CacheError::NoSuchRow { row, batch: before });
        }
        if rows.iter().copied().eq(0..before) {
            return Ok(());
        }
        self.set_batch(after);
        if let Err(error) = self.check(self.seen) {
            self.set_batch(before);
            return Err(error);
        }
        let padding = self.padding.take();
        self.padding = padding.and_then(|padding| padding.select(rows).map(Into::into));
        let differs = (before == after).then(|| alike.min(self.seen)..self.seen);
        if differs.as_ref().is_some_and(Range::is_empty) {
            return Ok(());
        }
        let index: Vec<i32> = rows.iter().map(|&row| row as i32).collect();
        let selection = Selection {
            rows: rows.to_vec(),
            index: Tensor::from_data(TensorData::new(index, [after]), self.device.burn()),
            differs,
        };
        for layer in &mut self.layers {
            layer.select(&selection);
        }
        Ok(())
    }

    fn set_batch(&mut self, batch: usize) {
        for layer in &mut self.layers {
            layer.set_batch(self.batch, batch);
        }
        self.batch = batch;
    }
}
