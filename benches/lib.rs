//! What the benchmarks have in common.

pub mod contenders;
pub mod papers;
pub mod reader;

pub use reader::Reader;

/// The best and the median of some rates; `None` if nothing was measured.
pub fn best_and_median(rates: &mut [f64]) -> Option<(f64, f64)> {
    rates.sort_by(f64::total_cmp);
    Some((*rates.last()?, rates[rates.len() / 2]))
}
