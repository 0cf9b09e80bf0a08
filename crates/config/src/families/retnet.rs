//! RetNet: retention in place of attention. Sun et al. 2023, arXiv:2307.08621; names are those of torchscale, its code.

use serde_json::{Value, json};

use super::field::Field::{Fixed, Idle, Own};
use super::{Family, llama};
use crate::error::Checked;
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::names::TensorName::Named;
use crate::outline::Outline;
use crate::recurrent::RetentionConfig;
use crate::rope::{RopeParameters, RopeScaling};
use crate::values::{Activation, SIZE};

pub(super) const FAMILY: Family = Family {
    architecture: "RetNetForCausalLM",
    attention: false,
    renamed: &[
        ("decoder_embed_dim", "hidden_size"),
        ("decoder_layers", "num_hidden_layers"),
        ("decoder_ffn_embed_dim", "intermediate_size"),
        ("share_decoder_input_output_embed", "tie_word_embeddings"),
        ("max_target_positions", "max_position_embeddings"),
    ],
    activation: ("activation_fn", Activation::Gelu),
    norm_eps: ("layernorm_eps", 1e-6),
    fields: &[
        Own(read, write),
        Fixed("decoder_normalize_before", true, "norms are before the blocks here"),
        Fixed("no_scale_embedding", true, "embeddings are not scaled here"),
        Fixed("layernorm_embedding", false, "embeddings are not normalised here"),
        Fixed("deepnorm", false, "residuals are not scaled here"),
        Fixed("multiway", false, "one way is built here"),
        Idle(
            &["chunkwise_recurrent", "recurrent_chunk_size", "forward_impl"],
            "the three forms of retention compute the same",
        ),
        Idle(&["subln", "use_cache"], "it has no effect on this MLP"),
        Idle(&["drop_path_rate", "activation_dropout", "dropout"], "it has no part in running a model"),
    ],
    ignored: &[],
    names: &[
        Named("mixer", "retention"),
        Named("input_layernorm", "retention_layer_norm"),
        Named("post_attention_layernorm", "final_layer_norm"),
        // act(fc1 x) * (gate x): what is called gate there is what Llama calls up.
        Named("mlp.gate_proj", "ffn.fc1"),
        Named("mlp.up_proj", "ffn.gate"),
        Named("mlp.down_proj", "ffn.fc2"),
        Named("model.norm", "model.layer_norm"),
    ],
    ..llama::FAMILY
};

const HEADS: &str = "decoder_retention_heads";
const VALUES: &str = "decoder_value_embed_dim";

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let hidden_size = outline.hidden_size;
    let num_heads = fields.get(HEADS, SIZE, 3)?;
    let values = fields.get(VALUES, SIZE, hidden_size.saturating_mul(2))?;
    let rule =
        format!("must divide decoder_embed_dim ({hidden_size}) into heads of an even width, which rotation pairs");
    fields.check(hidden_size.is_multiple_of(num_heads.saturating_mul(2)), HEADS, num_heads, rule)?;
    let rule = format!("must be a multiple of {HEADS} ({num_heads})");
    fields.check(values.is_multiple_of(num_heads), VALUES, values, rule)?;
    let (key_dim, head_dim) = (hidden_size / num_heads, values / num_heads);
    outline.ropes = vec![rope(key_dim)];
    let norm_eps = outline.norm.eps;
    outline.recurrent(MixerConfig::Retention(RetentionConfig { num_heads, key_dim, head_dim, norm_eps }), |_| true);
    Ok(())
}

/// Pairs of neighbours turn by angles from 1 to 1/10000, both included: Llama's would stop one step before its theta.
fn rope(key_dim: usize) -> RopeParameters {
    let pairs = key_dim / 2;
    let exponent = if pairs > 1 { pairs as f64 / (pairs - 1) as f64 } else { 1.0 };
    RopeParameters {
        rope_theta: 10_000f64.powf(exponent),
        partial_rotary_factor: 1.0,
        interleaved: true,
        scaling: RopeScaling::Default,
    }
}

fn write(outline: &Outline) -> Value {
    let Some(MixerConfig::Retention(retention)) = outline.recurrent_mixer() else { return json!({}) };
    json!({ HEADS: retention.num_heads, VALUES: retention.num_heads * retention.head_dim })
}
