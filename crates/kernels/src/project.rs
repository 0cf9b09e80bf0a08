//! Projections `y = x W^T` of one or a few vectors: as fast as the weights can be read, once.

use rayon::prelude::*;

use super::{
    dot::{BLOCK, Interleaved, Rows, TOGETHER},
    lanes::Level,
    weight::Weight,
};

/// Bytes of weights per pass of a few vectors that one core reads sooner than another has been woken, which takes about
/// 20 us from a thread outside rayon's pool ...
const SERIAL_OUTSIDE: usize = 1 << 20;

/// ... and half of that or less inside it, where the caller does the work itself if nobody comes.
const SERIAL_INSIDE: usize = 256 << 10;

/// Pieces per thread: more than one, so that a thread that was kept away holds nobody up for long.
const PIECES: usize = 4;

/// Vectors that are multiplied about as fast as the weights can be read.
const FEW: usize = 8;

/// Bytes of weights in a piece that more vectors than that pass several times, and that shall still be in the last
/// cache when they do.
const LONG_BYTES: usize = 1 << 20;

/// `x` `[n, columns]` times each `weight` `[rows, columns]` -> its `y` `[n, rows]`, summed in float32: several projections of
/// one `x` (queries, keys and values; gate and up) with one wait for all threads.
///
/// The weights are read from memory once whatever `n` is, up to about eight at the speed of the memory. The result does not
/// depend on the number of threads, nor a row of it on the other rows. See [`super::many::project_many`] for prompts.
///
/// # Panics
/// If the lengths contradict each other.
pub fn project_all<W: Weight>(x: &[f32], products: &mut [(&[W], &mut [f32])], columns: usize) {
    project_at(Level::best(), x, products, columns);
}

/// The same with chosen instructions.
fn project_at<W: Weight>(
    level: Level,
    x: &[f32],
    products: &mut [(&[W], &mut [f32])],
    columns: usize,
) {
    if columns == 0 {
        for (_, y) in products {
            y.fill(0.0);
        }
        return;
    }
    assert_eq!(x.len() % columns, 0, "x is [n, columns]");
    let n = x.len() / columns;
    let rows: usize = products
        .iter()
        .map(|(weight, _)| weight.len() / columns)
        .sum();
    let per_piece = rows_per_piece(n, rows, columns * size_of::<W>());

    let x = &Interleaved::new(x, columns, level.lanes());
    let mut pieces = Vec::new();
    for (weight, y) in products {
        assert_eq!(weight.len() % columns, 0, "weight is [rows, columns]");
        let rows = weight.len() / columns;
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        if y.is_empty() {
            continue;
        }
        let mut outputs: Vec<_> = y
            .chunks_mut(rows)
            .map(|y| y.chunks_mut(per_piece))
            .collect();
        pieces.extend(weight.chunks(per_piece * columns).map(|weight| Rows {
            x,
            weight,
            y: outputs.iter_mut().flat_map(Iterator::next).collect(),
        }));
    }
    if per_piece >= rows {
        pieces.into_iter().for_each(|piece| level.run(piece));
    } else {
        let pieces = pieces.into_par_iter().with_max_len(1);
        pieces.for_each(|piece| level.run(piece));
    }
}

/// How many rows of `row_bytes` each go to a thread at a time, at least one.
pub(super) fn rows_per_piece(n: usize, rows: usize, row_bytes: usize) -> usize {
    let serial = match rayon::current_thread_index() {
        Some(_) => SERIAL_INSIDE,
        None => SERIAL_OUTSIDE,
    };
    let threads = rayon::current_num_threads();
    if threads == 1 || rows * row_bytes * n.div_ceil(TOGETHER) < serial {
        return rows.max(1);
    }
    let even = rows.div_ceil(threads * PIECES);
    let most = match n > FEW {
        true => LONG_BYTES / row_bytes,
        false => even,
    };
    even.min(most).max(1).next_multiple_of(BLOCK)
}

#[cfg(test)]
mod tests;
