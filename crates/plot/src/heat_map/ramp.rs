//! From a share to a colour, and to the ink that can be read on it.

use plotters::prelude::*;

/// Nine samples of viridis (Smith and van der Walt, matplotlib): its lightness rises evenly, so that it keeps its order in
/// grey and for the colour-blind.
const STOPS: [RGBColor; 9] = [
    RGBColor(68, 1, 84),
    RGBColor(71, 45, 123),
    RGBColor(59, 82, 139),
    RGBColor(44, 114, 142),
    RGBColor(33, 145, 140),
    RGBColor(40, 174, 128),
    RGBColor(94, 201, 98),
    RGBColor(173, 220, 48),
    RGBColor(253, 231, 37),
];

/// The colour of a share from 0 to 1.
pub fn color(share: f64) -> RGBColor {
    let place = share.clamp(0.0, 1.0) * (STOPS.len() - 1) as f64;
    let before = (place as usize).min(STOPS.len() - 2);
    let part = place - before as f64;
    let (from, to) = (STOPS[before], STOPS[before + 1]);
    let mix = |from: u8, to: u8| {
        let (from, to) = (f64::from(from), f64::from(to));
        (from + part * (to - from)).round() as u8
    };
    RGBColor(mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2))
}

/// Black or white, whichever stands out more.
pub fn ink_on(color: RGBColor) -> RGBColor {
    if contrast(BLACK, color) > contrast(WHITE, color) {
        BLACK
    } else {
        WHITE
    }
}

/// Contrast ratio of two colours, from 1 to 21 (WCAG 2.1).
fn contrast(a: RGBColor, b: RGBColor) -> f64 {
    let (a, b) = (luminance(a), luminance(b));
    (a.max(b) + 0.05) / (a.min(b) + 0.05)
}

/// Relative luminance of an sRGB colour, from 0 to 1 (WCAG 2.1).
fn luminance(RGBColor(red, green, blue): RGBColor) -> f64 {
    let linear = |channel: u8| {
        let channel = f64::from(channel) / 255.0;
        if channel <= 0.04045 {
            channel / 12.92
        } else {
            ((channel + 0.055) / 1.055).powf(2.4)
        }
    };
    0.2126 * linear(red) + 0.7152 * linear(green) + 0.0722 * linear(blue)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greater_shares_are_lighter() {
        let luminances: Vec<f64> = (0..=100)
            .map(|percent| luminance(color(f64::from(percent) / 100.0)))
            .collect();
        assert!(luminances.is_sorted_by(|a, b| a < b), "{luminances:?}");
    }

    #[test]
    fn every_value_can_be_read() {
        for thousandth in 0..=1000 {
            let color = color(f64::from(thousandth) / 1000.0);
            let ratio = contrast(ink_on(color), color);
            assert!(ratio >= 4.5, "{ratio} at {thousandth}");
        }
        assert!((contrast(BLACK, WHITE) - 21.0).abs() < 1e-9);
    }

    #[test]
    fn the_ends_are_those_of_the_ramp() {
        assert_eq!((color(0.0), color(1.0)), (STOPS[0], STOPS[8]));
        assert_eq!(color(0.5), STOPS[4]);
    }
}
