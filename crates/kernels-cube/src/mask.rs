//! Which keys queries see: a window, a run or a ring of positions.

use cubecl::prelude::*;
use glass_kernels::{KeyMask, KeyPositions};

use super::place;

/// Which keys the queries see, in numbers that are the same for each token of a text.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Numbers {
    window: u32,
    first_key: u32,
    /// From the first query to the end, or 2^32 less.
    end: u32,
    /// At most so many positions before the end are there.
    len: u32,
    origin: u32,
    keys: u32,
}

/// Behind all positions.
const FAR: u32 = 1 << 30;

pub(super) fn numbers(mask: KeyMask, keys: usize, first_query: usize) -> NumbersLaunch {
    let KeyMask { positions, first_key, window } = mask;
    let window = window.map_or(FAR, |window| FAR.min(window.try_into().unwrap_or(FAR)));
    let (oldest, end, len, origin, keys) = match positions {
        // A ring, as long as its window, that has not gone round yet.
        KeyPositions::Run { first: 0 } if keys <= window as usize => (0, keys, window, 0, window),
        // The slots of a run do not begin anew.
        KeyPositions::Run { first } => (first, first + keys, FAR, first, FAR),
        KeyPositions::Ring { end, len } => (0, end, len as u32, 0, keys as u32),
    };
    let end = (end as u32).wrapping_sub(first_query as u32);
    NumbersLaunch::new(window, first_key.max(oldest) as u32, end, len, origin as u32, keys)
}

/// Which keys the queries of a pass see.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Mask {
    pub first_query: usize,
    /// A query sees this many positions up to its own, ...
    pub window: usize,
    /// ... none before this, ...
    pub first_key: usize,
    /// ... and none from this on.
    pub end: usize,
    /// Slot `s` holds a position `p` with `(p - origin) % keys == s`.
    pub origin: usize,
    pub keys: usize,
}

/// Of the pass whose first query is at a [`Place`](super::place::Place).
#[cube]
pub(super) fn mask_of(numbers: &Numbers, high: &[u32], low: &[u32]) -> Mask {
    let first_query = place::position(high, low);
    let end = first_query + numbers.end;
    Mask {
        first_query: first_query as usize,
        window: numbers.window as usize,
        first_key: u32::max(numbers.first_key, end - u32::min(numbers.len, end)) as usize,
        end: end as usize,
        origin: numbers.origin as usize,
        keys: numbers.keys as usize,
    }
}
