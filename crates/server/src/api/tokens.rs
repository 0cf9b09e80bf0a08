//! `/tokenize` and `/detokenize`, in the words of llama-server and of vLLM.

use serde_json::{Value, json};

use super::{ApiError, Fields, Served};

/// A text and its tokens. Without `add_special`, `content` gets no special tokens, and `prompt` those that a prompt gets: as the
/// servers have it whose words these are.
///
/// # Errors
/// No text; a model without a tokenizer.
pub fn tokenize(served: &Served, body: &[u8]) -> Result<Value, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    let (content, prompt) = (fields.text("content")?, fields.text("prompt")?);
    let (add, add_tokens) = (fields.flag("add_special")?, fields.flag("add_special_tokens")?);
    let add = add.or(add_tokens).unwrap_or(prompt.is_some());
    let pieces = fields.flag("with_pieces")? == Some(true);
    let strings = fields.flag("return_token_strs")? == Some(true);
    let text = fields.need("content", content.or(prompt))?;
    served.note_unknown(fields.unknown());
    let tokenizer = served.tokenizer()?;
    let ids = if add { tokenizer.encode_prompt(&text) } else { tokenizer.encode(&text, false) };
    let ids = ids.map_err(|error| served.error(&error.into()))?;
    let token = |id: &u32| match pieces {
        true => json!({ "id": id, "piece": piece(served, *id) }),
        false => json!(id),
    };
    let mut answer = json!({
        "tokens": ids.iter().map(token).collect::<Vec<_>>(),
        "count": ids.len(),
        "max_model_len": served.service.context(),
    });
    if strings {
        answer["token_strs"] = ids.iter().map(|&id| piece(served, id)).collect();
    }
    Ok(answer)
}

/// A token's text; its bytes where they are not one.
fn piece(served: &Served, id: u32) -> Value {
    let bytes = served.token_bytes(id);
    match String::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(error) => error.into_bytes().into(),
    }
}

/// Tokens and their text, special tokens included.
///
/// # Errors
/// No list of tokens; one that the model does not have; a model without a tokenizer.
pub fn detokenize(served: &Served, body: &[u8]) -> Result<Value, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    let tokens = fields.list("tokens")?;
    let tokens = fields.need("tokens", tokens)?;
    served.note_unknown(fields.unknown());
    let id = |value: &Value| value.as_u64().and_then(|id| u32::try_from(id).ok());
    let ids: Option<Vec<u32>> = tokens.iter().map(id).collect();
    let ids = ids.ok_or_else(|| ApiError::invalid("tokens", "must be token ids"))?;
    let known = served.llama().check_ids(&ids, |index| format!("number {} of them", index + 1));
    known.map_err(|error| ApiError::invalid("tokens", error.to_string()))?;
    let text = served.tokenizer()?.decode(&ids, false).map_err(|error| served.error(&error.into()))?;
    // One word for each of the two servers.
    Ok(json!({ "content": text, "prompt": text }))
}
