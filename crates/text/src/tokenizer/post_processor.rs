//! What is added around a text, as `tokenizer.json` has it.

use serde_json::{Map, Value, json};

/// A post-processor that puts `bos` before and `eos` behind every text, each a token with its id, as far as there is one.
pub(crate) fn template(bos: Option<(&str, u32)>, eos: Option<(&str, u32)>) -> Value {
    let text = |name: &str, kind: u32| {
        let special =
            |token: Option<(&str, u32)>| token.map(|(text, _)| json!({"SpecialToken": {"id": text, "type_id": kind}}));
        let sequence = json!({"Sequence": {"id": name, "type_id": kind}});
        special(bos).into_iter().chain([sequence]).chain(special(eos)).collect::<Vec<Value>>()
    };
    let pair = [text("A", 0), text("B", 1)].concat();
    let tokens: Map<String, Value> = bos
        .into_iter()
        .chain(eos)
        .map(|(text, id)| (text.to_owned(), json!({"id": text, "ids": [id], "tokens": [text]})))
        .collect();
    json!({"type": "TemplateProcessing", "single": text("A", 0), "pair": pair, "special_tokens": tokens})
}
