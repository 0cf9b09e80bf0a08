//! `clean_up_tokenization_spaces`: no blanks before punctuation and endings (`clean_up_tokenization` in `transformers`).

use serde_json::{Map, Value};

const RULES: [(&str, &str); 10] = [
    (" .", "."),
    (" ?", "?"),
    (" !", "!"),
    (" ,", ","),
    (" ' ", "'"),
    (" n't", "n't"),
    (" 'm", "'m"),
    (" 's", "'s"),
    (" 've", "'ve"),
    (" 're", "'re"),
];

/// With which a text ends that the text behind it may still change.
const BEGINNINGS: [&str; 6] = [" n'", " 'v", " 'r", " '", " n", " "];

/// Whether a folder asks for it. As there, byte-pair encodings have to ask twice: they have blanks of their own.
pub(super) fn is_asked(config: &Map<String, Value>, is_bpe: bool) -> bool {
    let is_true = |key: &str| config.get(key) == Some(&Value::Bool(true));
    is_true("clean_up_tokenization_spaces")
        && (!is_bpe || is_true("clean_up_tokenization_spaces_for_bpe_even_though_it_will_corrupt_output"))
}

/// The text, cleaned up: one rule after the other.
pub(super) fn clean_up(text: &str) -> String {
    RULES.iter().fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
}

/// How much of a text the text behind it cannot change: this cleaned up and the rest cleaned up are the whole cleaned up.
pub(super) fn settled(text: &str) -> usize {
    let mut settled = text;
    while let Some(shorter) = BEGINNINGS.iter().find_map(|beginning| settled.strip_suffix(beginning)) {
        settled = shorter;
    }
    settled.len()
}

#[cfg(test)]
mod tests {
    use super::{clean_up, settled};

    #[test]
    fn texts_are_cleaned_up_in_parts() {
        let parts = ["", " ", "'", "n", "'t", " n't", "m", " '", "ve", " .", "i", "  ", "s re", "!"];
        let mut seed = 1_u32;
        for _ in 0..20_000 {
            let (mut whole, mut held, mut printed) = (String::new(), String::new(), String::new());
            for _ in 0..8 {
                seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                let part = parts[(seed >> 16) as usize % parts.len()];
                whole.push_str(part);
                held.push_str(part);
                let rest = held.split_off(settled(&held));
                printed.push_str(&clean_up(&held));
                held = rest;
            }
            printed.push_str(&clean_up(&held));
            assert_eq!(printed, clean_up(&whole), "{whole:?}");
        }
    }
}
