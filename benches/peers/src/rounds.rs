//! Who runs when: in turn, so that whatever else the machine does meanwhile hits all alike.

use crate::{args::Dtype, error::PeerError, outcome::Outcome};

/// All rounds of one engine with one float type.
#[derive(Debug)]
pub struct Row {
    pub engine: String,
    pub dtype: Dtype,
    /// One for every round; or why there are not.
    pub outcomes: Result<Vec<Outcome>, String>,
}

impl Row {
    pub fn new(engine: String, dtype: Dtype) -> Self {
        let outcomes = Ok(Vec::new());
        Self {
            engine,
            dtype,
            outcomes,
        }
    }
}

/// Fills `rows`, `rounds` times from the first to the last. A row that failed once is out, and the others go on.
pub fn fill(
    rows: &mut [Row],
    rounds: usize,
    mut measure: impl FnMut(usize, &Row, usize) -> Result<Outcome, PeerError>,
) {
    for round in 0..rounds {
        for (place, row) in rows.iter_mut().enumerate() {
            if row.outcomes.is_err() {
                continue;
            }
            match (measure(place, row, round), &mut row.outcomes) {
                (Ok(outcome), Ok(outcomes)) => outcomes.push(outcome),
                (Err(error), outcomes) => *outcomes = Err(error.to_string()),
                (Ok(_), Err(_)) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::Times;

    #[test]
    fn rows_take_turns_and_one_that_fails_is_out() {
        let times = Times {
            load: 1.0,
            prefill: 1.0,
            decode: 1.0,
        };
        let mut rows = ["a", "b", "c"].map(|name| Row::new(name.to_owned(), Dtype::F32));
        let mut order = String::new();
        fill(&mut rows, 3, |place, row, round| {
            order += &row.engine;
            if place == 1 && round == 1 {
                let what = "no more memory".to_owned();
                return Err(PeerError::Process { what });
            }
            Ok(Outcome::new(round, vec![1, 2], times))
        });
        assert_eq!(order, "abcabcac");
        assert_eq!(rows[1].outcomes, Err("no more memory".to_owned()));
        for row in [&rows[0], &rows[2]] {
            let outcomes = row.outcomes.as_ref().unwrap();
            let rates = outcomes
                .iter()
                .map(|outcome| outcome.prefill_tokens_per_second);
            assert_eq!(rates.collect::<Vec<_>>(), [0.0, 1.0, 2.0]);
        }
    }
}
