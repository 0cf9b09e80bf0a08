//! How fast this machine's memory can be read: the roof of decoding on the host.

use std::{hint::black_box, time::Instant};

use rayon::prelude::*;

/// Bytes read per pass unless asked otherwise: much more than the caches of all but the largest servers hold.
pub const BUFFER: usize = 256 << 20;
/// Passes unless asked otherwise.
pub const PASSES: usize = 8;

/// Elements that a thread takes at once: 1 MiB.
const PIECE: usize = 1 << 17;

/// Bytes per second at which all threads together read memory: the best of `passes` sums over a buffer of `bytes` bytes.
///
/// The best, because whatever else runs can only make a pass slower. What is measured is reading alone, as in decoding,
/// where weights are read and hardly anything is written: STREAM (McCalpin 1995) writes too and reports less. A buffer that
/// fits into the caches measures those. `None` if the buffer cannot be allocated or there is nothing to time.
pub fn host_bandwidth(bytes: usize, passes: usize) -> Option<f64> {
    let count = bytes / size_of::<u64>();
    let mut buffer: Vec<u64> = Vec::new();
    buffer.try_reserve_exact(count).ok()?;
    // Untouched memory would all be one page of zeros. Written in parallel, its pages lie near the threads that read them.
    (0..count).into_par_iter().map(|value| value as u64).collect_into_vec(&mut buffer);
    let pass = || {
        let start = Instant::now();
        let sum = buffer.par_chunks(PIECE).map(sum).reduce(|| 0, u64::wrapping_add);
        black_box(sum);
        let seconds = start.elapsed().as_secs_f64();
        (count * size_of::<u64>()) as f64 / seconds
    };
    (0..passes).map(|_| pass()).filter(|rate| rate.is_finite() && *rate > 0.0).max_by(f64::total_cmp)
}

/// Whole numbers may be summed in any order, so that the compiler vectorises this.
fn sum(piece: &[u64]) -> u64 {
    piece.iter().fold(0, |sum, value| sum.wrapping_add(*value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_at_a_possible_rate() {
        let rate = host_bandwidth(8 << 20, 3).unwrap();
        // Slower than a disk, or faster than any cache of today, would be a fault in here.
        assert!((1e7..1e14).contains(&rate), "{rate}");
    }

    #[test]
    fn nothing_to_read_gives_no_rate() {
        assert_eq!(host_bandwidth(0, 3), None);
        assert_eq!(host_bandwidth(1 << 20, 0), None);
        assert_eq!(host_bandwidth(usize::MAX / 2, 1), None);
    }
}
