//! Which keys a query may see. The only place that knows: masks and caches ask here, and tests hold kernels to it.

use std::{num::NonZeroUsize, ops::Range};

use burn::tensor::{Bool, Int, Tensor};

/// How far back a query of one layer sees.
///
/// A query at position `i` sees the key at position `j` if and only if `0 <= i - j < W`: exactly W keys, its own
/// included. That is the window of Longformer (Beltagy et al. 2020, arXiv:2004.05150) made causal, as Mistral 7B
/// uses it (Jiang et al. 2023, arXiv:2310.06825) and as `transformers` computes it. A window at least as long as
/// the sequence is full causal attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Window {
    /// Every key up to the query's own.
    Full,
    /// The last W keys, the query's own included.
    Last(NonZeroUsize),
}

impl Window {
    /// Whether a query at position `query` sees the key at position `key`.
    pub fn sees(self, query: usize, key: usize) -> bool {
        (self.first_seen(query)..=query).contains(&key)
    }

    /// The same on the device: true where the query at position `query` does not see the key at position `key`.
    ///
    /// `query` and `key` `[queries, keys]` -> the same shape
    pub fn hides(self, query: Tensor<2, Int>, key: Tensor<2, Int>) -> Tensor<2, Bool> {
        let future = key.clone().greater(query.clone());
        match self {
            Window::Full => future,
            Window::Last(w) => future.bool_or(key.lower_equal(query - w.get() as i64)),
        }
    }

    /// The earliest position that a query at `query` sees.
    pub fn first_seen(self, query: usize) -> usize {
        match self {
            Window::Full => 0,
            Window::Last(w) => (query + 1).saturating_sub(w.get()),
        }
    }

    /// The positions that at least one of these queries sees.
    pub fn seen_by(self, queries: Range<usize>) -> Range<usize> {
        self.first_seen(queries.start)..queries.end
    }

    /// The one that sees less.
    pub fn min(self, other: Window) -> Window {
        match (self, other) {
            (Window::Full, narrower) | (narrower, Window::Full) => narrower,
            (Window::Last(a), Window::Last(b)) => Window::Last(a.min(b)),
        }
    }

    /// How many positions a cache has to hold at most, the newest included; `None`: all of them.
    pub fn span(self) -> Option<usize> {
        match self {
            Window::Full => None,
            Window::Last(w) => Some(w.get()),
        }
    }
}

impl From<Option<NonZeroUsize>> for Window {
    fn from(window: Option<NonZeroUsize>) -> Self {
        window.map_or(Window::Full, Window::Last)
    }
}

#[cfg(test)]
mod tests {
    use glass_backend::{KeyPositions, KvSegment};

    use super::*;

    fn last(w: usize) -> Window {
        Window::Last(NonZeroUsize::new(w).unwrap())
    }

    /// The definition, word for word.
    fn defined(w: Option<usize>, i: usize, j: usize) -> bool {
        let distance = i as i64 - j as i64;
        0 <= distance && w.is_none_or(|w| distance < w as i64)
    }

    #[test]
    fn sees_is_the_definition() {
        for i in 0..20 {
            for j in 0..20 {
                assert_eq!(Window::Full.sees(i, j), defined(None, i, j));
                for w in 1..25 {
                    assert_eq!(last(w).sees(i, j), defined(Some(w), i, j), "w {w} i {i} j {j}");
                }
            }
        }
    }

    #[test]
    fn the_device_hides_what_is_not_seen() {
        let device = glass_backend::Device::open("flex").unwrap();
        let positions = Tensor::<1, Int>::arange(0..20, device.burn());
        let key = positions.clone().unsqueeze::<2>().expand([20, 20]);
        let query = positions.unsqueeze_dim::<2>(1).expand([20, 20]);
        for window in [Window::Full, last(1), last(2), last(7), last(30)] {
            let hidden = window.hides(query.clone(), key.clone()).into_data();
            let seen = (0..20).flat_map(|i| (0..20).map(move |j| !window.sees(i, j)));
            assert_eq!(hidden.iter::<bool>().collect::<Vec<_>>(), seen.collect::<Vec<_>>());
        }
    }

    /// A kernel visits exactly the slots whose keys a query sees.
    #[test]
    fn kernels_see_the_same() {
        let device = glass_backend::Device::open("flex").unwrap();
        for window in [Window::Full, last(1), last(2), last(7), last(30)] {
            for first_key in [0, 3] {
                for (positions, held) in [
                    (KeyPositions::Run { first: 4 }, (4..13).collect::<Vec<_>>()),
                    (KeyPositions::Ring { end: 23, len: 9 }, vec![18, 19, 20, 21, 22, 14, 15, 16, 17]),
                ] {
                    let kv = Tensor::<4>::zeros([1, 1, 9, 2], device.burn());
                    let segment =
                        KvSegment { first_key, window: window.span(), ..KvSegment::new(kv.clone(), kv, positions) };
                    for query in 0..30 {
                        let visited = segment.visible(query..query + 1).into_iter().flatten();
                        let visited: Vec<usize> = visited.map(|slot| held[slot]).collect();
                        let sees = |key: &usize| window.sees(query, *key) && *key >= first_key;
                        let seen: Vec<usize> = held.iter().copied().filter(sees).collect();
                        assert_eq!(visited, seen, "{window:?} {positions:?} {query}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_query_sees_exactly_w_keys_once_there_are_as_many() {
        for w in 1..9 {
            for i in w - 1..30 {
                assert_eq!((0..=i + 3).filter(|&j| last(w).sees(i, j)).count(), w);
            }
        }
    }

    #[test]
    fn seen_by_is_the_union() {
        for window in [Window::Full, last(1), last(2), last(7)] {
            for start in 0..12 {
                for end in start + 1..16 {
                    let union: Vec<_> = (0..20).filter(|&j| (start..end).any(|i| window.sees(i, j))).collect();
                    assert_eq!(window.seen_by(start..end).collect::<Vec<_>>(), union);
                }
            }
        }
    }
}
