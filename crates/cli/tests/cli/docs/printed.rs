//! Whether a command printed what is quoted: rates, times, sizes in memory and the last digits aside.

/// `quoted` may leave lines out with `...`.
pub fn agree(quoted: &[&str], printed: &[&str]) -> bool {
    match quoted.split_first() {
        None => printed.is_empty(),
        Some((&"...", rest)) => (0..=printed.len()).any(|skipped| agree(rest, &printed[skipped..])),
        Some((line, rest)) => printed.split_first().is_some_and(|(first, more)| same(line, first) && agree(rest, more)),
    }
}

/// Whether two lines say the same.
pub fn same(a: &str, b: &str) -> bool {
    let (a, b) = (parts(a), parts(b));
    a.len() == b.len()
        && a.iter().zip(&b).all(|pair| match pair {
            (Part::Real(a), Part::Real(b)) => (a - b).abs() <= 1e-3 * a.abs().max(1.0),
            (a, b) => a == b,
        })
}

#[derive(Debug, PartialEq)]
enum Part {
    Text(String),
    Whole(String),
    /// With a point: the last digits depend on the machine's order of summation.
    Real(f64),
    /// A rate, a time, a peak of memory, a number of threads.
    Varies,
}

/// Units of numbers that vary, behind one blank or none.
const UNITS: [&str; 9] = ["tokens/s", "/s", "s", "ms", "MB", "GB", "MiB", "threads", "times"];

/// Ends of JSON keys whose numbers vary.
const KEYS: [&str; 4] = ["seconds\":", "per_second\":", "peak_memory_bytes\":", "speed_up\":"];

fn parts(line: &str) -> Vec<Part> {
    let line: Vec<&str> = line.split_whitespace().collect();
    let line = line.join(" ");
    let mut parts = Vec::new();
    let mut rest = line.as_str();
    while !rest.is_empty() {
        let digit = rest.find(|letter: char| letter.is_ascii_digit());
        let (text, number) = rest.split_at(digit.unwrap_or(rest.len()));
        if !text.is_empty() {
            parts.push(Part::Text(text.to_owned()));
        }
        let end = number.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(number.len());
        let (number, after) = number.split_at(end);
        let digits = number.trim_end_matches('.');
        // A point that ends a sentence is text.
        let after = if digits.len() == number.len() { after } else { &rest[text.len() + digits.len()..] };
        let unit = after.strip_prefix(' ').unwrap_or(after);
        let has_unit = UNITS
            .iter()
            .any(|name| unit.strip_prefix(name).is_some_and(|next| !next.starts_with(char::is_alphanumeric)));
        let varies = has_unit || KEYS.iter().any(|key| text.ends_with(key));
        if !digits.is_empty() {
            parts.push(match (varies, digits.contains('.')) {
                (true, _) => Part::Varies,
                (false, true) => digits.parse().map_or_else(|_| Part::Whole(digits.to_owned()), Part::Real),
                (false, false) => Part::Whole(digits.to_owned()),
            });
        }
        rest = after;
    }
    parts
}

#[test]
fn rates_and_last_digits_vary_and_nothing_else() {
    for (a, b) in [
        ("7 tokens at 4004.6/s, in 0.01 s", "7 tokens  at 9.1/s, in 3 s"),
        ("(CPU, 2 threads), 95 MB", "(CPU, 64 threads), 27 MB"),
        ("score -0.2550.", "score -0.2551."),
        ("{\"load_seconds\":0.1,\"n\":3}", "{\"load_seconds\":7,\"n\":3}"),
    ] {
        assert!(same(a, b), "{a} | {b}");
    }
    for (a, b) in [
        ("7 tokens at 4004.6/s", "8 tokens at 4004.6/s"),
        ("score -0.2550", "score 0.2550"),
        ("score -0.2550", "score -0.2570"),
        ("a text", "another text"),
        ("{\"n\":3}", "{\"n\":4}"),
        ("393 kB", "394 kB"),
    ] {
        assert!(!same(a, b), "{a} | {b}");
    }
    assert!(agree(&["a", "...", "d"], &["a", "b", "c", "d"]));
    assert!(!agree(&["a", "...", "d"], &["a", "b", "c"]));
    assert!(!agree(&["a"], &["a", "b"]));
}
