//! Tokens of a text as the older log-probabilities show them, and where they are in it.

/// A token as OpenAI writes it here: what is no text alone as `bytes:\xf0\x9f`, so that pieces of characters differ.
pub fn token_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| {
        let escaped = |byte: &u8| match byte {
            b' '..=b'~' => char::from(*byte).to_string(),
            byte => format!("\\x{byte:02x}"),
        };
        "bytes:".to_owned() + &error.as_bytes().iter().map(escaped).collect::<String>()
    })
}

/// The place of a token in a text of so many characters, and the characters that are there behind it. A piece of a character
/// is where the character is.
pub fn place(before: usize, bytes: &[u8]) -> (usize, usize) {
    let begins = |byte: &&u8| **byte & 0xC0 != 0x80;
    let goes_on = bytes.first().is_some_and(|byte| !begins(&byte));
    (before.saturating_sub(usize::from(goes_on)), before + bytes.iter().filter(begins).count())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// " \u{1f600} now" in three tokens, whose character is in two of them.
    #[test]
    fn pieces_of_a_character_differ_and_are_where_it_is() {
        let tokens = [&b" \xf0\x9f"[..], b"\x98\x80", b" now"];
        let texts = tokens.map(|bytes| token_text(bytes.to_vec()));
        assert_eq!(texts, ["bytes: \\xf0\\x9f", "bytes:\\x98\\x80", " now"]);
        let mut before = 5;
        let places = tokens.map(|bytes| {
            let (at, behind) = place(before, bytes);
            before = behind;
            at
        });
        assert_eq!((places, before), ([5, 6, 7], 11));
    }
}
