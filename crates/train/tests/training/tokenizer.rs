//! The tokenizers of `--tokenizer`: texts, files and errors.

use std::{fs, path::Path};

use glass_text::{StreamingDetokenizer, Tokenizer};
use glass_train::tokenizer::{SpecialIds, TokenizerChoice, TokenizerChoiceError, TrainedTokenizer, train_tokenizer};

const ODD_TEXTS: [&str; 8] = [
    " spaces  at both ends ",
    "\n\n\ta line\r\nand another\r\n\n",
    "e\u{301} is not é; 日本語, \u{1F469}\u{200D}\u{1F680} and \u{FFFD}",
    "typed out: <unk> </s> <|endoftext|> Ġ ▁ <0x0A>",
    "it's , . ! 's don't  n't",
    "\u{0}\u{1}\u{7f}\u{feff}\u{2028}\u{a0}",
    "   ",
    "aaaaaaaaaaaaaaaaaaaaaaaa",
];

fn choice(text: &str) -> TokenizerChoice {
    text.parse().unwrap()
}

fn train(choice_text: &str, text: &str) -> TrainedTokenizer {
    train_tokenizer(&choice(choice_text), text).unwrap()
}

fn decode(tokenizer: &TrainedTokenizer, ids: &[u32]) -> String {
    tokenizer.tokenizer().decode(ids, true).unwrap()
}

/// One tokenizer of every kind that learns from the text.
fn learned(text: &str) -> [TrainedTokenizer; 3] {
    [train("char", text), train("bpe:256", text), train("bpe:300", text)]
}

#[test]
fn decode_inverts_encode() {
    for text in ODD_TEXTS {
        for tokenizer in learned(text) {
            let ids = tokenizer.encode(text).unwrap();
            assert_eq!(decode(&tokenizer, &ids), text);
            assert!(ids.iter().all(|&id| (id as usize) < tokenizer.vocab_size()));
        }
    }
}

#[test]
fn streaming_inverts_encode() {
    for text in ODD_TEXTS {
        for tokenizer in learned(text) {
            let ids = tokenizer.encode(text).unwrap();
            let mut stream = StreamingDetokenizer::new(tokenizer.tokenizer(), &[], true).unwrap();
            let mut streamed: String = ids.iter().map(|&id| stream.push(id).unwrap()).collect();
            streamed += &stream.finish().unwrap();
            assert_eq!(streamed, text);
        }
    }
}

#[test]
fn chunks_have_the_ids_of_the_whole_text() {
    let text = ODD_TEXTS.join(" and\n\n").repeat(1500);
    for tokenizer in learned(&text) {
        let whole = tokenizer.tokenizer().encode(&text, false).unwrap();
        assert_eq!(tokenizer.encode(&text).unwrap(), whole);
    }
}

#[test]
fn char_ids_follow_the_order_of_code_points() {
    let tokenizer = train("char", "b\nab é");
    assert_eq!(tokenizer.vocab_size(), 6);
    assert_eq!(tokenizer.encode("\n abé").unwrap(), [1, 2, 3, 4, 5]);
    let unk = Some(0);
    let expected = SpecialIds { unk, ..SpecialIds::default() };
    assert_eq!(tokenizer.special_ids(), expected);
}

#[test]
fn char_shows_each_unknown_character() {
    let tokenizer = train("char", "ab");
    let ids = tokenizer.encode("axyb").unwrap();
    assert_eq!(ids, [1, 0, 0, 2]);
    assert_eq!(decode(&tokenizer, &ids), "a<unk><unk>b");
}

#[test]
fn bpe_encodes_every_text() {
    let tokenizer = train("bpe:260", "to be or not to be");
    for text in ODD_TEXTS {
        assert_eq!(decode(&tokenizer, &tokenizer.encode(text).unwrap()), text);
    }
    assert_eq!(tokenizer.special_ids(), SpecialIds::default());
}

#[test]
fn bpe_merges_repeated_pairs() {
    let tokenizer = train("bpe:258", "the the the them");
    assert_eq!(tokenizer.vocab_size(), 258);
    assert!(tokenizer.warnings().is_empty());
    // "th" and then "the", or "he" first: either way, one token.
    assert_eq!(tokenizer.encode("the").unwrap(), [257]);
}

#[test]
fn bpe_of_a_small_text_warns_with_its_size() {
    let tokenizer = train("bpe:512", "the the them xyz");
    let got = tokenizer.vocab_size();
    assert!((258..512).contains(&got));
    let [warning] = tokenizer.warnings() else {
        panic!("{:?}", tokenizer.warnings());
    };
    assert!(warning.contains("bpe:512") && warning.contains(&format!("{got} tokens")));
}

#[test]
fn equal_texts_give_equal_bytes() {
    // Many ties between pairs.
    let text = ODD_TEXTS.concat() + "abc bca cab acb bac cba aaa aaaa aaaaa abab baba";
    for choice in ["char", "bpe:400"] {
        let first = train(choice, &text);
        for _ in 0..5 {
            assert_eq!(train(choice, &text).json(), first.json());
        }
    }
}

#[test]
fn choices_parse_and_display() {
    for text in ["char", "bpe:256", "bpe:32000", "folder/tokenizer.json"] {
        assert_eq!(choice(text).to_string(), text);
    }
    assert_eq!(choice("./char"), TokenizerChoice::File("./char".into()));
}

#[test]
fn bad_sizes_are_errors() {
    let refused = |text: &str| text.parse::<TokenizerChoice>().unwrap_err().to_string();
    for text in ["bpe:x", "bpe:", "bpe:-1", "bpe:1e3"] {
        assert!(refused(text).contains("not a number of tokens"), "{text}");
    }
    assert!(refused("bpe:0").contains("give bpe:256 or more"));
    assert!(refused("bpe:255").contains("give bpe:256 or more"));
    assert!(refused("bpe:999999999999").contains("give at most bpe:1048576"));
    // Without from_str, the size is checked later.
    let direct = TokenizerChoice::Bpe { vocab_size: 7 };
    let error = train_tokenizer(&direct, "text").err();
    let expected = TokenizerChoiceError::BpeSizeTooSmall { given: 7 };
    assert_eq!(error, Some(expected));
}

#[test]
fn an_empty_text_is_an_error() {
    for text in ["char", "bpe:300", "tokenizer.json"] {
        let error = train_tokenizer(&choice(text), "").err();
        assert_eq!(error, Some(TokenizerChoiceError::EmptyText));
    }
    let error = train("char", "a").encode("").unwrap_err();
    assert_eq!(error, TokenizerChoiceError::NoTokens);
}

fn error_of(path: &Path) -> String {
    let error = train_tokenizer(&TokenizerChoice::File(path.to_owned()), "text").err();
    let message = error.unwrap().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
}

#[test]
fn missing_and_broken_files_are_errors_by_name() {
    let folder = tempfile::tempdir().unwrap();
    assert!(error_of(Path::new("chars")).contains("\"chars\"; give char, bpe:N"));
    assert!(error_of(folder.path()).contains("tokenizer.json"));

    let path = folder.path().join("tokenizer.json");
    fs::write(&path, "{\"model\": 1}").unwrap();
    assert!(error_of(&path).contains("tokenizer.json: not a tokenizer file"));

    fs::write(&path, train("char", "ab").json()).unwrap();
    fs::write(folder.path().join("tokenizer_config.json"), "[]").unwrap();
    assert!(error_of(&path).contains("tokenizer_config.json: not a JSON object"));
}

#[test]
fn a_file_is_copied_with_its_config() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let original = train("char", "<s>");
    fs::write(&path, original.json()).unwrap();

    let plain = train(&path.display().to_string(), "text");
    assert_eq!(plain.json(), original.json());
    assert_eq!(plain.config_json(), original.config_json());
    // The vocabulary itself names the token for what it does not spell.
    assert_eq!(plain.special_ids(), original.special_ids());
    assert!(plain.special_ids().unk.is_some());

    let config = r#"{"bos_token": "s", "eos_token": {"content": ">"}, "unk_token": null, "pad_token": "?"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    // The folder is as good as the file.
    let with_config = train(&folder.path().display().to_string(), "text");
    assert_eq!(with_config.config_json(), config.as_bytes());
    let expected = SpecialIds { bos: Some(3), eos: Some(2), unk: original.special_ids().unk };
    assert_eq!(with_config.special_ids(), expected);
    assert!(with_config.warnings().is_empty());

    let config = r#"{"eos_token": "</s>"}"#;
    fs::write(folder.path().join("tokenizer_config.json"), config).unwrap();
    let unknown_eos = train(&path.display().to_string(), "text");
    assert_eq!(unknown_eos.special_ids().eos, None);
    assert!(unknown_eos.warnings()[0].contains("eos_token = \"</s>\" is not a token"));
}

#[test]
fn gaps_between_ids_count_as_vocabulary() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let mut json: serde_json::Value = serde_json::from_slice(train("char", "ab").json()).unwrap();
    json["model"]["vocab"]["c"] = 41.into();
    fs::write(&path, json.to_string()).unwrap();
    let tokenizer = train(&path.display().to_string(), "abc");
    assert_eq!(tokenizer.vocab_size(), 42);
    assert_eq!(tokenizer.encode("abc").unwrap(), [1, 2, 41]);
}

#[test]
fn special_tokens_in_a_text_need_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    let text = "ab<eos>";
    let learned = train("char", text);
    assert_eq!(learned.encode(text).unwrap().len(), text.len());

    let mut json: serde_json::Value = serde_json::from_slice(learned.json()).unwrap();
    json["added_tokens"] = serde_json::json!([{
        "id": 8, "content": "<eos>", "single_word": false, "lstrip": false, "rstrip": false,
        "normalized": false, "special": true
    }]);
    fs::write(&path, json.to_string()).unwrap();
    let tokenizer = train(&path.display().to_string(), text);
    assert_eq!(tokenizer.vocab_size(), 9);
    assert_eq!(tokenizer.encode(text).unwrap().last(), Some(&8));
    assert_eq!(tokenizer.encode(text).unwrap().len(), 3);
}

#[test]
fn a_text_without_tokens_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tokenizer.json");
    // Without an unknown token, a BPE model drops unknown characters.
    let mut json: serde_json::Value = serde_json::from_slice(train("char", "ab").json()).unwrap();
    json["model"]["unk_token"] = serde_json::Value::Null;
    fs::write(&path, json.to_string()).unwrap();
    let tokenizer = train(&path.display().to_string(), "xyz");
    assert_eq!(tokenizer.encode("xyz"), Err(TokenizerChoiceError::NoTokens));
}

#[test]
fn saved_tokenizers_read_back() {
    let text = ODD_TEXTS.concat();
    for trained in learned(&text) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("tokenizer.json"), trained.json()).unwrap();
        let config = folder.path().join("tokenizer_config.json");
        fs::write(config, trained.config_json()).unwrap();
        let read = Tokenizer::from_folder(folder.path()).unwrap().unwrap();
        assert!(read.warnings().is_empty());
        assert_eq!(read.vocab_size(), trained.vocab_size());
        // As a prompt, which a post-processor could add to.
        assert_eq!(read.encode_prompt(&text).unwrap(), trained.encode(&text).unwrap());
    }
}
