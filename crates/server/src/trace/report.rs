//! What was seen, as JSON or as tensors.

use std::collections::HashMap;

use safetensors::{Dtype, serialize, tensor::TensorView};
use serde_json::{Map, Value, json};

use super::{
    look::{Attention, Recurrent, Seen, State},
    wanted::{Part, Wanted},
};
use crate::api::{ApiError, Served};

/// A token and its text.
fn token(id: u32, served: &Served) -> Value {
    json!({ "id": id, "text": String::from_utf8_lossy(&served.token_bytes(id)) })
}

/// What both forms say in words: the text, the caches, the times.
fn described(wanted: &Wanted, seen: &Seen, served: &Served) -> Map<String, Value> {
    let config = &served.llama().config;
    let mut all = Map::new();
    all.insert("object".into(), "glass.trace".into());
    all.insert("model".into(), served.identity.name.clone().into());
    all.insert("prompt_tokens".into(), wanted.prompt_tokens.into());
    all.insert("tokens".into(), wanted.ids.iter().map(|&id| token(id, served)).collect());
    all.insert("positions".into(), json!(wanted.positions));
    let layer = |&layer: &usize| {
        let attention = config.layers[layer].attention();
        json!({
            "layer": layer,
            "mixer": config.layers[layer].mixer.name(),
            "heads": attention.map(|attention| attention.num_attention_heads),
            "kv_heads": attention.map(|attention| attention.num_key_value_heads),
            "head_dim": attention.map(|attention| attention.head_dim),
            "window": attention.and_then(|attention| attention.window).map(|window| window.get()),
            "rope": attention.and_then(|attention| attention.rope),
            "state": config.layers[layer].mixer.state().map(|state| state.matrix),
        })
    };
    all.insert("layers".into(), wanted.layers.iter().map(layer).collect());
    if wanted.has(Part::Cache) {
        let held = seen.caches.iter().map(|held| {
            json!({ "layer": held.layer, "policy": held.policy, "window": held.window, "slots": held.slots,
                    "bytes": held.bytes })
        });
        all.insert("cache".into(), held.collect());
    }
    if wanted.has(Part::Timings) {
        let steps = seen.steps.iter();
        let steps = steps.map(|(tokens, took)| json!({ "tokens": tokens, "ms": took.as_secs_f64() * 1000.0 }));
        all.insert("steps".into(), steps.collect());
    }
    all
}

/// Rows of a matrix.
fn rows(values: &[f32], columns: usize) -> Vec<&[f32]> {
    values.chunks(columns.max(1)).collect()
}

/// All of it as one object.
pub fn json(wanted: &Wanted, seen: &Seen, served: &Served) -> Value {
    let mut all = described(wanted, seen, served);
    let seq = wanted.ids.len();
    if wanted.has(Part::Attention) {
        let layer = |Attention { layer, heads, probabilities }: &Attention| {
            let each = probabilities.chunks((wanted.positions.len() * seq).max(1));
            let heads = heads.iter().zip(each);
            let heads = heads.map(|(head, values)| json!({ "head": head, "probabilities": rows(values, seq) }));
            json!({ "layer": layer, "heads": heads.collect::<Vec<_>>() })
        };
        all.insert("attention".into(), seen.attention.iter().map(layer).collect());
    }
    if wanted.has(Part::Recurrence) {
        let layer = |seen: &Recurrent| {
            let gates =
                seen.gates.iter().map(|(name, width, values)| ((*name).to_owned(), json!(rows(values, *width))));
            let state = json!({ "shape": seen.shape, "norms": seen.norms() });
            json!({ "layer": seen.layer, "state": state, "gates": gates.collect::<Map<_, _>>() })
        };
        all.insert("recurrence".into(), seen.recurrent.iter().map(layer).collect());
    }
    if wanted.has(Part::Norms) || wanted.has(Part::Lens) {
        let state = |State { name, norms, top }: &State| {
            let mut state = json!({ "name": name });
            if wanted.has(Part::Norms) {
                state["norms"] = json!(norms);
            }
            if wanted.has(Part::Lens) {
                let choice = |&(id, logprob): &(u32, f64)| {
                    let mut choice = token(id, served);
                    choice["logprob"] = logprob.into();
                    choice
                };
                state["top"] = top.iter().map(|told| told.top.iter().map(choice).collect::<Vec<_>>()).collect();
            }
            state
        };
        all.insert("states".into(), seen.states.iter().map(state).collect());
    }
    if wanted.has(Part::Rope) {
        let rope = seen
            .ropes
            .iter()
            .map(|rope| json!({ "cos": rows(&rope.cos, rope.pairs), "sin": rows(&rope.sin, rope.pairs) }));
        all.insert("ropes".into(), rope.collect());
    }
    all.into()
}

/// Bytes of a tensor.
struct Stored {
    dtype: Dtype,
    shape: Vec<usize>,
    bytes: Vec<u8>,
}

fn floats(shape: Vec<usize>, values: impl IntoIterator<Item = f32>) -> Stored {
    Stored { dtype: Dtype::F32, shape, bytes: values.into_iter().flat_map(f32::to_le_bytes).collect() }
}

fn whole(shape: Vec<usize>, values: impl IntoIterator<Item = i64>) -> Stored {
    Stored { dtype: Dtype::I64, shape, bytes: values.into_iter().flat_map(i64::to_le_bytes).collect() }
}

/// Numbers as tensors, and words as JSON under `trace` in the file's metadata.
///
/// # Errors
/// None, as the tests know.
pub fn safetensors(wanted: &Wanted, seen: Seen, served: &Served) -> Result<Vec<u8>, ApiError> {
    let described = Value::from(described(wanted, &seen, served)).to_string();
    let (seq, positions) = (wanted.ids.len(), wanted.positions.len());
    let mut tensors = vec![("tokens".to_owned(), whole(vec![seq], wanted.ids.iter().map(|&id| i64::from(id))))];
    for Attention { layer, heads, probabilities } in seen.attention {
        tensors.push((format!("attention.{layer}"), floats(vec![heads.len(), positions, seq], probabilities)));
        tensors.push((
            format!("attention.{layer}.heads"),
            whole(vec![heads.len()], heads.iter().map(|&head| head as i64)),
        ));
    }
    for Recurrent { layer, shape, state, gates } in seen.recurrent {
        tensors.push((format!("recurrence.{layer}.state"), floats(shape.to_vec(), state)));
        for (name, width, values) in gates {
            tensors.push((format!("recurrence.{layer}.{name}"), floats(vec![positions, width], values)));
        }
    }
    for State { name, norms, top } in seen.states {
        if wanted.has(Part::Norms) {
            tensors.push((format!("norms.{name}"), floats(vec![seq], norms)));
        }
        if wanted.has(Part::Lens) {
            let shape = || vec![positions, top.first().map_or(0, |told| told.top.len())];
            let all = || top.iter().flat_map(|told| &told.top);
            tensors.push((format!("lens.{name}.ids"), whole(shape(), all().map(|&(id, _)| i64::from(id)))));
            tensors.push((format!("lens.{name}.logprobs"), floats(shape(), all().map(|&(_, logprob)| logprob as f32))));
        }
    }
    for (number, rope) in seen.ropes.into_iter().enumerate() {
        tensors.push((format!("rope.{number}.cos"), floats(vec![seq, rope.pairs], rope.cos)));
        tensors.push((format!("rope.{number}.sin"), floats(vec![seq, rope.pairs], rope.sin)));
    }
    let failed = |error: safetensors::SafeTensorError| ApiError::internal(error.to_string());
    let mut views = Vec::new();
    for (name, Stored { dtype, shape, bytes }) in &tensors {
        views.push((name.as_str(), TensorView::new(*dtype, shape.clone(), bytes).map_err(failed)?));
    }
    serialize(views, Some(HashMap::from([("trace".to_owned(), described)]))).map_err(failed)
}
