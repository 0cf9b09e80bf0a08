//! Small vocabularies in GGUF's words against transformers: `make_cases.py` writes what that makes of them.

use glass_text::{Tokenizer, gguf};
use serde_json::json;

use super::{agree, cases, ids, load, metadata};

#[test]
fn small_files_give_the_tokens_of_transformers() {
    let cases = cases();
    assert_eq!(cases.len(), 13);
    for case in cases {
        let (name, tokenizer) = (&case["name"], load(&metadata(&case["keys"])));
        assert_eq!(tokenizer.warnings(), [""; 0], "{name}");
        let texts = case["texts"].as_array().expect("texts");
        assert!(texts.len() > 30);
        for text in texts {
            let given = text[0].as_str().expect("a text");
            assert_eq!(tokenizer.encode(given, false), Ok(ids(&text[1])), "{name} {given:?}");
            assert_eq!(tokenizer.encode(given, true), Ok(ids(&text[2])), "{name} {given:?}");
            assert_eq!(tokenizer.decode(&ids(&text[1]), false).as_deref(), Ok(text[3].as_str().expect("a text")));
        }
    }
}

#[test]
fn the_json_of_a_file_is_the_same_tokenizer() {
    for case in cases() {
        let metadata = metadata(&case["keys"]);
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, json: serde_json::Value| {
            std::fs::write(folder.path().join(name), json.to_string()).expect("written");
        };
        write("tokenizer.json", gguf::tokenizer_json(&metadata).expect("sound").expect("a tokenizer"));
        write("tokenizer_config.json", gguf::tokenizer_config_json(&metadata).expect("sound"));
        let (file, folder) = (load(&metadata), Tokenizer::from_folder(folder.path()).expect("sound").expect("there"));
        assert_eq!(folder.warnings(), [""; 0], "{}", case["name"]);
        assert_eq!(file.vocab_size(), folder.vocab_size());
        for text in case["texts"].as_array().expect("texts") {
            let text = text[0].as_str().expect("a text");
            assert!(agree(&file, &folder, text), "{} {text:?}", case["name"]);
        }
    }
}

/// What llama.cpp does and transformers does not.
#[test]
fn types_of_tokens_and_flags() {
    let mut keys = cases()[6]["keys"].clone();
    let tokens = keys["tokenizer.ggml.tokens"].as_array().expect("tokens").len();
    for (text, kind) in [("<\u{ff5c}User\u{ff5c}>", 3), ("日本", 4), ("", 1), ("", 1), ("[PAD3]", 5)] {
        keys["tokenizer.ggml.tokens"].as_array_mut().expect("tokens").push(text.into());
        keys["tokenizer.ggml.token_type"].as_array_mut().expect("types").push(kind.into());
    }
    let tokenizer = load(&metadata(&keys));
    let id = |after: usize| (tokens + after) as u32;
    // Control tokens and those of users are matched in whatever letters they are written.
    assert_eq!(tokenizer.encode("<\u{ff5c}User\u{ff5c}>日本", false), Ok(vec![id(0), id(1)]));
    assert_eq!(tokenizer.decode(&[id(0), id(1)], true).as_deref(), Ok("日本"));
    // Fillings of holes and tokens without text are no tokens.
    assert_eq!(tokenizer.token(id(2)), None);
    assert_eq!(tokenizer.token(id(0) - 1), None);
    assert_eq!(tokenizer.token(id(4)).as_deref(), Some("[PAD3]"), "a name that is not that of its place");
    // A space before the text.
    keys["tokenizer.ggml.add_space_prefix"] = true.into();
    let prefixed = load(&metadata(&keys));
    assert_eq!(prefixed.encode("world", false), tokenizer.encode(" world", false));

    // BOS where nothing is said: with SentencePiece and some names, not with others.
    let bos = |name: &str, pre: Option<&str>| {
        let case = cases().into_iter().find(|case| case["name"] == name).expect("a case");
        let mut metadata = metadata(&case["keys"]);
        metadata.remove("tokenizer.ggml.add_bos_token");
        pre.map(|pre| metadata.insert("tokenizer.ggml.pre", pre));
        load(&metadata).prefix_ids().expect("ids").len()
    };
    assert_eq!([bos("llama", None), bos("llama-bpe", None), bos("tekken", None), bos("gpt-2", None)], [1, 1, 1, 0]);
    assert_eq!([bos("gpt-2", Some("llama3")), bos("gpt-2", Some("smaug-bpe"))], [1, 0]);
    // SentencePiece's own ids hold where the file names none.
    let mut metadata = metadata(&cases()[2]["keys"]);
    for name in ["bos", "eos", "unknown"] {
        metadata.remove(&format!("tokenizer.ggml.{name}_token_id"));
    }
    assert_eq!(load(&metadata).prefix_ids(), Ok(vec![1]));
    let named = gguf::named_tokens(&metadata).expect("sound");
    let text = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str());
    assert_eq!([text("bos_token"), text("eos_token"), text("unk_token")], [Some("<s>"), Some("</s>"), Some("<unk>")]);
    // Whitespace that SentencePiece was told to drop.
    metadata.insert("tokenizer.ggml.remove_extra_whitespaces", true);
    let strip = load(&metadata);
    assert_eq!(strip.encode("  the   word ", true), strip.encode("the word", true));
}

#[test]
fn a_file_may_hold_a_whole_tokenizer_json_or_none() {
    let json = glass_testing::tokenizers::char_level("abc");
    let mut metadata =
        metadata(&json!({"tokenizer.ggml.model": "none", "tokenizer.huggingface.json": json.to_string()}));
    assert_eq!(load(&metadata).encode("cab", true), Ok(vec![2, 0, 1]));
    assert_eq!(gguf::tokenizer_json(&metadata), Ok(Some(json)));
    metadata.remove("tokenizer.huggingface.json");
    assert!(Tokenizer::from_gguf(&metadata).expect("sound").is_none());
    assert_eq!(gguf::named_tokens(&metadata), Ok(Vec::new()));
    metadata.remove("tokenizer.ggml.model");
    assert!(Tokenizer::from_gguf(&metadata).expect("sound").is_none());
}

#[test]
fn ends_of_turns_are_found() {
    let file = |texts: &[&str]| {
        let types = vec![3; texts.len()];
        metadata(&json!({
            "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.tokens": texts, "tokenizer.ggml.token_type": types,
            "tokenizer.ggml.eos_token_id": 0,
        }))
    };
    assert_eq!(gguf::end_ids(&file(&["<eos>", "a", "<end_of_turn>"])), Ok(vec![0, 2]));
    assert_eq!(gguf::end_ids(&file(&["<eos>", "<|end|>"])), Ok(vec![0, 1]));
    assert_eq!(gguf::end_ids(&file(&["<|return|>", "<|end|>", "<|call|>"])), Ok(vec![0, 2]));
    let mut named = file(&["<eos>", "a", "b"]);
    named.insert("tokenizer.ggml.eot_token_id", 2_u32);
    assert_eq!(gguf::end_ids(&named), Ok(vec![0, 2]));
}

/// Phi-3's tokens drop the whitespace behind them, which its chat template counts on.
#[test]
fn the_tokens_of_phi_3_drop_the_whitespace_behind_them() {
    let case = cases().into_iter().find(|case| case["name"] == "phi3").expect("a case");
    let tokenizer = load(&metadata(&case["keys"]));
    assert_eq!(tokenizer.encode("<think>\n a", false), tokenizer.encode("<think>a", false));
    assert_ne!(tokenizer.encode("<s>\n a", false), tokenizer.encode("<s>a", false));
}

/// The id of a padding token, say, may be that of "!", where a config meant no token in particular.
#[test]
fn a_named_token_that_text_makes_is_text() {
    let tokenizer = load(&metadata(&json!({
        "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["!", "a", "b", "ab", "<|end|>"], "tokenizer.ggml.token_type": [1, 1, 1, 1, 1],
        "tokenizer.ggml.merges": ["a b"], "tokenizer.ggml.padding_token_id": 0, "tokenizer.ggml.cls_token_id": 3,
        "tokenizer.ggml.eos_token_id": 4,
    })));
    assert_eq!(tokenizer.encode("ab!ab<|end|>!", false).expect("ids"), [3, 0, 3, 4, 0]);
    assert_eq!(tokenizer.decode(&[0, 3, 4, 0], true).expect("a text"), "!ab!");
}

/// Words that are tokens are these tokens where the name says so, as GLM-4's does and that of the model before it does not.
#[test]
fn some_names_leave_words_that_are_tokens_whole() {
    let ids = |pre: &str| {
        let tokenizer = load(&metadata(&json!({
            "tokenizer.ggml.model": "gpt2", "tokenizer.ggml.pre": pre, "tokenizer.ggml.merges": ["a b"],
            "tokenizer.ggml.tokens": ["a", "b", "c", "ab", "abc"], "tokenizer.ggml.token_type": [1, 1, 1, 1, 1],
            "tokenizer.ggml.add_bos_token": false,
        })));
        tokenizer.encode("abc", false).expect("ids")
    };
    for (pre, expected) in [("glm4", vec![4]), ("llama-bpe", vec![4]), ("chatglm-bpe", vec![3, 2])] {
        assert_eq!(ids(pre), expected, "{pre}");
    }
}
