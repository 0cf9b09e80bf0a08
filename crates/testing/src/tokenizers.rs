//! Small tokenizers as `tokenizer.json` has them, one for each way in which a model's vocabulary holds text.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

fn special(id: usize, content: &str) -> Value {
    json!({"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false,
           "normalized": false, "special": true})
}

fn vocabulary(tokens: &[String]) -> Value {
    let ids = tokens.iter().enumerate();
    Value::Object(ids.map(|(id, token)| (token.clone(), json!(id))).collect::<Map<_, _>>())
}

/// As GPT-2's: every byte is a letter, so a token may end inside a character. Id = byte, then the merges, then one
/// special token.
pub fn byte_level() -> Value {
    // GPT-2 shows the bytes that are no visible character of Latin-1 as the characters from U+0100 on.
    let mut next = 0x100;
    let mut tokens: Vec<String> = (0u32..256)
        .map(|byte| {
            let visible = matches!(byte, 0x21..=0x7E | 0xA1..=0xAC | 0xAE..=0xFF);
            let code = if visible { byte } else { next };
            next += u32::from(!visible);
            char::from_u32(code).unwrap().to_string()
        })
        .collect();
    let pairs = [(b'h', b'e'), (b' ', b'a'), (0xF0, 0x9F), (0x98, 0x80), (0xC3, 0xA9)];
    let merges: Vec<Value> = pairs
        .iter()
        .map(|&(a, b)| {
            let (a, b) = (tokens[a as usize].clone(), tokens[b as usize].clone());
            tokens.push(format!("{a}{b}"));
            json!([a, b])
        })
        .collect();
    let end = tokens.len();
    tokens.push("<|endoftext|>".to_owned());
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(end, "<|endoftext|>")],
        "normalizer": null,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true},
        "post_processor": null,
        "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
        "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": false, "byte_fallback": false, "ignore_merges": false,
                  "vocab": vocabulary(&tokens), "merges": merges},
    })
}

/// As Llama 2's: `<unk>`, `<s>`, `</s>`, then 256 tokens for bytes (id = byte + 3), then pieces; BOS in front.
pub fn byte_fallback(merges_as_pairs: bool) -> Value {
    let mut tokens: Vec<String> = ["<unk>", "<s>", "</s>"].map(str::to_owned).into();
    tokens.extend((0..256).map(|byte| format!("<0x{byte:02X}>")));
    let pieces = ["▁", "a", "b", "t", "h", "e", "é", "\u{FFFD}", "▁a", "▁t", "he", "▁the", "▁▁"];
    tokens.extend(pieces.map(str::to_owned));
    let merges = [("▁", "t"), ("h", "e"), ("▁t", "he"), ("▁", "a"), ("▁", "▁")];
    let merges = merges.map(|(a, b)| if merges_as_pairs { json!([a, b]) } else { json!(format!("{a} {b}")) });
    json!({
        "version": "1.0", "truncation": null, "padding": null,
        "added_tokens": [special(0, "<unk>"), special(1, "<s>"), special(2, "</s>")],
        "normalizer": {"type": "Sequence", "normalizers": [
            {"type": "Prepend", "prepend": "▁"},
            {"type": "Replace", "pattern": {"String": " "}, "content": "▁"}]},
        "pre_tokenizer": null,
        "post_processor": {"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}}},
        "decoder": {"type": "Sequence", "decoders": [
            {"type": "Replace", "pattern": {"String": "▁"}, "content": " "},
            {"type": "ByteFallback"}, {"type": "Fuse"},
            {"type": "Strip", "content": " ", "start": 1, "stop": 0}]},
        "model": {"type": "BPE", "dropout": null, "unk_token": "<unk>", "continuing_subword_prefix": null,
                  "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": true, "ignore_merges": false,
                  "vocab": vocabulary(&tokens), "merges": merges},
    })
}

/// The same pieces with SentencePiece's other decoder, which drops all spaces of the first token.
pub fn metaspace() -> Value {
    let mut json = byte_fallback(true);
    json["decoder"] = json!({"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": true});
    json
}

/// One token for each character of a training text, as small models trained on Shakespeare have.
pub fn char_level(text: &str) -> Value {
    let tokens: BTreeSet<String> = text.chars().map(String::from).collect();
    let tokens: Vec<String> = tokens.into_iter().collect();
    json!({
        "version": "1.0", "truncation": null, "padding": null, "added_tokens": [],
        "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(?s:.)"}, "behavior": "Isolated", "invert": false},
        "post_processor": null,
        "decoder": {"type": "Fuse"},
        "model": {"type": "WordLevel", "vocab": vocabulary(&tokens), "unk_token": "<unk>"},
    })
}
