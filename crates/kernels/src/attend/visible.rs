//! Which keys a query sees.

use std::ops::Range;

/// The keys of each query as runs of slots: causality, windows, rings and padding make a run or two, any mask some.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Visible {
    rows: usize,
    queries: usize,
    keys: usize,
    /// Where the runs of each query begin, and the end: `rows * queries + 1`.
    starts: Vec<usize>,
    runs: Vec<Range<usize>>,
}

impl Visible {
    /// `runs(row, query)` in any order; `rows` is the batch, or 1 if all its rows are alike.
    pub fn new<I>(
        rows: usize,
        queries: usize,
        keys: usize,
        mut runs: impl FnMut(usize, usize) -> I,
    ) -> Self
    where
        I: IntoIterator<Item = Range<usize>>,
    {
        let mut visible = Self {
            rows,
            queries,
            keys,
            starts: vec![0],
            runs: Vec::new(),
        };
        let mut own = Vec::new();
        for row in 0..rows {
            for query in 0..queries {
                own.clear();
                own.extend(runs(row, query));
                join(&mut own);
                assert!(
                    own.last().is_none_or(|last| last.end <= keys),
                    "{own:?} of {keys} keys"
                );
                visible.runs.append(&mut own);
                visible.starts.push(visible.runs.len());
            }
        }
        visible
    }

    /// Every query sees every key.
    pub fn all(queries: usize, keys: usize) -> Self {
        Self::new(1, queries, keys, |_, _| Some(0..keys))
    }

    /// Query `i` stands at position `first + i` and sees the keys up to its own position, the last `window` of them if
    /// there is one; `positions` are those of the keys.
    pub fn causal(
        first: usize,
        queries: usize,
        window: Option<usize>,
        positions: Range<usize>,
    ) -> Self {
        Self::new(1, queries, positions.len(), |_, query| {
            let end = first + query + 1;
            let start = window.map_or(0, |window| end.saturating_sub(window));
            let place =
                |position: usize| position.clamp(positions.start, positions.end) - positions.start;
            Some(place(start)..place(end))
        })
    }

    /// From what each query must not see: `masked` `[rows, queries, keys]`.
    pub fn unmasked(rows: usize, queries: usize, keys: usize, masked: &[bool]) -> Self {
        assert_eq!(masked.len(), rows * queries * keys, "a mask for each query");
        Self::new(rows, queries, keys, |row, query| {
            let masked = &masked[(row * queries + query) * keys..][..keys];
            (0..keys)
                .filter(|key| !masked[*key])
                .map(|key| key..key + 1)
                .collect::<Vec<_>>()
        })
    }

    /// The batch, or 1 if all its rows are alike.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Where the runs of each query begin, `rows * queries + 1` words, and then the runs, two words each: start and end.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        let runs = self.runs.iter().flat_map(|run| [run.start, run.end]);
        // An adapter's tensors are below 2^32 numbers.
        self.starts
            .iter()
            .copied()
            .chain(runs)
            .map(|word| word as u32)
    }

    pub(super) fn fits(&self, batch: usize, queries: usize, keys: usize) -> bool {
        (self.rows == 1 || self.rows == batch) && self.queries == queries && self.keys == keys
    }

    /// How many keys all queries see, taken together, in a batch of this size.
    pub(super) fn seen_by_all(&self, batch: usize) -> usize {
        let seen: usize = self.runs.iter().map(ExactSizeIterator::len).sum();
        seen / self.rows.max(1) * batch
    }

    /// What one query sees, in order.
    fn seen(&self, row: usize, query: usize) -> &[Range<usize>] {
        let row = if self.rows == 1 { 0 } else { row };
        let at = row * self.queries + query;
        &self.runs[self.starts[at]..self.starts[at + 1]]
    }

    /// What at least one of these queries sees, in order.
    pub(super) fn union(&self, row: usize, queries: Range<usize>) -> Vec<Range<usize>> {
        let mut all: Vec<_> = queries
            .flat_map(|query| self.seen(row, query))
            .cloned()
            .collect();
        join(&mut all);
        all
    }

    /// Those of `keys` that a query does not see.
    pub(super) fn hidden(
        &self,
        row: usize,
        query: usize,
        keys: Range<usize>,
        mut hide: impl FnMut(Range<usize>),
    ) {
        let runs = self.seen(row, query);
        let mut from = keys.start;
        for run in &runs[runs.partition_point(|run| run.end <= keys.start)..] {
            if run.start >= keys.end {
                break;
            }
            if from < run.start {
                hide(from..run.start);
            }
            from = run.end;
        }
        if from < keys.end {
            hide(from..keys.end);
        }
    }
}

/// Puts runs in order, joins those that touch, and drops empty ones.
fn join(runs: &mut Vec<Range<usize>>) {
    runs.retain(|run| !run.is_empty());
    runs.sort_unstable_by_key(|run| run.start);
    runs.dedup_by(|next, run| {
        let touches = next.start <= run.end;
        if touches {
            run.end = run.end.max(next.end);
        }
        touches
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hidden(visible: &Visible, row: usize, query: usize, keys: Range<usize>) -> Vec<usize> {
        let mut hidden = Vec::new();
        visible.hidden(row, query, keys, |gap| hidden.extend(gap));
        hidden
    }

    #[test]
    fn runs_are_joined() {
        let visible = Visible::new(1, 1, 20, |_, _| [12..15, 3..3, 0..2, 14..16, 2..5]);
        assert_eq!(visible.union(0, 0..1), [0..5, 12..16]);
        assert_eq!(hidden(&visible, 0, 0, 3..14), (5..12).collect::<Vec<_>>());
        assert_eq!(hidden(&visible, 0, 0, 12..16), [0; 0]);
        assert_eq!(
            hidden(&visible, 0, 0, 4..20),
            (5..12).chain(16..20).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_mask_is_its_runs() {
        let masked: Vec<bool> = (0..2 * 3 * 11).map(|i| i * i % 7 < 3).collect();
        let visible = Visible::unmasked(2, 3, 11, &masked);
        for (at, masked) in masked.chunks(11).enumerate() {
            let defined: Vec<_> = (0..11).filter(|key| masked[*key]).collect();
            assert_eq!(hidden(&visible, at / 3, at % 3, 0..11), defined);
        }
    }

    #[test]
    fn causal_is_the_window() {
        for (first, window, start) in [
            (0, None, 0),
            (5, Some(3), 0),
            (9, Some(4), 6),
            (2, Some(1), 2),
            (4, Some(50), 1),
        ] {
            let positions = start..first + 6;
            let visible = Visible::causal(first, 6, window, positions.clone());
            for query in 0..6 {
                let sees = |key: usize| {
                    key <= first + query && window.is_none_or(|window| first + query - key < window)
                };
                let defined: Vec<_> = (0..positions.len())
                    .filter(|key| !sees(start + key))
                    .collect();
                assert_eq!(hidden(&visible, 0, query, 0..positions.len()), defined);
            }
        }
    }
}
