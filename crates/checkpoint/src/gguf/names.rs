//! What GGUF calls a model's weights, and how their rows lie there: for reading and for writing.
//!
//! Names: `gguf-py/gguf/constants.py` of llama.cpp. Rows: its `conversion/*.py`.

use glass_config::{AttentionConfig, LayerConfig, LlamaConfig, MlpConfig, NormPlacement, StoredRows};

/// Outside of layers: what modules ask for, and what it is called.
const MODEL: [(&str, &str); 3] =
    [("model.embed_tokens", "token_embd"), ("model.norm", "output_norm"), ("lm_head", "output")];

/// In layers, but for norms.
const LAYER: [(&str, &str); 12] = [
    ("self_attn.q_proj", "attn_q"),
    ("self_attn.k_proj", "attn_k"),
    ("self_attn.v_proj", "attn_v"),
    ("self_attn.o_proj", "attn_output"),
    ("self_attn.q_norm", "attn_q_norm"),
    ("self_attn.k_norm", "attn_k_norm"),
    ("input_layernorm", "attn_norm"),
    ("pre_feedforward_layernorm", "ffn_norm"),
    ("post_feedforward_layernorm", "post_ffw_norm"),
    ("mlp.gate_proj", "ffn_gate"),
    ("mlp.up_proj", "ffn_up"),
    ("mlp.down_proj", "ffn_down"),
];

/// Where a GGUF file of such a model holds the weight that modules call `name`, of this `shape`: rows of its tensors that
/// cover the weight's rows in order. `None`: GGUF has no place for it.
///
/// Norms whose weight is an offset from 1 ([`NormOffset`](glass_backend::WeightRole::NormOffset)) are stored there with the 1
/// added.
pub fn stored_in_gguf(config: &LlamaConfig, name: &str, shape: &[usize]) -> Option<Vec<StoredRows>> {
    let architecture = config.gguf_architecture()?;
    let (module, kind) = name.rsplit_once('.')?;
    if let Some((_, stored)) = MODEL.iter().find(|(ours, _)| *ours == module) {
        return Some(vec![StoredRows::whole(format!("{stored}.{kind}"), shape)]);
    }
    let (number, part) = name.strip_prefix("model.layers.")?.split_once('.')?;
    let layer = config.layers.get(number.parse::<usize>().ok()?)?;
    let attention = layer.attention()?;
    let in_layer = |leaf: &str, kind: &str| format!("blk.{number}.{leaf}.{kind}");
    if part == "self_attn.sinks" {
        return Some(vec![StoredRows::whole(in_layer("attn_sinks", "weight"), shape)]);
    }
    let (module, kind) = part.rsplit_once('.')?;
    if let Some(rest) = module.strip_prefix("mlp.experts.") {
        let (expert, projection) = rest.split_once('.')?;
        let leaf = format!("ffn_{}_exps", projection.strip_suffix("_proj")?);
        return Some(vec![of_expert(layer, in_layer(&leaf, kind), expert.parse().ok()?, shape)?]);
    }
    if architecture.name() == "phi3"
        && let Some((leaf, before, all)) = fused(layer, attention, module)
    {
        let mut rows = StoredRows::whole(in_layer(leaf, kind), shape);
        rows.start = before * rows.strides[0];
        rows.shape[0] = all;
        return Some(vec![rows]);
    }
    let leaf = match module {
        "mlp.gate" => "ffn_gate_inp",
        // The norm before the MLP, and in some architectures one behind attention.
        "post_attention_layernorm" if layer.norms == NormPlacement::Pre && architecture.name() != "gpt-oss" => {
            "ffn_norm"
        }
        "post_attention_layernorm" => "post_attention_norm",
        module => LAYER.iter().find(|(ours, _)| *ours == module)?.1,
    };
    let rows = StoredRows::whole(in_layer(leaf, kind), shape);
    Some(match module {
        "self_attn.q_proj" if architecture.rotates_neighbours() => neighbours(&rows, attention.num_attention_heads),
        "self_attn.k_proj" if architecture.rotates_neighbours() => neighbours(&rows, attention.num_key_value_heads),
        _ => vec![rows],
    })
}

/// An expert's projection, or its bias, in the tensor of all experts.
fn of_expert(layer: &LayerConfig, name: String, expert: usize, shape: &[usize]) -> Option<StoredRows> {
    let Some(MlpConfig::Experts(experts)) = layer.mlp else { return None };
    let mut rows = StoredRows::whole(name, shape);
    rows.start = expert * shape.iter().product::<usize>();
    rows.shape.insert(0, experts.num_experts);
    Some(rows)
}

/// Phi-3's tensors of several projections: the name, the rows before this one's, and all rows.
fn fused(layer: &LayerConfig, attention: &AttentionConfig, module: &str) -> Option<(&'static str, usize, usize)> {
    let (q, kv) = (attention.q_size(), attention.kv_size());
    let Some(MlpConfig::Dense(mlp)) = layer.mlp else { return None };
    let inner = mlp.intermediate_size;
    Some(match module {
        "self_attn.q_proj" => ("attn_qkv", 0, q + 2 * kv),
        "self_attn.k_proj" => ("attn_qkv", q, q + 2 * kv),
        "self_attn.v_proj" => ("attn_qkv", q + kv, q + 2 * kv),
        "mlp.gate_proj" => ("ffn_up", 0, 2 * inner),
        "mlp.up_proj" => ("ffn_up", inner, 2 * inner),
        _ => return None,
    })
}

/// Rows of heads whose halves alternate in the file: row `2 i` of a head is the first half's `i`, and `2 i + 1` the second's.
fn neighbours(rows: &StoredRows, heads: usize) -> Vec<StoredRows> {
    let head = rows.rows.len() / heads.max(1);
    let [columns, _] = rows.strides;
    let half = |n: usize| {
        let (first, odd) = (n / 2 * head, n % 2);
        let own = first + odd * (head / 2);
        StoredRows {
            rows: own..own + head / 2,
            start: (first + odd) * columns,
            strides: [2 * columns, 1],
            ..rows.clone()
        }
    };
    (0..2 * heads).map(half).collect()
}
