//! Whether a row computes what the reference does: if not, how fast it does so means nothing.

use thiserror::Error;

use crate::Record;

/// How a row compares with the f32 reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correctness {
    /// Largest difference of any compared logit; NaN if one of them is NaN.
    pub max_logit_diff: f64,
    /// Of the reference's, regardless of sign.
    pub largest_logit: f64,
    pub greedy: Greedy,
}

/// The most probable token, step by step, against the reference's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Greedy {
    /// Before the first difference.
    pub equal: usize,
    pub compared: usize,
    /// In the reference's logits at the first difference: its own token's minus the row's token's. `None` without a
    /// difference, and where it is not known.
    pub gap: Option<f64>,
}

impl Greedy {
    /// From the tokens of both, and the gap, which is asked for the place of the first difference. If one text is shorter
    /// than the other, the difference is where it ends.
    pub fn compare(reference: &[u32], tokens: &[u32], gap: impl FnOnce(usize) -> Option<f64>) -> Self {
        let pairs = reference.iter().zip(tokens);
        let equal = pairs.take_while(|(a, b)| a == b).count();
        let compared = reference.len().max(tokens.len());
        Self { equal, compared, gap: if equal < compared { gap(equal) } else { None } }
    }

    /// 0 to 1; `None` if nothing was compared.
    pub fn agreement(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.equal as f64 / self.compared as f64)
    }
}

/// What is wrong with a row.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Broken {
    #[error("its logits are no numbers")]
    NoNumber,
    #[error("its logits are up to {diff:.2e} from the reference, and {tolerance:.0e} is allowed")]
    Logits { diff: f64, tolerance: f64 },
    #[error(
        "greedy token {at} of {compared} differs where the reference is sure by {gap:.2e}, and {allowed:.0e} would be a near tie"
    )]
    Greedy {
        /// Counted from 1.
        at: usize,
        compared: usize,
        gap: f64,
        allowed: f64,
    },
    #[error("greedy token {at} of {compared} differs, and how sure the reference is of its own is not known")]
    Unexplained { at: usize, compared: usize },
}

impl Correctness {
    /// `None` if the row counts, under a tolerance for logits that its dtype allows.
    ///
    /// Where each of two logits is off by up to the tolerance, their order is open up to twice the tolerance: a greedy
    /// token may differ there, and what follows then is another text that is not compared. Anywhere else it may not.
    pub fn broken(&self, tolerance: f64) -> Option<Broken> {
        let diff = self.max_logit_diff;
        if !diff.is_finite() {
            return Some(Broken::NoNumber);
        }
        if diff > tolerance {
            return Some(Broken::Logits { diff, tolerance });
        }
        let Greedy { equal, compared, gap, .. } = self.greedy;
        let (at, allowed) = (equal + 1, 2.0 * tolerance);
        match gap {
            _ if equal >= compared => None,
            Some(gap) if gap <= allowed => None,
            Some(gap) => Some(Broken::Greedy { at, compared, gap, allowed }),
            None => Some(Broken::Unexplained { at, compared }),
        }
    }
}

impl Record {
    /// Notes how the row compares with the reference, and strikes it out if that breaks the tolerance of its dtype.
    pub fn judge(&mut self, seen: &Correctness, tolerance: f64) {
        self.max_logit_diff = Some(seen.max_logit_diff);
        self.largest_logit = Some(seen.largest_logit);
        self.greedy_agreement = seen.greedy.agreement();
        self.greedy_tokens = Some(seen.greedy.compared);
        if let Some(broken) = seen.broken(tolerance) {
            self.failed = true;
            self.error = Some(broken.to_string());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(max_logit_diff: f64, equal: usize, gap: Option<f64>) -> Correctness {
        let greedy = Greedy { equal, compared: 128, gap };
        Correctness { max_logit_diff, largest_logit: 1.0, greedy }
    }

    #[test]
    fn tokens_count_up_to_the_first_difference() {
        let gap = |at| Some(at as f64);
        let greedy = Greedy::compare(&[1, 2, 3, 4], &[1, 2, 9, 4], gap);
        assert_eq!((greedy.equal, greedy.compared, greedy.gap), (2, 4, Some(2.0)));
        assert_eq!(greedy.agreement(), Some(0.5));
        let same = Greedy::compare(&[1, 2], &[1, 2], gap);
        assert_eq!((same.agreement(), same.gap), (Some(1.0), None));
        let short = Greedy::compare(&[1, 2], &[1], gap);
        assert_eq!((short.equal, short.compared), (1, 2));
        assert_eq!(Greedy::compare(&[], &[], gap).agreement(), None);
    }

    #[test]
    fn logits_keep_to_the_tolerance() {
        assert_eq!(seen(1e-4, 128, None).broken(1e-4), None);
        let broken = seen(1.1e-4, 128, None).broken(1e-4).unwrap();
        assert_eq!(broken.to_string(), "its logits are up to 1.10e-4 from the reference, and 1e-4 is allowed");
        for odd in [f64::NAN, f64::INFINITY] {
            assert_eq!(seen(odd, 128, None).broken(1e-4), Some(Broken::NoNumber));
        }
    }

    #[test]
    fn greedy_tokens_differ_only_at_near_ties() {
        assert_eq!(seen(1e-5, 40, Some(2e-4)).broken(1e-4), None);
        assert!(matches!(seen(1e-5, 40, Some(2.1e-4)).broken(1e-4), Some(Broken::Greedy { at: 41, .. })));
        assert!(matches!(seen(1e-5, 40, Some(f64::NAN)).broken(1e-4), Some(Broken::Greedy { .. })));
        assert!(matches!(seen(1e-5, 0, None).broken(1e-4), Some(Broken::Unexplained { at: 1, .. })));
    }

    #[test]
    fn a_broken_row_is_struck_out() {
        let mut row = Record::default();
        row.judge(&seen(1e-6, 128, None), 1e-4);
        assert!(!row.failed && row.error.is_none());
        assert_eq!(row.greedy_agreement, Some(1.0));
        row.judge(&seen(f64::NAN, 0, None), 1e-4);
        assert!(row.failed && row.max_logit_diff.unwrap().is_nan());
        assert_eq!(row.error.as_deref(), Some("its logits are no numbers"));
    }
}
