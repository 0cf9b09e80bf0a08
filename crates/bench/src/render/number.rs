//! Numbers for a table: about four significant digits.

/// A number with about four significant digits; `-` for `None`.
pub fn figure(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "-".into();
    };
    let size = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if size == 0.0 {
        return "0".into();
    }
    // Five where rounding gives one more.
    match size {
        1e-2..10.0 => format!("{value:.3}"),
        10.0..100.0 => format!("{value:.2}"),
        100.0..1000.0 => format!("{value:.1}"),
        1000.0..1e7 => format!("{value:.0}"),
        _ => format!("{value:.1e}"),
    }
}

/// A number in another unit: bytes in megabytes with 1e6.
pub fn scaled(value: Option<f64>, unit: f64) -> String {
    figure(value.map(|value| value / unit))
}

/// A fraction from 0 to 1 in percent.
pub fn percent(fraction: Option<f64>) -> String {
    fraction.map_or("-".into(), |fraction| format!("{:.1}", 100.0 * fraction))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_about_four_digits() {
        let figures = [0.0, 1.23456e-5, 0.0123456, 1.23456, 12.3456, 123.456, 1234.56, 1234567.0, 1.23456e9, -12.3456];
        let expected = ["0", "1.2e-5", "0.012", "1.235", "12.35", "123.5", "1235", "1234567", "1.2e9", "-12.35"];
        assert_eq!(figures.map(|value| figure(Some(value))), expected);
        assert_eq!(figure(None), "-");
        assert_eq!(figure(Some(f64::NAN)), "NaN");
        assert_eq!(figure(Some(f64::NEG_INFINITY)), "-inf");
        assert_eq!(scaled(Some(2.5e9), 1e6), "2500");
        assert_eq!((percent(Some(0.7051)), percent(None)), ("70.5".into(), "-".into()));
    }
}
