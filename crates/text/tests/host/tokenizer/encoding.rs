use std::fs;

use glass_text::{Tokenizer, TokenizerError};
use serde_json::json;

use super::tiny;

#[test]
fn byte_level_round_trips_any_text() {
    let tokenizer = tiny::load(&tiny::byte_level());
    assert_eq!(tokenizer.encode("he a", true).unwrap(), [256, 257]);
    for text in ["", " ", "hello\n\nworld ", "é😀\u{FFFD}中\0", "a<|endoftext|>b"] {
        let ids = tokenizer.encode(text, true).unwrap();
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), text);
    }
    let ids = tokenizer.encode("a<|endoftext|>b", true).unwrap();
    assert_eq!(ids, [97, 261, 98]);
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "ab");
}

#[test]
fn byte_fallback_adds_bos_and_encodes_unknown_characters_as_bytes() {
    for pairs in [true, false] {
        let tokenizer = tiny::load(&tiny::byte_fallback(pairs));
        let the = tokenizer.token_id("▁the").unwrap();
        assert_eq!(tokenizer.encode("the", true).unwrap(), [1, the]);
        assert_eq!(tokenizer.encode("the", false).unwrap(), [the]);
        let ids = tokenizer.encode("the\n中", true).unwrap();
        assert_eq!(ids, [1, the, 3 + 0x0A, 3 + 0xE4, 3 + 0xB8, 3 + 0xAD]);
        assert_eq!(tokenizer.decode(&ids, true).unwrap(), "the\n中");
        assert_eq!(tokenizer.decode(&ids, false).unwrap(), "<s> the\n中");
    }
}

#[test]
fn char_level_has_one_token_for_each_character() {
    let tokenizer = tiny::load(&tiny::char_level("abc \n"));
    assert_eq!(tokenizer.vocab_size(), 5);
    let ids = tokenizer.encode("a\nb c", true).unwrap();
    assert_eq!(ids, [2, 0, 3, 1, 4]);
    assert_eq!(tokenizer.decode(&ids, true).unwrap(), "a\nb c");
    // The vocabulary holds no unknown token, so an unknown character is an error and not a silent gap.
    let error = tokenizer.encode("a?", true).unwrap_err();
    assert!(matches!(error, TokenizerError::Encode { .. }), "{error}");
}

#[test]
fn a_prompt_gets_one_bos() {
    let tokenizer = tiny::load(&tiny::byte_fallback(true));
    let once = tokenizer.encode_prompt("the").unwrap();
    assert_eq!(once, tokenizer.encode("the", true).unwrap());
    let written = tokenizer.encode_prompt("<s>the").unwrap();
    assert_eq!(written.iter().filter(|&&id| id == 1).count(), 1);
    assert_eq!(written[0], 1);
    // The reference's ids: the post-processor does not read the text.
    assert_eq!(tokenizer.encode("<s>the", true).unwrap()[..2], [1, 1]);
    assert_eq!(tokenizer.encode_prompt("").unwrap(), [1]);
    assert_eq!(tokenizer.encode_prompt("<s>").unwrap(), [1]);
    // Only the added BOS is removed; what the user wrote twice stays.
    assert_eq!(tokenizer.encode_prompt("<s><s>").unwrap(), [1, 1]);
    // No post-processor, nothing to remove.
    let plain = tiny::load(&tiny::byte_level());
    assert_eq!(plain.encode_prompt("<|endoftext|>").unwrap(), [261]);
    assert_eq!(plain.encode_prompt("aa").unwrap(), [97, 97]);
}

#[test]
fn eos_stays_when_bos_is_removed() {
    let mut json = tiny::byte_fallback(true);
    json["post_processor"] = json!({"type": "TemplateProcessing",
        "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                   {"SpecialToken": {"id": "</s>", "type_id": 0}}],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]},
                           "</s>": {"id": "</s>", "ids": [2], "tokens": ["</s>"]}}});
    let tokenizer = tiny::load(&json);
    assert_eq!(tokenizer.encode_prompt("<s>").unwrap(), [1, 2]);
    assert_eq!(tokenizer.encode_prompt("").unwrap(), [1, 2]);
}

#[test]
fn truncation_and_padding_of_the_file_are_ignored() {
    let mut json = tiny::byte_level();
    json["truncation"] = json!({"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0});
    json["padding"] = json!({"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": null,
                             "pad_id": 0, "pad_type_id": 0, "pad_token": "!"});
    assert_eq!(tiny::load(&json).encode("bcdf", true).unwrap().len(), 4);
}

#[test]
fn ids_without_a_token_leave_no_text() {
    let tokenizer = tiny::load(&tiny::byte_level());
    assert_eq!(tokenizer.token(97).as_deref(), Some("a"));
    assert_eq!(tokenizer.token(5000), None);
    assert_eq!(tokenizer.decode(&[97, 5000, u32::MAX, 98], false).unwrap(), "ab");
}

#[test]
fn from_folder_names_broken_files_and_warns_of_contradictions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    assert!(Tokenizer::from_folder(path).unwrap().is_none());

    fs::write(path.join("tokenizer.model"), b"\x0a").unwrap();
    let error = Tokenizer::from_folder(path).err().unwrap();
    assert!(matches!(error, TokenizerError::SentencePieceOnly { .. }));
    assert!(error.to_string().contains("save_pretrained"), "{error}");

    for broken in ["", "{", "[]", "{}", "\"text\"", "{\"model\": {\"type\": \"BPE\"}}", "\u{1}\n\n"] {
        fs::write(path.join("tokenizer.json"), broken).unwrap();
        let error = Tokenizer::from_folder(path).err().unwrap();
        assert!(matches!(error, TokenizerError::Broken { .. }), "{error}");
        let message = error.to_string();
        assert!(message.contains("tokenizer.json: ") && message.contains("download"));
        assert_eq!(message.lines().count(), 1, "{message}");
    }

    fs::write(path.join("tokenizer.json"), tiny::byte_fallback(true).to_string()).unwrap();
    let warnings = |config: &str| {
        fs::write(path.join("tokenizer_config.json"), config).unwrap();
        Tokenizer::from_folder(path).map(|tokenizer| tokenizer.unwrap().warnings().to_vec())
    };
    let agreeing = r#"{"add_bos_token": true, "add_eos_token": false}"#;
    assert!(warnings(agreeing).unwrap().is_empty());
    assert!(warnings("{}").unwrap().is_empty());
    let disagreeing = warnings(r#"{"add_bos_token": false, "add_eos_token": true}"#).unwrap();
    assert_eq!(disagreeing.len(), 2);
    assert!(disagreeing[0].contains("add_bos_token = false"), "{disagreeing:?}");
    assert!(disagreeing[1].contains("adds no token at the end"), "{disagreeing:?}");
    let error = warnings("{]").unwrap_err();
    assert!(error.to_string().contains("tokenizer_config.json"), "{error}");
}
