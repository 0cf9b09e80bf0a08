//! Projections `y = x W^T` by weights in 8 or 4 bits: as fast as their codes can be read, once.

use rayon::prelude::*;

use super::project::rows_per_piece;
use crate::codes::Codes;

mod activations;
#[cfg(target_arch = "x86_64")]
mod avx2;
mod bytes;
mod portable;
mod rows;
#[cfg(target_arch = "x86_64")]
mod vnni;

pub use activations::{Activations, Order};
use bytes::ByteLevel;
use rows::Rows;

/// `x` `[n, columns]` times each matrix of codes `[rows, columns]` -> its `y` `[n, rows]`: several projections of one `x`
/// (queries, keys and values; gate and up) with one wait for all threads.
///
/// `x` is taken in 8 bits ([`Activations`]), so what is added up for a block is exact, and the sum over blocks is one in
/// float32. An `x` that is off by at most half of its block's scale `d` makes the product of a row `w` off by at most the sum
/// of `d / 2 * |w|` over all columns. The codes are read from memory once whatever `n` is. The result does not depend on
/// the number of threads, nor a row of it on the other rows.
///
/// # Panics
/// If the lengths contradict each other.
pub fn project_codes(x: &[f32], products: &mut [(Codes<'_>, &mut [f32])], columns: usize) {
    project_at(ByteLevel::best(), x, products, columns);
}

/// The same with chosen instructions.
fn project_at(
    level: ByteLevel,
    x: &[f32],
    products: &mut [(Codes<'_>, &mut [f32])],
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
    let rows: usize = products.iter().map(|(weight, _)| weight.rows()).sum();
    let bytes: usize = products
        .iter()
        .map(|(weight, _)| weight.rows() * weight.row_bytes())
        .sum();
    let per_piece = rows_per_piece(n, rows, bytes.div_ceil(rows.max(1)));

    // Matrices of 8 bits read the vectors in another order than those of 4.
    let mut orders: Vec<(Order, Activations)> = Vec::new();
    for (weight, _) in &*products {
        let order = level.order(weight.bits);
        if orders.iter().all(|(made, _)| *made != order) {
            orders.push((order, Activations::new(x, columns, order)));
        }
    }
    let mut pieces = Vec::new();
    for (weight, y) in products {
        assert_eq!(weight.columns, columns, "weight is [rows, columns]");
        let rows = weight.rows();
        assert_eq!(y.len(), n * rows, "y is [n, rows]");
        if y.is_empty() {
            continue;
        }
        let order = level.order(weight.bits);
        let mut outputs: Vec<_> = y
            .chunks_mut(rows)
            .map(|y| y.chunks_mut(per_piece))
            .collect();
        for (_, x) in orders.iter().filter(|(made, _)| *made == order) {
            pieces.extend(weight.pieces(per_piece).map(|weight| Rows {
                x,
                weight,
                y: outputs.iter_mut().flat_map(Iterator::next).collect(),
            }));
        }
    }
    if per_piece >= rows {
        pieces.into_iter().for_each(|piece| piece.run(level));
    } else {
        let pieces = pieces.into_par_iter().with_max_len(1);
        pieces.for_each(|piece| piece.run(level));
    }
}

#[cfg(test)]
mod tests;
