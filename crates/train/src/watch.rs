//! Whether a run still learns.

use std::collections::VecDeque;

use crate::metrics::Record;

/// Sees a run that no longer learns but forgets.
#[derive(Default)]
pub(crate) struct Watch {
    last: VecDeque<f64>,
    /// The lowest mean, and the step that it ends at.
    best: Option<(usize, f64)>,
}

impl Watch {
    /// Steps that are looked at together, because single batches differ.
    const STEPS: usize = 25;
    /// In nats: a run that is worse by so much than it was is lost. Noise over that many steps is far below it, and it
    /// is the difference between a model that knows its language's letters and one that knows its words.
    const RISE: f64 = 1.0;

    /// As it is after these.
    pub fn after(records: &[Record]) -> Self {
        let mut watch = Self::default();
        for record in records {
            if let Record::Train(record) = record {
                watch.diverges(record.step as usize, record.train_loss);
            }
        }
        watch
    }

    /// Over the last steps, fewer at the beginning.
    pub fn mean(&self) -> Option<f64> {
        (!self.last.is_empty()).then(|| self.last.iter().sum::<f64>() / self.last.len() as f64)
    }

    /// The mean loss now and at its best, if the loss diverges.
    pub fn diverges(&mut self, step: usize, loss: f64) -> Option<(f64, f64)> {
        self.last.push_back(loss);
        if self.last.len() > Self::STEPS {
            self.last.pop_front();
        }
        if self.last.len() < Self::STEPS {
            return None;
        }
        let now = self.mean()?;
        let best = self.best.filter(|&(_, best)| best <= now);
        let (_, best) = *self.best.insert(best.unwrap_or((step, now)));
        (now > best + Self::RISE).then_some((now, best))
    }

    /// The last step of the best stretch; 0 before there is one.
    pub fn best_step(&self) -> usize {
        self.best.map_or(0, |(step, _)| step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_loss_that_rises_for_good_is_seen_and_a_spike_is_not() {
        let mut watch = Watch::default();
        let mut steps = 1..;
        let mut seen = |loss| watch.diverges(steps.next().unwrap_or(0), loss);
        assert!((0..200).all(|step| seen(4.0 - f64::from(step) / 100.0).is_none()));
        assert_eq!(seen(12.0), None);
        assert!((0..30).all(|_| seen(2.0).is_none()));
        let rising = (0..200).find_map(|step| seen(2.0 + f64::from(step) / 20.0));
        let (now, best) = rising.expect("it is seen");
        assert!(now > best + 1.0 && best < 2.3, "{now} {best}");
        assert!(
            (200..240).contains(&watch.best_step()),
            "{}",
            watch.best_step()
        );
    }
}
