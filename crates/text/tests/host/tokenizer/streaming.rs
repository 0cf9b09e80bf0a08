use std::{fs, sync::LazyLock};

use glass_text::{StreamingDetokenizer, Tokenizer};
use proptest::prelude::*;
use serde_json::json;

use super::tiny;

static TOKENIZERS: LazyLock<Vec<(&str, Tokenizer)>> = LazyLock::new(tiny::all);

/// The text returned for each id, and at the end.
fn streamed(tokenizer: &Tokenizer, prompt: &[u32], ids: &[u32], skip: bool) -> Vec<String> {
    let mut stream = StreamingDetokenizer::new(tokenizer, prompt, skip).unwrap();
    let mut texts: Vec<String> = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    texts.push(stream.finish().unwrap());
    texts
}

#[test]
fn incomplete_characters_are_held() {
    let tokenizer = tiny::load(&tiny::byte_level());
    let ids = tokenizer.encode("é中😀", true).unwrap();
    let mut stream = StreamingDetokenizer::new(&tokenizer, &[], true).unwrap();
    let text: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
    assert_eq!(text, "é中😀");
    assert_eq!(streamed(&tokenizer, &[], &[0xE4, 0xB8, 0xAD], true), ["", "", "中", ""]);
    // The next token proves the beginning of a character invalid; so does the end.
    assert_eq!(streamed(&tokenizer, &[], &[0xE4, 97], true), ["", "\u{FFFD}a", ""]);
    assert_eq!(streamed(&tokenizer, &[], &[97, 0xE4], true), ["a", "", "\u{FFFD}"]);
}

#[test]
fn byte_fallback_runs_are_held_until_they_end() {
    let tokenizer = tiny::load(&tiny::byte_fallback(true));
    let a = tokenizer.token_id("▁a").unwrap();
    let byte = |byte: u32| byte + 3;
    // The newline alone would be final only if no other byte could follow.
    let ids = [a, byte(0x0A), a, byte(0xE4), byte(0xB8), byte(0xAD), a];
    let expected = ["a", "", "\n a", "", "", "", "中 a", ""];
    assert_eq!(streamed(&tokenizer, &[], &ids, true), expected);
    // One invalid byte makes the decoder give up the whole run, its valid newline included.
    let ids = [a, byte(0x0A), byte(0xFF), byte(0x0A), a];
    let expected = ["a", "", "\u{FFFD}\u{FFFD}", "\u{FFFD}", " a", ""];
    assert_eq!(streamed(&tokenizer, &[], &ids, true), expected);
}

#[test]
fn the_first_token_after_a_prompt_keeps_its_space() {
    let tokenizer = tiny::load(&tiny::byte_fallback(true));
    let ids = tokenizer.encode("the", false).unwrap();
    let prompt = tokenizer.encode("a", true).unwrap();
    assert_eq!(streamed(&tokenizer, &prompt, &ids, true), [" the", ""]);
    assert_eq!(streamed(&tokenizer, &[], &ids, true), ["the", ""]);
    assert_eq!(streamed(&tokenizer, &[1], &ids, true), ["the", ""]);
    // A prompt that ends in a newline, as chat templates do, is complete: none of it is returned.
    let prompt = tokenizer.encode("a\n", true).unwrap();
    assert_eq!(streamed(&tokenizer, &prompt, &ids, true), [" the", ""]);
    // A prompt that ends inside a character is completed.
    let cut = [ids[0], 0xE4 + 3, 0xB8 + 3];
    assert_eq!(streamed(&tokenizer, &cut, &[0xAD + 3, ids[0]], true).concat(), "中 the");
}

#[test]
fn long_runs_are_printed_in_parts_and_in_linear_time() {
    let tokenizer = tiny::load(&tiny::byte_fallback(true));
    let b = tokenizer.token_id("b").unwrap();
    // Valid: printed in parts, exactly.
    let emoji: Vec<u32> = "😀".bytes().map(|byte| u32::from(byte) + 3).collect();
    let mut ids = emoji.repeat(50);
    ids.push(b);
    let parts = streamed(&tokenizer, &[b], &ids, true);
    assert_eq!(parts.concat(), format!("{}b", "😀".repeat(50)));
    let longest_wait = parts.split(|part| !part.is_empty()).map(<[_]>::len).max();
    assert!(longest_wait < Some(40), "{longest_wait:?}");
    // Invalid only after parts have been printed: those stay, and the rest is one U+FFFD for each byte.
    let mut ids = emoji.repeat(20);
    ids.extend([0xFF + 3, 13, 13, b]);
    let text = streamed(&tokenizer, &[b], &ids, true).concat();
    let rest = text.trim_start_matches('😀');
    assert_eq!(rest.trim_start_matches('\u{FFFD}'), "b");
    assert!(text.chars().filter(|&c| c == '😀').count() >= 8);
    // Invalid bytes come at once, thousands of them in no time.
    for tokenizer in [tokenizer, tiny::load(&tiny::byte_level())] {
        let ids = vec![tokenizer.encode("\u{1}", false).unwrap().pop().unwrap() + 0xFE; 20_000];
        let started = std::time::Instant::now();
        let parts = streamed(&tokenizer, &[], &ids, true);
        assert_eq!(parts.concat(), "\u{FFFD}".repeat(20_000));
        let printed = parts.iter().filter(|part| part.chars().count() == 1);
        assert_eq!(printed.count(), 20_000);
        assert!(started.elapsed().as_secs() < 20, "{:?}", started.elapsed());
    }
}

/// As transformers does for tokenizers that are not of byte-pair encoding, where the folder asks for it.
#[test]
fn blanks_before_punctuation_are_cleaned_up() {
    let words = ["[UNK]", "hello", ",", "i", "'", "m", "do", "n't", ".", "!"];
    let vocabulary: serde_json::Map<_, _> =
        words.iter().zip(0..).map(|(word, id)| ((*word).into(), json!(id))).collect();
    let file = json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
        "pre_tokenizer": {"type": "WhitespaceSplit"}, "post_processor": null,
        "decoder": {"type": "WordPiece", "prefix": "##", "cleanup": false},
        "model": {
            "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100,
            "vocab": vocabulary,
        },
    });
    let text = "hello , i ' m i do n't . hello !";
    for (asked, expected) in [(true, "hello, i'm i don't. hello!"), (false, text)] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), file.to_string()).unwrap();
        let config = json!({"clean_up_tokenization_spaces": asked});
        fs::write(folder.path().join("tokenizer_config.json"), config.to_string()).unwrap();
        let tokenizer = Tokenizer::from_folder(folder.path()).unwrap().unwrap();
        let ids = tokenizer.encode(text, false).unwrap();
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), expected);
        assert_eq!(streamed(&tokenizer, &[], &ids, true).concat(), expected);
    }
}

/// Ids of text, single bytes, special and unknown tokens, each frequent enough to meet the others.
fn ids(length: usize) -> impl Strategy<Value = Vec<u32>> {
    let id = prop_oneof![
        0u32..280,
        255u32..275,
        prop::sample::select(vec![13u32, 0xC3 + 3, 0xA9 + 3, 0xC3, 0xA9, 32, 35, 1]),
    ];
    prop::collection::vec(id, 0..length)
}

proptest! {
    #[test]
    fn streamed_text_equals_decoded_text(prompt in ids(40), ids in ids(60), skip: bool) {
        for (name, tokenizer) in TOKENIZERS.iter() {
            let all = tokenizer.decode(&ids, skip).unwrap();
            prop_assert_eq!(streamed(tokenizer, &[], &ids, skip).concat(), all, "{}", name);

            let before = tokenizer.decode(&prompt, skip).unwrap();
            let all = tokenizer.decode(&[prompt.clone(), ids.clone()].concat(), skip).unwrap();
            // The text of a prompt that ends inside a character is no prefix.
            if let Some(after) = all.strip_prefix(&before) {
                prop_assert_eq!(streamed(tokenizer, &prompt, &ids, skip).concat(), after, "{}", name);
            }
        }
    }

    #[test]
    fn streams_never_show_half_a_character(text in "[aé中😀 \n]{0,40}") {
        for (name, tokenizer) in &TOKENIZERS[..2] {
            let ids = tokenizer.encode(&text, true).unwrap();
            let parts = streamed(tokenizer, &[], &ids, true);
            prop_assert!(!parts.iter().any(|part| part.contains('\u{FFFD}')), "{}: {:?}", name, parts);
        }
    }
}
