//! How work over elements is cut into chunks for several threads.

/// The elements of a chunk, whole units: all elements where a second thread would take longer to wake up than to help;
/// `None` if there are no elements.
///
/// The number of threads plays no part, so that results do not depend on it.
pub fn chunk_len(elements: usize, unit: usize) -> Option<usize> {
    /// About ten microseconds of work.
    const CHUNK: usize = 1 << 15;

    if elements == 0 {
        return None;
    }
    assert!(elements.is_multiple_of(unit), "{elements} elements in rows of {unit}");
    Some(if elements < 2 * CHUNK { elements } else { CHUNK.div_ceil(unit) * unit })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_whole_units() {
        assert_eq!(chunk_len(0, 7), None);
        assert_eq!(chunk_len(70, 7), Some(70));
        assert_eq!(chunk_len(1 << 20, 1 << 10), Some(1 << 15));
        assert_eq!(chunk_len(3 << 16, 3 << 14), Some(3 << 14));
        assert_eq!(chunk_len(100 * 70_000, 70_000), Some(70_000));
    }
}
