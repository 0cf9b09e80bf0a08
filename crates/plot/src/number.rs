//! Numbers as people read them.

/// With so many decimals, and commas between thousands.
pub fn grouped(value: f64, decimals: usize) -> String {
    // Adding zero takes the sign from minus zero.
    let digits = format!("{:.decimals$}", value + 0.0);
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits.as_str()),
    };
    let whole = digits.find('.').unwrap_or(digits.len());
    let mut grouped = sign.to_owned();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && index < whole && (whole - index) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// 2 to the power of `exponent`: written out where that is short.
pub fn power_of_two(exponent: i32) -> String {
    match exponent {
        0..=20 => grouped(f64::from(exponent).exp2(), 0),
        -3..0 => f64::from(exponent).exp2().to_string(),
        _ => {
            let raised = |c| match c {
                '-' => '⁻',
                '1' => '¹',
                '2' => '²',
                '3' => '³',
                // The others are a block of their own, in order.
                digit => digit
                    .to_digit(10)
                    .and_then(|value| char::from_u32(0x2070 + value))
                    .unwrap_or(digit),
            };
            let digits: String = exponent.to_string().chars().map(raised).collect();
            format!("2{digits}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_grouped_and_decimals_are_not() {
        assert_eq!(grouped(1234567.0, 0), "1,234,567");
        assert_eq!(grouped(-123.45678, 4), "-123.4568");
        assert_eq!(grouped(1000.5, 1), "1,000.5");
        assert_eq!(grouped(-0.0, 1), "0.0");
    }

    #[test]
    fn powers_of_two_are_written_out_or_raised() {
        assert_eq!(power_of_two(-3), "0.125");
        assert_eq!(power_of_two(0), "1");
        assert_eq!(power_of_two(17), "131,072");
        assert_eq!(power_of_two(34), "2³⁴");
        assert_eq!(power_of_two(-10), "2⁻¹⁰");
    }
}
