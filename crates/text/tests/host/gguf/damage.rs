//! Keys that are missing, of other types, or do not fit together.

use std::time::Instant;

use glass_gguf::{Metadata, Strings, Value};
use glass_text::{Tokenizer, gguf};
use proptest::prelude::*;

use super::{cases, metadata};

const OF_BYTES: usize = 6;
const OF_PIECES: usize = 2;

fn keys(case: usize) -> Metadata {
    metadata(&cases()[case]["keys"])
}

/// The message for a file with one key changed, or with the key removed.
fn message(case: usize, key: &str, value: Option<Value>) -> String {
    let mut metadata = keys(case);
    match value {
        Some(value) => metadata.insert(key, value),
        None => metadata.remove(key),
    };
    let error = Tokenizer::from_gguf(&metadata).err().unwrap_or_else(|| panic!("{key} is refused"));
    let message = error.to_string();
    assert!(!message.contains('\n') && message.starts_with("model.gguf") && message.contains(key), "{message}");
    assert_eq!(gguf::tokenizer_json(&metadata).map(|_| ()), Err(error));
    message
}

fn strings(all: &[&str]) -> Value {
    all.iter().collect::<Strings>().into()
}

#[test]
fn damaged_keys_get_one_line() {
    let tokens = "tokenizer.ggml.tokens";
    for case in [OF_BYTES, OF_PIECES] {
        for key in ["model", "tokens", "token_type", "add_bos_token", "bos_token_id", "add_space_prefix"] {
            message(case, &format!("tokenizer.ggml.{key}"), Some(Value::F64(0.5)));
        }
        message(case, tokens, None);
        message(case, "tokenizer.ggml.token_type", Some(vec![1_i32; 7].into()));
        message(case, "tokenizer.ggml.token_type", Some(vec![-1_i32; 7].into()));
        assert!(message(case, "tokenizer.ggml.eos_token_id", Some(Value::U32(99_999))).contains("99999"));
        let many = keys(case).strings(tokens).expect("strings").expect("tokens").len();
        assert!(message(case, "tokenizer.ggml.token_type", Some(vec![9_i32; many].into())).contains("type 9"));
        let same: Strings = (0..many).map(|id| if id == 5 { "x4".to_owned() } else { format!("x{id}") }).collect();
        assert!(message(case, tokens, Some(same.into())).contains("tokens 4 and 5 are both \"x4\""));
    }
    for model in ["t5", "bert", "rwkv", "gemma4", "plamo2", "\n"] {
        message(OF_BYTES, "tokenizer.ggml.model", Some(model.into()));
    }
    let merges = "tokenizer.ggml.merges";
    message(OF_BYTES, merges, None);
    for merge in ["", " ", "a", "ab", "q q", "no such", "a  b", " q"] {
        message(OF_BYTES, merges, Some(strings(&[merge])));
        message(OF_PIECES, merges, Some(strings(&[merge])));
    }
    let unknown = message(OF_BYTES, "tokenizer.ggml.pre", Some("new-one".into()));
    assert!(unknown.contains("\"new-one\"") && unknown.contains("llama-bpe") && unknown.contains("deepseek-coder"));
    message(OF_PIECES, "tokenizer.ggml.scores", None);
    message(OF_PIECES, "tokenizer.ggml.scores", Some(vec![1.0_f32; 7].into()));
    message(OF_PIECES, "tokenizer.ggml.scores", Some(strings(&["1"])));
    let many = keys(OF_PIECES).strings(tokens).expect("strings").expect("tokens").len();
    message(OF_PIECES, "tokenizer.ggml.scores", Some(vec![f32::NAN; many].into()));
    // A flag that needs a token.
    let mut none = keys(OF_BYTES);
    none.insert("tokenizer.ggml.add_bos_token", true);
    none.remove("tokenizer.ggml.bos_token_id");
    assert!(Tokenizer::from_gguf(&none).is_err_and(|error| error.to_string().contains("add_bos_token")));
    let mut broken = keys(OF_BYTES);
    broken.insert("tokenizer.huggingface.json", "{");
    assert!(Tokenizer::from_gguf(&broken).is_err_and(|error| error.to_string().contains("tokenizer.huggingface.json")));
}

#[test]
fn how_text_is_cut_is_guessed_with_a_warning() {
    let mut metadata = keys(OF_BYTES);
    let known = Tokenizer::from_gguf(&metadata).expect("sound").expect("there");
    for pre in [Some("default"), Some(""), None] {
        match pre {
            Some(pre) => metadata.insert("tokenizer.ggml.pre", pre),
            None => metadata.remove("tokenizer.ggml.pre"),
        };
        let guessed = Tokenizer::from_gguf(&metadata).expect("sound").expect("there");
        assert!(matches!(guessed.warnings(), [one] if one.contains("tokenizer.ggml.pre")), "{:?}", guessed.warnings());
        assert_eq!(guessed.encode("It's 1234 words", false), known.encode("It's 1234 words", false));
    }
}

/// Tokens of which every part is a token have very many merges; a merge of spaces may be split anywhere.
#[test]
fn what_would_take_long_is_refused_soon() {
    let start = Instant::now();
    for longest in [2000, 100_000] {
        let step = longest / 1000;
        let tokens: Strings = (1..1000).map(|length| "a".repeat(length * step)).collect();
        let mut metadata = Metadata::new("model.gguf");
        metadata.insert("tokenizer.ggml.model", "llama");
        metadata.insert("tokenizer.ggml.add_bos_token", false);
        metadata.insert("tokenizer.ggml.scores", vec![0.0_f32; tokens.len()]);
        metadata.insert("tokenizer.ggml.tokens", tokens);
        assert!(Tokenizer::from_gguf(&metadata).is_err());
        metadata.insert("tokenizer.ggml.merges", strings(&[&" ".repeat(10_000_000)]));
        assert!(Tokenizer::from_gguf(&metadata).is_err());
    }
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Any change of any key is an error of one line, or another tokenizer; never a panic.
    #[test]
    fn no_change_panics(case in 0_usize..13, key in any::<prop::sample::Index>(), change in 0..9, at in any::<prop::sample::Index>()) {
        let mut metadata = keys(case);
        let names: Vec<String> = metadata.iter().map(|(key, _)| key.to_owned()).collect();
        let name = &names[key.index(names.len())];
        let texts = |metadata: &Metadata| metadata.strings(name).ok().flatten().cloned().unwrap_or_default();
        let many = texts(&metadata).len().max(1);
        let changed: Strings = texts(&metadata).iter().enumerate().map(|(index, text)| match (index == at.index(many), change) {
            (true, 0) => "",
            (true, 1) => "a",
            (true, 2) => "<0x41>",
            (true, 3) => "▁ ▁",
            _ => text,
        }).collect();
        match change {
            0..=3 => metadata.insert(name.as_str(), changed),
            4 => metadata.remove(name),
            5 => metadata.insert(name.as_str(), Value::U32(at.index(700) as u32)),
            6 => metadata.insert(name.as_str(), "llama"),
            7 => metadata.insert(name.as_str(), Value::Bool(true)),
            _ => metadata.insert(name.as_str(), vec![at.index(7) as i32; many]),
        };
        match Tokenizer::from_gguf(&metadata) {
            Ok(Some(tokenizer)) => {
                let ids = tokenizer.encode("<s> The  quick 日本 \u{1F600}\n", true);
                prop_assert!(ids.and_then(|ids| tokenizer.decode(&ids, false)).is_ok());
            }
            Ok(None) => {}
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
        let _ = gguf::tokenizer_config_json(&metadata);
        let _ = gguf::end_ids(&metadata);
    }
}
