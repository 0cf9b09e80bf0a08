use std::ops::Range;

use glass_backend::KeyPositions;

use crate::Window;

/// The positions of the keys along the key axis of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Keys {
    /// One after the other.
    Run(Range<usize>),
    /// A full ring: slot `s` of `len` holds the newest position before `end` that leaves the remainder `s`.
    Ring { end: usize, len: usize },
}

impl Keys {
    /// How many keys there are.
    pub fn len(&self) -> usize {
        match self {
            Keys::Run(run) => run.len(),
            Keys::Ring { len, .. } => *len,
        }
    }

    /// The same as numbers for kernels.
    pub(crate) fn key_positions(&self) -> KeyPositions {
        match self {
            Keys::Run(run) => KeyPositions::Run { first: run.start },
            Keys::Ring { end, len } => KeyPositions::Ring {
                end: *end,
                len: *len,
            },
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of each key, in the order of the tensor.
    pub fn positions(&self) -> Box<dyn Iterator<Item = usize>> {
        match self.clone() {
            Keys::Run(run) => Box::new(run),
            Keys::Ring { end, len } => {
                let newest = end - 1;
                Box::new((0..len).map(move |slot| newest - (newest + len - slot) % len))
            }
        }
    }

    /// The part of the key axis that these queries can see: where it starts, and its keys.
    ///
    /// A ring is not cut: it holds no more than a window, in no order.
    pub fn seen_by(&self, window: Window, queries: Range<usize>) -> (usize, Keys) {
        match self {
            Keys::Run(run) => {
                let seen = window.seen_by(queries);
                let seen = seen.start.max(run.start)..seen.end.min(run.end);
                (seen.start - run.start, Keys::Run(seen))
            }
            ring => (0, ring.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_holds_its_newest_positions_at_their_remainders() {
        for len in 1..7 {
            for end in len..30 {
                let positions: Vec<_> = Keys::Ring { end, len }.positions().collect();
                for (slot, &position) in positions.iter().enumerate() {
                    assert_eq!(position % len, slot);
                }
                let mut sorted = positions.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (end - len..end).collect::<Vec<_>>());
            }
        }
    }
}
