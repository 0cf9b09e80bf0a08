//! gpt-oss: experts with biases and a clamped gate, a learned sink in each head's softmax, every second layer full.

use serde_json::{Value, json};

use super::experts::{self, Absent};
use super::field::ATTENTION_BIAS;
use super::field::Field::{Idle, Own};
use super::{Family, llama, windows};
use crate::error::Checked;
use crate::fields::Fields;
use crate::layer::{AttentionBias, DenseMlpConfig, Gate, RouterConfig, RouterWeights};
use crate::names::TensorName::{Interleaved, Named};
use crate::outline::Outline;
use crate::rope::RopeRule;
use crate::values::{Activation, POSITIVE};

pub(super) const FAMILY: Family = Family {
    architecture: "GptOssForCausalLM",
    renamed: &[("num_experts", "num_local_experts")],
    num_key_value_heads: Some(8),
    head_dim: Some(64),
    max_position_embeddings: 131_072,
    bos_token_id: &[],
    eos_token_id: &[],
    norm_eps: ("rms_norm_eps", 1e-5),
    rope: RopeRule {
        theta: 150_000.0,
        absent: || {
            json!({
                "rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": false,
                "original_max_position_embeddings": 4096,
            })
        },
        ..RopeRule::LLAMA
    },
    differs: |outline| {
        outline.attention.sinks = true;
        outline.attention.bias = AttentionBias { q_k_v: true, o: true };
    },
    fields: &[
        ATTENTION_BIAS,
        Own(|fields, outline| windows::by_type(fields, outline, 128, (2, false)), windows::write_types),
        Own(read, write),
        experts::TRAINING,
        Idle(&["hidden_act"], "the gate of gpt_oss is fixed"),
        Idle(&["experts_per_token"], "gpt_oss goes by num_experts_per_tok"),
        Idle(&["initial_context_length"], "gpt_oss goes by original_max_position_embeddings of its RoPE"),
    ],
    ignored: &[],
    names: &[Named("mlp.gate", "mlp.router"), Interleaved],
    ..llama::FAMILY
};

const ABSENT: Absent = Absent { name: "num_local_experts", num_experts: 128, num_experts_per_tok: 4 };

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let alpha = fields.get("swiglu_alpha", POSITIVE, 1.702)?;
    let limit = fields.get("swiglu_limit", POSITIVE, 7.0)?;
    let gate = Gate::Clamped { alpha, limit };
    let expert = DenseMlpConfig { gate, bias: true, hidden_act: Activation::Silu, ..outline.mlp };
    let router = RouterConfig { weights: RouterWeights::SoftmaxChosen, bias: true };
    experts::read(fields, outline, ABSENT, expert, router)
}

fn write(outline: &Outline) -> Value {
    let mut file = experts::write(outline, ABSENT.name);
    if let Gate::Clamped { alpha, limit } = outline.mlp.gate {
        (file["swiglu_alpha"], file["swiglu_limit"]) = (json!(alpha), json!(limit));
    }
    file
}
