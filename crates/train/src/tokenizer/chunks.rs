//! A long text in chunks that encode to the ids of the whole.

/// Splits `text` into chunks of about `target` bytes, only before whitespace that follows something else.
///
/// The ids of the chunks are those of the whole text. For single characters this holds at any cut. Byte-level BPE first
/// splits with GPT-2's regular expression, whose alternatives match either only whitespace or at most one space and then
/// none. So the match that covers the character before such a cut ends there, and the next one begins there. What matches
/// left of the cut does not depend on the text right of it: whitespace ends a match as the end of the text does, the one
/// lookahead (`\s+(?!\S)`) sees a character left of the cut too, and there is no lookbehind.
///
/// A text without such a cut is one chunk.
pub(super) fn chunks(text: &str, target: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let (chunk, after) = rest.split_at(first_cut(rest, target));
        rest = after;
        Some(chunk)
    })
}

/// The first cut at or after byte `from`, or the end of the text.
fn first_cut(text: &str, from: usize) -> usize {
    let start = text.floor_char_boundary(from);
    // At the beginning nothing precedes the whitespace: a cut there would give an empty chunk.
    let mut follows_text = text[..start].chars().next_back().is_some_and(|c| !c.is_whitespace());
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
    use super::chunks;
    use tokenizers::{
        OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer, pre_tokenizers::byte_level::ByteLevel,
    };

    fn words(text: &str) -> Vec<String> {
        let mut split = PreTokenizedString::from(text);
        let byte_level = ByteLevel::default().add_prefix_space(false);
        byte_level.pre_tokenize(&mut split).unwrap();
        let splits = split.get_splits(OffsetReferential::Original, OffsetType::Byte);
        splits.into_iter().map(|(word, _, _)| word.to_owned()).collect()
    }

    #[test]
    fn byte_level_words_do_not_span_cuts() {
        let alphabet = ["a", "é", "7", "'", "'s", "-", " ", "  ", "\n", "\r\n", "\u{a0}", "日", "\u{301}"];
        // Every sequence of four, and one long text of them all.
        let mut texts = vec![String::new()];
        for _ in 0..4 {
            texts = texts.iter().flat_map(|text| alphabet.map(|next| format!("{text}{next}"))).collect();
        }
        texts.push(texts.concat());
        for text in texts {
            let target = if text.len() > 100 { 50 } else { 1 };
            assert_eq!(chunks(&text, target).collect::<String>(), text);
            assert!(chunks(&text, target).all(|chunk| !chunk.is_empty()));
            let in_chunks: Vec<String> = chunks(&text, target).flat_map(words).collect();
            assert_eq!(in_chunks, words(&text), "{text:?}");
        }
    }

    #[test]
    fn chunks_are_near_their_target() {
        let text = "once more unto the breach\n".repeat(1000);
        assert!(chunks(&text, 100).all(|chunk| chunk.len() <= 106));
        assert_eq!(chunks(&"x".repeat(1000), 100).count(), 1);
    }
}
