//! Axes: from the least and the greatest value to a range, its ticks and what they say.

use std::ops::{Range, RangeInclusive};

use plotters::coord::{
    ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter},
    types::RangedCoordf64,
};

use crate::number::{grouped, power_of_two};

/// How values become places on an axis.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Scale {
    /// In proportion, from about the least to about the greatest value.
    #[default]
    Linear,
    /// In proportion, and zero is on it.
    FromZero,
    /// Each doubling is as wide as the one before.
    Log2,
}

/// Beyond this, ticks have no room for their digits.
const GREATEST: f64 = 1e15;

impl Scale {
    /// Where a value lies, in the units of the axis; `None` where it has no place.
    pub fn place(self, value: f64) -> Option<f64> {
        match self {
            Scale::Log2 => (1.0 / GREATEST..=GREATEST)
                .contains(&value)
                .then(|| value.log2()),
            Scale::Linear | Scale::FromZero => (value.abs() <= GREATEST).then_some(value),
        }
    }

    /// The axis for places from `least` to `greatest`, with a margin of this share around them.
    pub fn axis(self, least: f64, greatest: f64, margin: f64, most_ticks: usize) -> Ticked {
        let (least, greatest) = match self {
            Scale::FromZero => (least.min(0.0), greatest.max(0.0)),
            _ => (least, greatest),
        };
        let span = greatest - least;
        let largest = least.abs().max(greatest.abs());
        // Values that are equal, or nearly, still need an axis of some length.
        let margin = match self {
            Scale::Log2 if span < 0.1 => 0.5,
            _ if span > 1e-6 * largest => margin * span,
            _ if largest > 0.0 => 0.05 * largest,
            _ => 0.5,
        };
        // No axis of what cannot be negative begins below zero.
        let floor = if self != Scale::Log2 && least >= 0.0 {
            0.0
        } else {
            f64::NEG_INFINITY
        };
        let range = (least - margin).max(floor)..greatest + margin;
        match self {
            Scale::Log2 => Ticked::log2(range, most_ticks),
            _ => Ticked::linear(range, most_ticks),
        }
    }
}

/// An axis with its ticks.
#[derive(Clone)]
pub struct Ticked {
    pub range: Range<f64>,
    /// Where they are, and what they say.
    pub ticks: Vec<(f64, String)>,
}

impl Ticked {
    /// At most `most` ticks, as many as round numbers allow.
    pub fn linear(range: Range<f64>, most: usize) -> Self {
        let span = range.end - range.start;
        let (step, multiples) = round_steps(&range, most);
        // Ticks are `span / most` apart, or a little more.
        let decimals = (-(span / most as f64).log10()).ceil();
        let label = |value: f64| {
            if (-9.0..=5.0).contains(&decimals) {
                grouped(value, decimals.max(0.0) as usize)
            } else {
                let digits = range.end.abs().max(range.start.abs()).log10().floor();
                let digits = (digits - step.log10().floor()).clamp(0.0, 9.0) as usize;
                format!("{value:.digits$e}")
            }
        };
        let ticks = multiples
            .map(|multiple| multiple as f64 * step)
            .map(|place| (place, label(place)))
            .collect();
        Self { range, ticks }
    }

    /// Of what is counted: no ticks between whole numbers.
    pub fn whole(range: Range<f64>, most: usize) -> Self {
        let mut axis = Self::linear(range, most);
        axis.ticks.retain(|(place, _)| place.fract() == 0.0);
        for (place, label) in &mut axis.ticks {
            *label = grouped(*place, 0);
        }
        axis
    }

    /// Of logarithms to base 2, with ticks at the powers of two: about `most` of them are labelled, and the greatest is.
    /// Where there are fewer than two, the ticks are at round numbers.
    fn log2(range: Range<f64>, most: usize) -> Self {
        let (first, last) = (range.start.ceil() as i32, range.end.floor() as i32);
        if last <= first {
            let linear = Self::linear(range.start.exp2()..range.end.exp2(), most);
            let positive = linear.ticks.into_iter().filter(|(value, _)| *value > 0.0);
            let ticks = positive.map(|(value, label)| (value.log2(), label));
            let ticks = ticks.collect();
            return Self { range, ticks };
        }
        let every = ((last - first) / most as i32 + 1).max(1);
        let label = |exponent: i32| match (last - exponent) % every {
            0 => power_of_two(exponent),
            _ => String::new(),
        };
        let ticks = (first..=last)
            .map(|exponent| (f64::from(exponent), label(exponent)))
            .collect();
        Self { range, ticks }
    }
}

impl Ranged for Ticked {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, place: &f64, pixels: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range.clone()).map(place, pixels)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Light lines would be drawn under these once more.
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.clone()
    }
}

impl ValueFormatter<f64> for Ticked {
    fn format(place: &f64) -> String {
        place.to_string()
    }

    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *place);
        tick.map(|(_, label)| label.clone()).unwrap_or_default()
    }
}

/// The shortest of the steps 1, 2, 5, 10, ... (times a power of ten) with at most `most` multiples in the range, and those
/// multiples.
fn round_steps(range: &Range<f64>, most: usize) -> (f64, RangeInclusive<i64>) {
    let power = ((range.end - range.start) / most as f64).log10().floor() as i32;
    let multiples = |step: f64| {
        // A bound that is a multiple but for rounding counts.
        let first = (range.start / step - 1e-9).ceil() as i64;
        first..=(range.end / step + 1e-9).floor() as i64
    };
    let steps = (power - 1..=power + 2).flat_map(|power| [1.0, 2.0, 5.0].map(|one| (one, power)));
    let mut steps = steps.map(|(one, power)| {
        // Dividing by a power of ten rounds once, multiplying by one below 1 twice.
        match power {
            0.. => one * 10f64.powi(power),
            _ => one / 10f64.powi(-power),
        }
    });
    let fitting = steps.find(|step| multiples(*step).count() <= most);
    let step = fitting.unwrap_or(range.end - range.start);
    (step, multiples(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Ticked) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn ticks_are_round_numbers_inside_the_range() {
        assert_eq!(
            labels(&Ticked::linear(0.0..1.0, 8))[..3],
            ["0.0", "0.2", "0.4"]
        );
        let axis = Ticked::linear(-250.0..1250.0, 8);
        assert_eq!(
            labels(&axis),
            ["-200", "0", "200", "400", "600", "800", "1,000", "1,200"]
        );
        assert_eq!(labels(&Ticked::whole(0.0..2.0, 10)), ["0", "1", "2"]);
        assert!(labels(&Ticked::linear(1e14..1e15, 8)).contains(&"2.0e14"));
        for (start, span) in [(0.0, 1e-12), (1e15, 1e9), (-3.0, 0.7), (-1e15, 2e15)] {
            let axis = Ticked::linear(start..start + span, 8);
            assert!((2..=8).contains(&axis.ticks.len()), "{:?}", axis.ticks);
            let range = start - 1e-6 * span..=start + span * (1.0 + 1e-6);
            assert!(
                axis.ticks.iter().all(|tick| range.contains(&tick.0)),
                "{:?}",
                axis.ticks
            );
            assert!(
                axis.ticks.windows(2).all(|two| two[0].1 != two[1].1),
                "{:?}",
                axis.ticks
            );
        }
    }

    #[test]
    fn doublings_are_labelled_so_that_the_greatest_is() {
        let axis = Ticked::log2(0.0..17.0, 10);
        assert_eq!(axis.ticks.len(), 18);
        let labels: Vec<_> = labels(&axis)
            .into_iter()
            .filter(|label| !label.is_empty())
            .collect();
        assert_eq!(
            labels,
            [
                "2", "8", "32", "128", "512", "2,048", "8,192", "32,768", "131,072"
            ]
        );
    }

    #[test]
    fn within_one_doubling_ticks_are_round_numbers() {
        let axis = Scale::Log2.axis(1100f64.log2(), 1900f64.log2(), 0.0, 10);
        assert_eq!(labels(&axis)[..2], ["1,100", "1,200"]);
        assert!((axis.ticks[1].0 - 1200f64.log2()).abs() < 1e-12);
    }

    #[test]
    fn every_scale_gives_an_axis_of_some_length() {
        for scale in [Scale::Linear, Scale::FromZero, Scale::Log2] {
            for (least, greatest) in [(0.0, 0.0), (5.0, 5.0), (1.0, 1.0 + 1e-15), (3.0, 40.0)] {
                let axis = scale.axis(least, greatest, 0.05, 8);
                assert!(
                    axis.range.end - axis.range.start > 0.04,
                    "{scale:?} {least} {greatest}"
                );
                assert!(axis.range.start <= least && greatest <= axis.range.end);
                assert!(scale != Scale::FromZero || axis.range.start == 0.0);
            }
        }
        assert_eq!(Scale::Log2.place(0.0), None);
        assert_eq!(Scale::Linear.place(f64::NAN), None);
        assert_eq!(Scale::FromZero.place(1e16), None);
    }
}
