//! The mask of a block of scores.

use std::ops::Range;

use glass_backend::Visible;

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

/// The keys that each query does see: the same, for kernels that visit no others.
pub(crate) fn visible(
    window: Window,
    queries: Range<usize>,
    keys: &Keys,
    padding: Option<&Padding>,
) -> Visible {
    let rows = padding.map_or(1, Padding::batch);
    Visible::new(rows, queries.len(), keys.len(), |row, query| {
        let query = queries.start + query;
        match (keys, padding) {
            (Keys::Run(_), None) => {
                let (start, seen) = keys.seen_by(window, query..query + 1);
                std::iter::once(start..start + seen.len()).collect::<Vec<_>>()
            }
            _ => {
                let sees = |(_, position): &(usize, usize)| {
                    window.sees(query, *position)
                        && padding.is_none_or(|padding| padding.attends(row, *position))
                };
                let seen = keys.positions().enumerate().filter(sees);
                seen.map(|(place, _)| place..place + 1).collect()
            }
        }
    })
}
