//! What many measurements of one thing say together.

/// Which end of the measurements is the good one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// Rates.
    Higher,
    /// Times.
    Lower,
}

/// Repeated measurements of one thing, all in the unit of the measurements.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    pub mean: f64,
    /// Of the sample (divided by n - 1); `None` for a single measurement, which says nothing of its spread.
    pub standard_deviation: Option<f64>,
    /// The 50th percentile.
    pub median: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The greatest rate, or the least time.
    pub best: f64,
}

impl Summary {
    /// `None` without measurements, and where one of them is no finite number: a summary of the others would hide it.
    pub fn of(measurements: &[f64], better: Better) -> Option<Self> {
        let mut sorted = measurements.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&least, &greatest) = (sorted.first()?, sorted.last()?);
        if !sorted.iter().all(|value| value.is_finite()) {
            return None;
        }
        let count = sorted.len() as f64;
        let mean = sorted.iter().sum::<f64>() / count;
        let squares: f64 = sorted.iter().map(|value| (value - mean).powi(2)).sum();
        Some(Self {
            mean,
            standard_deviation: (sorted.len() > 1).then(|| (squares / (count - 1.0)).sqrt()),
            median: percentile(&sorted, 0.5),
            p95: percentile(&sorted, 0.95),
            best: match better {
                Better::Higher => greatest,
                Better::Lower => least,
            },
        })
    }
}

/// Between the two nearest measurements, in proportion: definition 7 of Hyndman and Fan 1996, "Sample quantiles in
/// statistical packages", which is NumPy's default. `sorted` ascends and is not empty.
fn percentile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_those_of_numpy() {
        // numpy: mean, std(ddof=1), percentile(50), percentile(95) of [2, 9, 4, 7, 4].
        let summary = Summary::of(&[2.0, 9.0, 4.0, 7.0, 4.0], Better::Higher).unwrap();
        assert_eq!((summary.mean, summary.median, summary.best), (5.2, 4.0, 9.0));
        assert!((summary.standard_deviation.unwrap() - 2.774887385102322).abs() < 1e-12);
        assert!((summary.p95 - 8.6).abs() < 1e-12);
        let even = Summary::of(&[1.0, 2.0, 3.0, 10.0], Better::Lower).unwrap();
        assert_eq!((even.median, even.best), (2.5, 1.0));
    }

    #[test]
    fn one_measurement_has_no_spread() {
        let summary = Summary::of(&[3.5], Better::Lower).unwrap();
        assert_eq!(summary.standard_deviation, None);
        let Summary { mean, median, p95, best, .. } = summary;
        assert_eq!([mean, median, p95, best], [3.5; 4]);
        let equal = Summary::of(&[3.5; 3], Better::Lower).unwrap();
        assert_eq!(equal.standard_deviation, Some(0.0));
    }

    #[test]
    fn what_is_no_number_is_not_summed_up() {
        assert_eq!(Summary::of(&[], Better::Higher), None);
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Summary::of(&[1.0, odd, 2.0], Better::Higher), None);
        }
    }
}
