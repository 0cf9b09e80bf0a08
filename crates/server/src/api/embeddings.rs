//! `/v1/embeddings`: a vector for a text, from the hidden states of its tokens.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use burn::tensor::DType;
use glass_attention::{Sequences, Unobserved};
use glass_generate::{Error, Llama};
use serde_json::{Value, json};

use super::{
    ApiError, Fields, Served,
    completions::{Prompt, read_prompts},
};

/// What is made of a text's hidden states behind the last norm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pooling {
    /// Their mean.
    Mean,
    /// That of the last token, which has seen all others.
    Last,
}

/// Texts whose vectors are wanted.
pub struct Wanted {
    prompts: Vec<Prompt>,
    pooling: Pooling,
    base64: bool,
}

/// # Errors
/// What cannot be honoured; a text that no context holds.
pub fn read(served: &Served, body: &[u8]) -> Result<Wanted, ApiError> {
    let mut fields = Fields::of_body(body)?;
    served.check_name(fields.text("model")?.as_deref())?;
    let input = fields.take("input");
    let prompts = read_prompts(fields.need("input", input)?, "input", served)?;
    let context = served.service.context();
    if let Some(prompt) = prompts.iter().find(|prompt| prompt.ids.len() > context) {
        return Err(ApiError::too_long("input", prompt.ids.len(), context, false));
    }
    let base64 = match fields.text("encoding_format")?.as_deref() {
        None | Some("float") => false,
        Some("base64") => true,
        Some(_) => return Err(fields.invalid("encoding_format", "must be float or base64")),
    };
    let pooling = match fields.text("pooling")?.as_deref() {
        None | Some("mean") => Pooling::Mean,
        Some("last") => Pooling::Last,
        Some(_) => return Err(fields.invalid("pooling", "must be mean or last")),
    };
    let size = served.llama().config.hidden_size;
    fields.refuse("dimensions", &[json!(size)], &format!("the vectors of this model have {size} numbers"))?;
    fields.pass_over(&["user"]);
    served.note_unknown(fields.unknown());
    Ok(Wanted { prompts, pooling, base64 })
}

impl Wanted {
    /// Computes the vectors, one text after the other, between the steps of other texts.
    ///
    /// # Errors
    /// The device fails; numbers that are none; the server is shutting down.
    pub async fn compute(self, served: &Served) -> Result<Value, ApiError> {
        let (mut data, mut tokens) = (Vec::new(), 0);
        for (index, Prompt { ids, .. }) in self.prompts.into_iter().enumerate() {
            tokens += ids.len();
            let pooling = self.pooling;
            let vector = served.service.run(move |llama| embed(llama, &ids, pooling)).await;
            let vector = vector.map_err(|_| ApiError::unavailable("the server is shutting down", 5))?;
            let vector = vector.map_err(|error| served.error(&error))?;
            if vector.iter().any(|value| !value.is_finite()) {
                return Err(ApiError::internal(
                    "the vector has numbers that are NaN: the weights are damaged, or numbers left the range of a dtype smaller \
                     than f32",
                ));
            }
            let embedding = match self.base64 {
                true => {
                    let bytes: Vec<u8> = vector.iter().flat_map(|value| value.to_le_bytes()).collect();
                    STANDARD.encode(bytes).into()
                }
                false => json!(vector),
            };
            data.push(json!({ "object": "embedding", "index": index, "embedding": embedding }));
        }
        Ok(json!({
            "object": "list", "data": data, "model": served.identity.name,
            "usage": { "prompt_tokens": tokens, "total_tokens": tokens },
        }))
    }
}

/// The vector of a text, of length 1.
fn embed(llama: &Llama, ids: &[u32], pooling: Pooling) -> Result<Vec<f32>, Error> {
    let ids = llama.ids(&[ids])?; // [1, seq]
    let hidden = llama.model.hidden(ids, Sequences::WHOLE, &mut Unobserved)?; // [1, seq, hidden_size]
    let hidden = hidden.cast(DType::F32); // [1, seq, hidden_size]
    let seq = hidden.dims()[1];
    let pooled = match pooling {
        Pooling::Mean => hidden.mean_dim(1),           // [1, 1, hidden_size]
        Pooling::Last => hidden.narrow(1, seq - 1, 1), // [1, 1, hidden_size]
    };
    let vector = pooled.try_into_vec_as::<f32>().map_err(|error| llama.device.failed(error))?;
    let length = vector.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>().sqrt();
    let unit = |value: &f32| (f64::from(*value) / length.max(f64::MIN_POSITIVE)) as f32;
    Ok(vector.iter().map(unit).collect())
}
