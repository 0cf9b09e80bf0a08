//! Divergence: the loss rises for good.

use std::collections::VecDeque;

use crate::metrics::Record;

/// Detects divergence by the mean loss of the last steps.
#[derive(Default)]
pub(crate) struct DivergenceDetector {
    window: VecDeque<f64>,
    /// The lowest mean, and the last step of its window.
    best: Option<(usize, f64)>,
}

impl DivergenceDetector {
    /// Steps of a window: single batches differ too much.
    const WINDOW: usize = 25;
    /// In nats. The noise of a window is far below it; it is the difference between a model that knows its language's
    /// letters and one that knows its words.
    const MAX_RISE: f64 = 1.0;

    /// The detector's state after these records.
    pub fn after(records: &[Record]) -> Self {
        let mut detector = Self::default();
        for record in records {
            if let Record::Train(record) = record {
                detector.push(record.step as usize, record.train_loss);
            }
        }
        detector
    }

    /// The mean loss of the last steps, fewer than a window at the beginning.
    pub fn mean(&self) -> Option<f64> {
        let sum = self.window.iter().sum::<f64>();
        (!self.window.is_empty()).then(|| sum / self.window.len() as f64)
    }

    /// Takes the loss of the next step. Returns the mean loss now and the best one if the run diverges.
    pub fn push(&mut self, step: usize, loss: f64) -> Option<(f64, f64)> {
        self.window.push_back(loss);
        if self.window.len() > Self::WINDOW {
            self.window.pop_front();
        }
        if self.window.len() < Self::WINDOW {
            return None;
        }
        let now = self.mean()?;
        let best = self.best.filter(|&(_, best)| best <= now);
        let (_, best) = *self.best.insert(best.unwrap_or((step, now)));
        (now > best + Self::MAX_RISE).then_some((now, best))
    }

    /// The last step of the best window; 0 before the first window is full.
    pub fn best_step(&self) -> usize {
        self.best.map_or(0, |(step, _)| step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lasting_rise_is_detected_and_a_spike_is_not() {
        let mut detector = DivergenceDetector::default();
        let mut steps = 1..;
        let mut push = |loss| detector.push(steps.next().unwrap_or(0), loss);
        assert!((0..200).all(|step| push(4.0 - f64::from(step) / 100.0).is_none()));
        assert_eq!(push(12.0), None);
        assert!((0..30).all(|_| push(2.0).is_none()));
        let rising = (0..200).find_map(|step| push(2.0 + f64::from(step) / 20.0));
        let (now, best) = rising.expect("it is detected");
        assert!(now > best + 1.0 && best < 2.3, "{now} {best}");
        let best_step = detector.best_step();
        assert!((200..240).contains(&best_step), "{best_step}");
    }
}
