//! The mask of a block of scores.

use std::ops::Range;

use crate::{Keys, Padding, Window};

/// What each query must not see: `[rows, queries, keys]`, row-major, where `rows` is the batch if there is padding
/// and else 1. `None` if it may see everything.
pub(crate) fn masked(
    window: Window,
    queries: Range<usize>,
    keys: &Keys,
    padding: Option<&Padding>,
) -> Option<Vec<bool>> {
    let rows = padding.map_or(1, Padding::batch);
    let mut masked = Vec::with_capacity(rows * queries.len() * keys.len());
    for row in 0..rows {
        for query in queries.clone() {
            masked.extend(keys.positions().map(|key| {
                !window.sees(query, key)
                    || padding.is_some_and(|padding| !padding.attends(row, key))
            }));
        }
    }
    masked.contains(&true).then_some(masked)
}
