//! Masks as numbers: which keys a query sees follows from positions.

use std::ops::Range;

/// The positions of the keys in the slots of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KeyPositions {
    /// Slot `s` holds position `first + s`.
    Run { first: usize },
    /// Slot `s` of `len` holds the newest position `p < end` with `p % len == s`, if there is one.
    Ring { end: usize, len: usize },
}

impl KeyPositions {
    /// The position of the key in `slot`; `None` if the ring has not come to it yet.
    pub fn position(self, slot: usize) -> Option<usize> {
        match self {
            Self::Run { first } => Some(first + slot),
            Self::Ring { end, len } => {
                let newest = end.checked_sub(1)?;
                newest.checked_sub((newest + len - slot) % len)
            }
        }
    }

    /// The slots, of `keys`, that hold `positions`: at most two runs in the order of the slots, either of which may be empty.
    pub fn slots(self, keys: usize, positions: Range<usize>) -> [Range<usize>; 2] {
        match self {
            Self::Run { first } => {
                let slot = |position: usize| position.saturating_sub(first).min(keys);
                [slot(positions.start)..slot(positions.end), keys..keys]
            }
            Self::Ring { end, len } => {
                let start = positions.start.max(end.saturating_sub(len));
                let held = positions.end.min(end).saturating_sub(start);
                let start = start % len.max(1);
                let end = start + held;
                if held == len {
                    [0..len, len..len]
                } else if end <= len {
                    [start..end, len..len]
                } else {
                    [0..end - len, start..len]
                }
            }
        }
    }
}

/// Which keys of one segment the queries of a pass see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyMask {
    pub positions: KeyPositions,
    /// Keys at positions before this one are masked.
    pub first_key: usize,
    /// The sliding window W: a query at position `p` sees the keys at positions `> p - W` and `<= p`; without one, all
    /// `<= p`. `attention/window.rs` owns its meaning.
    pub window: Option<usize>,
}

impl KeyMask {
    /// The slots, of `keys`, that at least one query at these positions sees: at most two runs in the order of the slots,
    /// either of which may be empty. For a single query they are exactly what it sees.
    pub fn visible(self, keys: usize, queries: Range<usize>) -> [Range<usize>; 2] {
        let start = self.window.map_or(0, |w| (queries.start + 1).saturating_sub(w));
        let positions = start.max(self.first_key)..queries.end;
        self.positions.slots(keys, positions)
    }
}

/// Calls `hide` with the gaps of `visible` in `keys`.
#[inline(always)]
pub(super) fn hidden(visible: &[Range<usize>; 2], keys: Range<usize>, mut hide: impl FnMut(Range<usize>)) {
    let mut from = keys.start;
    for run in visible {
        let (start, end) = (run.start.max(from), run.end.min(keys.end));
        if start < end {
            if from < start {
                hide(from..start);
            }
            from = end;
        }
    }
    if from < keys.end {
        hide(from..keys.end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The newest position of a ring's slot by search.
    fn held(end: usize, len: usize, slot: usize) -> Option<usize> {
        (0..end).rev().find(|position| position % len == slot)
    }

    fn all() -> Vec<(KeyPositions, usize)> {
        let runs = (0..5).flat_map(|first| (0..7).map(move |keys| (KeyPositions::Run { first }, keys)));
        let rings = (0..20).flat_map(|end| (1..7).map(move |len| (KeyPositions::Ring { end, len }, len)));
        runs.chain(rings).collect()
    }

    #[test]
    fn position_of_a_ring_slot_is_its_newest() {
        for (positions, keys) in all() {
            for slot in 0..keys {
                let defined = match positions {
                    KeyPositions::Run { first } => Some(first + slot),
                    KeyPositions::Ring { end, len } => held(end, len, slot),
                };
                assert_eq!(positions.position(slot), defined, "{positions:?} {slot}");
            }
        }
    }

    #[test]
    fn slots_are_those_whose_position_is_wanted() {
        for (positions, keys) in all() {
            for start in 0..12 {
                for end in start..14 {
                    let [a, b] = positions.slots(keys, start..end);
                    assert!(a.end <= b.start && b.end <= keys, "{positions:?} {a:?} {b:?}");
                    let wanted = |slot: &usize| {
                        let position = positions.position(*slot);
                        position.is_some_and(|position| (start..end).contains(&position))
                    };
                    let defined: Vec<_> = (0..keys).filter(wanted).collect();
                    assert!(a.chain(b).eq(defined), "{positions:?} {start}..{end}");
                }
            }
        }
    }

    #[test]
    fn visible_is_the_union_over_queries_and_hidden_the_rest() {
        for (positions, keys) in all() {
            for (first_key, window) in [(0, None), (3, None), (0, Some(1)), (2, Some(4)), (0, Some(50))] {
                let mask = KeyMask { positions, first_key, window };
                for queries in [0..1, 3..4, 2..5, 7..9, 11..16] {
                    let sees = |query: usize, slot: usize| {
                        positions.position(slot).is_some_and(|key| {
                            let seen = key <= query && key >= first_key;
                            seen && window.is_none_or(|window| query - key < window)
                        })
                    };
                    let seen = |slot: &usize| queries.clone().any(|query| sees(query, *slot));
                    let defined: Vec<_> = (0..keys).filter(seen).collect();
                    let [a, b] = mask.visible(keys, queries.clone());
                    assert!(a.chain(b).eq(defined), "{mask:?} {queries:?}");
                    let visible = mask.visible(keys, queries.start..queries.start + 1);
                    for part in [0..keys, keys / 3..keys - keys / 4] {
                        let mut gaps = Vec::new();
                        hidden(&visible, part.clone(), |gap| gaps.extend(gap));
                        let defined = part.filter(|slot| !sees(queries.start, *slot));
                        assert!(gaps.into_iter().eq(defined), "{mask:?} {queries:?}");
                    }
                }
            }
        }
    }
}
