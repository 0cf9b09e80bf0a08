//! What Python says of characters.

use std::{collections::HashMap, sync::LazyLock};

/// A property, as ranges of characters, ascending.
type Ranges = Vec<(u32, u32)>;

/// Other letters of a letter, where they are not those of Rust.
type Cases = HashMap<char, String>;

static DATA: LazyLock<HashMap<&str, &str>> = LazyLock::new(|| {
    let lines = include_str!("unicode.txt").lines();
    lines.filter_map(|line| line.split_once(' ')).collect()
});

static ALPHA: LazyLock<Ranges> = LazyLock::new(|| ranges("alpha"));
static DECIMAL: LazyLock<Ranges> = LazyLock::new(|| ranges("decimal"));
static DIGIT: LazyLock<Ranges> = LazyLock::new(|| ranges("digit"));
static NUMERIC: LazyLock<Ranges> = LazyLock::new(|| ranges("numeric"));
static PRINTABLE: LazyLock<Ranges> = LazyLock::new(|| ranges("printable"));
static TITLECASE: LazyLock<Ranges> = LazyLock::new(|| ranges("titlecase"));
static TITLE: LazyLock<Cases> = LazyLock::new(|| cases("title"));
static CASEFOLD: LazyLock<Cases> = LazyLock::new(|| cases("casefold"));

fn code(hex: &str) -> u32 {
    u32::from_str_radix(hex, 16).unwrap_or(u32::MAX)
}

fn ranges(name: &str) -> Ranges {
    let entries = DATA.get(name).into_iter().flat_map(|line| line.split(' '));
    let range = |entry: &str| entry.split_once('-').map_or((code(entry), code(entry)), |(a, b)| (code(a), code(b)));
    entries.map(range).collect()
}

fn cases(name: &str) -> Cases {
    let entries = DATA.get(name).into_iter().flat_map(|line| line.split(' '));
    let pairs = entries.filter_map(|entry| entry.split_once('='));
    let letters = |hex: &str| hex.split('+').filter_map(|hex| char::from_u32(code(hex))).collect();
    pairs.filter_map(|(from, to)| Some((char::from_u32(code(from))?, letters(to)))).collect()
}

fn within(ranges: &Ranges, letter: char) -> bool {
    let letter = letter as u32;
    let after = ranges.partition_point(|(start, _)| *start <= letter);
    after > 0 && letter <= ranges[after - 1].1
}

pub(crate) fn is_alpha(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_alphabetic() } else { within(&ALPHA, letter) }
}

pub(crate) fn is_decimal(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_digit() } else { within(&DECIMAL, letter) }
}

pub(crate) fn is_digit(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_digit() } else { within(&DIGIT, letter) }
}

pub(crate) fn is_numeric(letter: char) -> bool {
    if letter.is_ascii() { letter.is_ascii_digit() } else { within(&NUMERIC, letter) }
}

pub(crate) fn is_alnum(letter: char) -> bool {
    is_alpha(letter) || is_numeric(letter)
}

pub(crate) fn is_printable(letter: char) -> bool {
    if letter.is_ascii() { (' '..='~').contains(&letter) } else { within(&PRINTABLE, letter) }
}

/// Whitespace, which in Python is four separators more.
pub(crate) fn is_space(letter: char) -> bool {
    letter.is_whitespace() || ('\x1c'..='\x1f').contains(&letter)
}

/// A letter like U+01C5, which is a capital with a small one.
pub(crate) fn is_titlecase(letter: char) -> bool {
    !letter.is_ascii() && within(&TITLECASE, letter)
}

/// The first letter of a title.
pub(crate) fn to_title(letter: char) -> String {
    TITLE.get(&letter).cloned().unwrap_or_else(|| letter.to_uppercase().collect())
}

pub(crate) fn to_casefold(letter: char) -> String {
    CASEFOLD.get(&letter).cloned().unwrap_or_else(|| letter.to_lowercase().collect())
}

/// The ASCII digit of any decimal digit; other characters stay.
pub(crate) fn ascii_digit(letter: char) -> char {
    if letter.is_ascii() || !within(&DECIMAL, letter) {
        return letter;
    }
    // Ten digits follow each other, and some ranges hold several tens.
    let code = letter as u32;
    let start = DECIMAL.iter().rfind(|(start, _)| *start <= code).map_or(code, |(start, _)| *start);
    char::from_digit((code - start) % 10, 10).unwrap_or(letter)
}
