//! Python's `datetime.strftime`, in English as Python has it without a locale, of a time without a zone.

use jiff::{civil::DateTime, tz::TimeZone};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const DAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// The time in this format. As on Linux: `-`, `_`, `0` and `^` behind the percent sign decide how numbers are filled and
/// letters written, and `E` and `O`, which ask for another calendar or other digits, change nothing; what is not a directive
/// stays as it is.
pub(super) fn strftime(format: &str, time: DateTime) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        let behind = &rest[at + 1..];
        let flags = behind.len() - behind.trim_start_matches(['-', '_', '0', '^', '#']).len();
        let digits = behind[flags..].len() - behind[flags..].trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let mut letters = behind[flags + digits..].chars().peekable();
        let known = match letters.peek() {
            Some('E') => "cCxXyY",
            Some('O') => "bBdeHhImMSuUVwWy",
            _ => "",
        };
        let first = letters.next();
        let other = letters.next().filter(|directive| known.contains(*directive));
        let directive = other.or(first);
        let length = 1 + flags + digits + usize::from(other.is_some()) + directive.map_or(0, char::len_utf8);
        let (flags, width) = behind[..flags + digits].split_at(flags);
        match directive.and_then(|directive| value(directive, time)) {
            Some(value) => out.push_str(&value.filled(flags, width.parse().unwrap_or(0))),
            None => out.push_str(&rest[at..at + length]),
        }
        rest = &rest[at + length..];
    }
    out.push_str(rest);
    out
}

enum Value {
    Text(String),
    /// A number, its width, and what fills it.
    Number(i64, usize, char),
}

impl Value {
    fn filled(&self, flags: &str, width: usize) -> String {
        let flag = flags.chars().rev().find(|flag| matches!(flag, '-' | '_' | '0'));
        let (text, usual, fill) = match self {
            Self::Text(text) => (text.clone(), 0, ' '),
            Self::Number(number, usual, fill) => (number.to_string(), *usual, *fill),
        };
        let (least, fill) = match flag {
            Some('-') => (0, fill),
            Some('_') => (usual.max(width), ' '),
            Some('0') => (usual.max(width), '0'),
            _ => (if width > 0 { width } else { usual }, fill),
        };
        let missing = least.saturating_sub(text.chars().count());
        let text = fill.to_string().repeat(missing) + &text;
        if flags.contains('^') { text.to_uppercase() } else { text }
    }
}

fn value(directive: char, time: DateTime) -> Option<Value> {
    let two = |number: i64| Value::Number(number, 2, '0');
    let text = |text: &str| Value::Text(text.to_owned());
    let format = |format: &str| Value::Text(strftime(format, time));
    let weekday = i64::from(time.weekday().to_sunday_zero_offset());
    let day_of_year = i64::from(time.day_of_year());
    let hour = i64::from(time.hour());
    let twelve = if hour % 12 == 0 { 12 } else { hour % 12 };
    let month = MONTHS[usize::from(time.month().unsigned_abs()) - 1];
    let day = DAYS[weekday as usize];
    let year = i64::from(time.year());
    let iso = time.iso_week_date();
    Some(match directive {
        '%' => text("%"),
        'n' => text("\n"),
        't' => text("\t"),
        'a' => text(&day[..3]),
        'A' => text(day),
        'b' | 'h' => text(&month[..3]),
        'B' => text(month),
        'p' => text(if hour < 12 { "AM" } else { "PM" }),
        'P' => text(if hour < 12 { "am" } else { "pm" }),
        'c' => format("%a %b %e %H:%M:%S %Y"),
        'D' | 'x' => format("%m/%d/%y"),
        'F' => format("%Y-%m-%d"),
        'R' => format("%H:%M"),
        'T' | 'X' => format("%H:%M:%S"),
        'r' => format("%I:%M:%S %p"),
        'z' | 'Z' => text(""),
        'd' => two(i64::from(time.day())),
        'e' => Value::Number(i64::from(time.day()), 2, ' '),
        'm' => two(i64::from(time.month())),
        'y' => two(year.rem_euclid(100)),
        'C' => two(year.div_euclid(100)),
        'Y' => Value::Number(year, 0, '0'),
        'H' => two(hour),
        'k' => Value::Number(hour, 2, ' '),
        'I' => two(twelve),
        'l' => Value::Number(twelve, 2, ' '),
        'M' => two(i64::from(time.minute())),
        'S' => two(i64::from(time.second())),
        's' => Value::Number(time.to_zoned(TimeZone::system()).ok()?.timestamp().as_second(), 0, '0'),
        'f' => Value::Number(i64::from(time.subsec_nanosecond() / 1000), 6, '0'),
        'j' => Value::Number(day_of_year, 3, '0'),
        'w' => Value::Number(weekday, 0, '0'),
        'u' => Value::Number(if weekday == 0 { 7 } else { weekday }, 0, '0'),
        'U' => two((day_of_year + 6 - weekday) / 7),
        'W' => two((day_of_year + 6 - (weekday + 6) % 7) / 7),
        'V' => two(i64::from(iso.week())),
        'G' => Value::Number(i64::from(iso.year()), 0, '0'),
        'g' => two(i64::from(iso.year()).rem_euclid(100)),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Python's `datetime(2024, 7, 4, 15, 6, 9, 1234).strftime` and `datetime(2021, 1, 3, 0, 0, 0).strftime` on Linux.
    #[test]
    fn strftime_formats_as_in_python() {
        let july = jiff::civil::datetime(2024, 7, 4, 15, 6, 9, 1_234_000);
        let january = jiff::civil::datetime(2021, 1, 3, 0, 0, 0, 0);
        let cases: serde_json::Value = serde_json::from_str(include_str!("strftime_cases.json")).unwrap();
        for case in cases.as_array().unwrap() {
            let format = case[0].as_str().unwrap();
            assert_eq!(strftime(format, july), case[1].as_str().unwrap(), "{format}");
            assert_eq!(strftime(format, january), case[2].as_str().unwrap(), "{format}");
        }
        let seconds: i64 = strftime("%s", july).parse().expect("a number");
        assert!((seconds - 1_720_105_569).abs() < 86_400, "{seconds}");
    }
}
