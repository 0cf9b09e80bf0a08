//! A long text cut where no token of a tokenizer made here can span the cut.

/// `text` in pieces of about `target` bytes, cut only before whitespace that follows something else.
///
/// The ids of the pieces are those of the whole. For single characters that holds at any cut. Byte-level BPE first
/// splits with GPT-2's regular expression, whose alternatives match either only whitespace or at most one space and
/// then none: so the match that covers the character before such a cut ends there, and the next one begins there. What
/// matches left of the cut does not depend on what is right of it: a match is ended by whitespace as by the end of the
/// text, the one lookahead (`\s+(?!\S)`) sees a character that is left of the cut too, and nothing looks back.
///
/// A text without such a place is one piece.
pub(super) fn pieces(text: &str, target: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (piece, after) = rest.split_at(first_cut(rest, target));
        rest = after;
        Some(piece)
    })
}

/// The first place to cut at or after byte `from`, or the end.
fn first_cut(text: &str, from: usize) -> usize {
    let start = text.floor_char_boundary(from);
    // At the very beginning, nothing is before the whitespace: no cut, or the piece would be empty.
    let mut follows_text = text[..start]
        .chars()
        .next_back()
        .is_some_and(|c| !c.is_whitespace());
    for (offset, c) in text[start..].char_indices() {
        if follows_text && c.is_whitespace() {
            return start + offset;
        }
        follows_text = !c.is_whitespace();
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::pieces;
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer,
        pre_tokenizers::byte_level::ByteLevel,
    };

    fn words(text: &str) -> Vec<String> {
        let mut split = PreTokenizedString::from(text);
        let byte_level = ByteLevel::default().add_prefix_space(false);
        byte_level.pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits
            .into_iter()
            .map(|(word, _, _)| word.to_owned())
            .collect()
    }

    #[test]
    fn byte_level_words_do_not_span_cuts() {
        let alphabet = [
            "a", "é", "7", "'", "'s", "-", " ", "  ", "\n", "\r\n", "\u{a0}", "日", "\u{301}",
        ];
        // Every sequence of four, and one long text of them all.
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts
                .iter()
                .flat_map(|text| alphabet.map(|next| format!("{text}{next}")))
                .collect();
        }
        texts.push(texts.concat());
        for text in texts {
            let target = if text.len() > 100 { 50 } else { 1 };
            assert_eq!(pieces(&text, target).collect::<String>(), text);
            assert!(pieces(&text, target).all(|piece| !piece.is_empty()));
            let in_pieces: Vec<String> = pieces(&text, target).flat_map(words).collect();
            assert_eq!(in_pieces, words(&text), "{text:?}");
        }
    }

    #[test]
    fn pieces_are_near_their_target() {
        let text = "once more unto the breach\n".repeat(1000);
        assert!(pieces(&text, 100).all(|piece| piece.len() <= 106));
        assert_eq!(pieces(&"x".repeat(1000), 100).count(), 1);
    }
}
