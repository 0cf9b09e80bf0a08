//! How work over elements is cut up for several threads.

/// The elements of one share, whole units, if there are any elements; all of them where a second thread would take
/// longer to wake up than to help.
///
/// Nothing here knows how many threads there are.
pub fn shares(elements: usize, unit: usize) -> Option<usize> {
    /// About ten microseconds of work.
    const SHARE: usize = 1 << 15;

    if elements == 0 {
        return None;
    }
    assert!(
        elements.is_multiple_of(unit),
        "{elements} elements in rows of {unit}"
    );
    Some(match elements < 2 * SHARE {
        true => elements,
        false => SHARE.div_ceil(unit) * unit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_whole_units() {
        assert_eq!(shares(0, 7), None);
        assert_eq!(shares(70, 7), Some(70));
        assert_eq!(shares(1 << 20, 1 << 10), Some(1 << 15));
        assert_eq!(shares(3 << 16, 3 << 14), Some(3 << 14));
        assert_eq!(shares(100 * 70_000, 70_000), Some(70_000));
    }
}
