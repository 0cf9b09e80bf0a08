use serde_json::json;

use super::tiny;

#[test]
fn ordinary_ids_stand_for_text() {
    let byte_level = tiny::load(&tiny::byte_level());
    let end = byte_level.token_id("<|endoftext|>").unwrap();
    assert_eq!(byte_level.ordinary_ids(), (0..end).collect::<Vec<_>>());

    // <unk>, <s>, </s> and 256 bytes precede the ordinary tokens.
    let byte_fallback = tiny::load(&tiny::byte_fallback(true));
    let all = byte_fallback.vocab_size() as u32;
    assert_eq!(byte_fallback.ordinary_ids(), (259..all).collect::<Vec<_>>());

    let char_level = tiny::load(&tiny::char_level("hello"));
    assert_eq!(char_level.ordinary_ids(), [0, 1, 2, 3]);
}

#[test]
fn ordinary_ids_exclude_the_unknown_token() {
    let mut json = tiny::char_level("abc");
    json["model"]["vocab"]["<unk>"] = json!(3);
    assert_eq!(tiny::load(&json).ordinary_ids(), [0, 1, 2]);
    json["model"] = json!({"type": "Unigram", "unk_id": 1, "byte_fallback": false,
        "vocab": [["a", -1.0], ["?", 0.0], ["b", -2.0]]});
    assert_eq!(tiny::load(&json).ordinary_ids(), [0, 2]);
}

#[test]
fn prefix_ids_are_what_the_post_processor_adds() {
    for (name, tokenizer) in tiny::all() {
        let prefix = tokenizer.prefix_ids().unwrap();
        let with = tokenizer.encode("h", true).unwrap();
        let without = tokenizer.encode("h", false).unwrap();
        assert_eq!([prefix, without].concat(), with, "{name}");
    }
    let mut json = tiny::byte_fallback(true);
    json["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}});
    assert_eq!(tiny::load(&json).prefix_ids().unwrap(), [] as [u32; 0]);
}
