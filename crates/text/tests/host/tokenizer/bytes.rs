use serde_json::json;

use super::tiny;

/// The number of bytes that each token stands for.
fn bytes_per_token(tokenizer: &glass_text::Tokenizer, text: &str) -> Vec<usize> {
    let encoded = tokenizer.encode_with_bytes(text).unwrap();
    let tokens = encoded.ids().len();
    (0..tokens).map(|i| encoded.bytes(i..i + 1)).collect()
}

#[test]
fn every_byte_belongs_to_one_token() {
    for (name, tokenizer) in tiny::all() {
        for text in ["", "h", "llo", " héllo ", "hé wörld\n", "\n\n  ", "ö"] {
            let encoded = tokenizer.encode_with_bytes(text).unwrap();
            let ids = tokenizer.encode_prompt(text).unwrap();
            assert_eq!(encoded.ids(), ids, "{name} {text:?}");
            let all = if ids.is_empty() { 0 } else { text.len() };
            assert_eq!(encoded.bytes(0..ids.len()), all, "{name} {text:?}");
            assert_eq!(bytes_per_token(&tokenizer, text).iter().sum::<usize>(), all);
            for cut in 0..=ids.len() + 1 {
                let mut part = encoded.clone();
                part.truncate(cut);
                let tokens = cut.min(ids.len());
                assert_eq!(part.ids(), &ids[..tokens]);
                assert_eq!(part.bytes(0..usize::MAX), encoded.bytes(0..tokens));
            }
        }
    }
}

#[test]
fn tokens_have_the_bytes_they_spell() {
    let byte_level = tiny::load(&tiny::byte_level());
    assert_eq!(bytes_per_token(&byte_level, "he a"), [2, 2]);
    // Two tokens spell 😀, a merged one spells é.
    assert_eq!(bytes_per_token(&byte_level, "é😀!"), [2, 4, 0, 1]);

    let byte_fallback = tiny::load(&tiny::byte_fallback(true));
    assert_eq!(bytes_per_token(&byte_fallback, "the"), [0, 3]);
    assert_eq!(bytes_per_token(&byte_fallback, "the\n中b"), [0, 3, 1, 3, 0, 0, 1]);
    // A BOS in the text has its bytes.
    assert_eq!(bytes_per_token(&byte_fallback, "<s>the"), [3, 3]);
}

#[test]
fn an_added_eos_has_no_bytes() {
    let mut json = tiny::byte_fallback(true);
    json["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}});
    assert_eq!(bytes_per_token(&tiny::load(&json), "the a"), [3, 2, 0]);
}
