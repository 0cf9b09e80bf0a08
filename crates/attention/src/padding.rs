//! Whole sequences of unequal length in one batch: which slots hold a token, and at which position it is.

/// The attention mask of a batch, as `transformers` takes it.
///
/// A *slot* is a place in the batch's rectangle; a *position* is the number of tokens before it in its own row. Left
/// of a padded row's first token they differ, and the window and causality are about slots while the rotation is
/// about positions. Because no padding is ever seen, both give each row what it would get alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Padding {
    rows: Vec<Row>,
}

#[derive(Clone, Debug, PartialEq)]
struct Row {
    attends: Vec<bool>,
    positions: Vec<usize>,
    tokens: usize,
}

impl Padding {
    /// From a mask `[batch, seq]` in which `true` is a token; `None` if nothing is padding.
    pub fn from_mask(mask: &[Vec<bool>]) -> Option<Self> {
        if mask.iter().flatten().all(|&token| token) {
            return None;
        }
        let rows = mask
            .iter()
            .map(|attends| {
                let mut tokens = 0usize;
                let positions = attends
                    .iter()
                    .map(|&token| {
                        tokens += usize::from(token);
                        tokens.saturating_sub(1) // cumulative sum - 1, as in transformers; 0 left of the first token
                    })
                    .collect();
                Row { attends: attends.clone(), positions, tokens }
            })
            .collect();
        Some(Self { rows })
    }

    /// Number of rows.
    pub fn batch(&self) -> usize {
        self.rows.len()
    }

    /// Whether slot `slot` of row `row` holds a token. Slots right of the mask do: they are generated.
    pub fn attends(&self, row: usize, slot: usize) -> bool {
        self.rows[row].attends.get(slot).copied().unwrap_or(true)
    }

    /// Which of the first `slots` slots hold no token: `[batch, slots]`, row-major.
    pub(crate) fn hidden(&self, slots: usize) -> Vec<bool> {
        let row = |row| (0..slots).map(move |slot| !self.attends(row, slot));
        (0..self.batch()).flat_map(row).collect()
    }

    /// The position of the token in that slot.
    pub fn position(&self, row: usize, slot: usize) -> usize {
        let row = &self.rows[row];
        match row.positions.get(slot) {
            Some(&position) => position,
            None => row.tokens + (slot - row.positions.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_tokens() {
        let padding =
            Padding::from_mask(&[vec![true; 4], vec![false, false, true, true], vec![false, true, false, true]])
                .unwrap();
        let row = |row| (0..6).map(|slot| padding.position(row, slot)).collect::<Vec<_>>();
        assert_eq!(row(0), [0, 1, 2, 3, 4, 5]);
        assert_eq!(row(1), [0, 0, 0, 1, 2, 3]);
        assert_eq!(row(2), [0, 0, 0, 1, 2, 3]);
        assert!(!padding.attends(1, 1) && padding.attends(1, 2) && padding.attends(1, 99));
        assert_eq!(Padding::from_mask(&[vec![true; 3], vec![true; 3]]), None);
    }
}
