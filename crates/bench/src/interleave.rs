//! The order of measuring: A B A B, so that a machine that slows down slows all rows.

use std::time::Duration;

/// Whose turn it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    /// From 0.
    pub round: usize,
    /// From 0.
    pub row: usize,
}

/// All turns, round by round. Rows that fail drop out of the rounds to come; the others go on.
///
/// ```
/// # use glass_bench::{Turn, Turns};
/// let mut turns = Turns::new(2, 3);
/// let mut order = Vec::new();
/// while let Some(Turn { round, row }) = turns.next() {
///     order.push(row);
///     if (round, row) == (1, 0) {
///         turns.drop_out(row);
///     }
/// }
/// assert_eq!(order, [0, 1, 0, 1, 1]);
/// ```
#[derive(Clone, Debug)]
pub struct Turns {
    rounds: usize,
    /// The turn that comes next, if its row is still there.
    next: Turn,
    rows: Vec<Row>,
}

#[derive(Clone, Debug, Default)]
struct Row {
    out: bool,
    /// How long its last turn took.
    took: Option<Duration>,
}

impl Turns {
    pub fn new(rows: usize, rounds: usize) -> Self {
        Self { rounds, next: Turn { round: 0, row: 0 }, rows: vec![Row::default(); rows] }
    }

    /// This row has no more turns.
    pub fn drop_out(&mut self, row: usize) {
        if let Some(row) = self.rows.get_mut(row) {
            row.out = true;
        }
    }

    /// How long the row's last turn took.
    pub fn took(&mut self, row: usize, duration: Duration) {
        if let Some(row) = self.rows.get_mut(row) {
            row.took = Some(duration);
        }
    }

    /// Turns that are left.
    pub fn left(&self) -> usize {
        (0..self.rows.len()).map(|row| self.left_of(row)).sum()
    }

    /// How long the rest will take, if each row goes on as it did the last time (the cold round is no measure of those after
    /// it), and a row that has not been seen takes what the others took on average. `None` while none has been.
    pub fn remaining(&self) -> Option<Duration> {
        let took: Vec<f64> = self.rows.iter().filter_map(|row| Some(row.took?.as_secs_f64())).collect();
        if took.is_empty() {
            return None;
        }
        let usual = took.iter().sum::<f64>() / took.len() as f64;
        let seconds = self.rows.iter().enumerate().map(|(number, row)| {
            let one = row.took.map_or(usual, |took| took.as_secs_f64());
            one * self.left_of(number) as f64
        });
        Duration::try_from_secs_f64(seconds.sum()).ok()
    }

    fn left_of(&self, row: usize) -> usize {
        if self.rows[row].out {
            return 0;
        }
        let rounds = self.rounds.saturating_sub(self.next.round);
        // In this round it has been there already.
        rounds.saturating_sub(usize::from(row < self.next.row))
    }
}

impl Iterator for Turns {
    type Item = Turn;

    fn next(&mut self) -> Option<Turn> {
        while self.left() > 0 {
            let turn = self.next;
            self.next.row += 1;
            if self.next.row == self.rows.len() {
                self.next = Turn { round: turn.round + 1, row: 0 };
            }
            if !self.rows[turn.row].out {
                return Some(turn);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(mut turns: Turns, out: impl Fn(Turn) -> Option<usize>) -> Vec<(usize, usize)> {
        let mut order = Vec::new();
        while let Some(turn) = turns.next() {
            order.push((turn.round, turn.row));
            if let Some(row) = out(turn) {
                turns.drop_out(row);
            }
        }
        assert_eq!(turns.left(), 0);
        order
    }

    #[test]
    fn rows_take_turns() {
        let all = order(Turns::new(2, 2), |_| None);
        assert_eq!(all, [(0, 0), (0, 1), (1, 0), (1, 1)]);
        assert!(order(Turns::new(0, 5), |_| None).is_empty());
        assert!(order(Turns::new(5, 0), |_| None).is_empty());
    }

    #[test]
    fn rows_drop_out_and_the_others_go_on() {
        let first = order(Turns::new(3, 3), |turn| (turn.row == 1).then_some(1));
        assert_eq!(first, [(0, 0), (0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 2)]);
        // One that drops out before its turn in this round has none.
        let later = order(Turns::new(2, 2), |turn| (turn.row == 0).then_some(1));
        assert_eq!(later, [(0, 0), (1, 0)]);
        let none = order(Turns::new(2, 9), |turn| Some(turn.row));
        assert_eq!(none, [(0, 0), (0, 1)]);
        let outside = order(Turns::new(1, 1), |_| Some(7));
        assert_eq!(outside, [(0, 0)]);
    }

    #[test]
    fn the_rest_is_estimated_from_the_last_round() {
        let seconds = Duration::from_secs;
        let mut turns = Turns::new(2, 3);
        assert_eq!((turns.left(), turns.remaining()), (6, None));
        turns.next();
        turns.took(0, seconds(10));
        // Two more of the first, three of the second, which is not known yet.
        assert_eq!(turns.remaining(), Some(seconds(50)));
        turns.next();
        turns.took(1, seconds(4));
        assert_eq!(turns.remaining(), Some(seconds(28)));
        turns.next();
        turns.took(0, seconds(2));
        assert_eq!(turns.remaining(), Some(seconds(10)));
        turns.drop_out(1);
        assert_eq!((turns.left(), turns.remaining()), (1, Some(seconds(2))));
        turns.next();
        assert_eq!(turns.remaining(), Some(Duration::ZERO));
    }
}
