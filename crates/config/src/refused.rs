//! Fields that are no part of a config here, by name: those that would change the result, and those
//! that cannot.

use serde_json::Value;

use crate::fields::{Row, empty, none, off, one};
use crate::outline::Outline;

fn fifty(value: &Value, _: &Outline) -> bool {
    value == 50
}

fn twenty(value: &Value, _: &Outline) -> bool {
    value == 20
}

fn zero(value: &Value, _: &Outline) -> bool {
    value == false || value.as_f64() == Some(0.0)
}

fn head_dim(value: &Value, plain: &Outline) -> bool {
    value.as_f64() == Some(plain.attention.head_dim as f64)
}

fn scale(value: &Value, plain: &Outline) -> bool {
    let scale = plain.attention.scale;
    let same = |given: f64| (given - scale).abs() <= 1e-6 * scale;
    value.as_f64().is_some_and(same)
}

/// Where the family has the norm, it has it whatever such a field says.
fn qk_norm(value: &Value, plain: &Outline) -> bool {
    value == false || plain.attention.qk_norm.is_some()
}

/// A list with a neutral entry for each layer.
fn all(value: &Value, is_neutral: fn(&Value) -> bool) -> bool {
    value.as_array().is_some_and(|layers| layers.iter().all(is_neutral))
}

/// Fields of relatives and forks that change what the forward pass computes.
#[rustfmt::skip]
pub(crate) const REFUSED: &[Row<Outline>] = &[
    (&["compression_config"], none, "use the plain checkpoint"),
    (&["vision_config", "audio_config", "text_config"], none, "only text models are built here"),
    (&["is_encoder_decoder", "add_cross_attention"], off, "only decoders are built here"),
    // Position.
    (&["rotary_pct"], one, "heads are rotated whole in this family"),
    (&["rotary_dim"], head_dim, "heads are rotated whole in this family"),
    (&["rope_interleaved", "rope_traditional"], off, "rotation pairs the halves of a head in this family"),
    (&["rope_ratio"], one, "give the scaled rope_theta instead"),
    (&["rotary_emb_base"], none, "give it as rope_theta instead"),
    (&["position_embedding_type"], |value, _| value == "rope" || value == "rotary", "positions are rotary here"),
    (&["alibi", "use_alibi"], off, "positions are rotary here"),
    (&["use_mrope"], off, "positions have one axis here"),
    (&["mrope_section"], none, "positions have one axis here"),
    (&["no_rope_layers"], |value, _| all(value, |layer| one(layer, &())), "every layer rotates in this family"),
    (&["no_rope_layer_interval"], zero, "every layer rotates in this family"),
    // Attention.
    (&["attention_chunk_size"], none, "attention is full or windowed here, never in chunks"),
    (&["sliding_window_pattern", "_sliding_window_pattern"], none, "this family has no such rule; qwen2 has layer_types"),
    (&["attn_logit_softcapping"], none, "scores are not capped in this family"),
    (&["query_pre_attn_scalar"], head_dim, "scores are scaled by head_dim^-0.5"),
    (&["attention_multiplier"], scale, "scores are scaled by head_dim^-0.5"),
    (&["attn_temperature_tuning"], zero, "scores are not scaled by position here"),
    (&["use_logn_attn"], off, "scores are not scaled by length here"),
    (&["use_dynamic_ntk"], off, "say it with rope_type dynamic"),
    (&["use_qk_norm", "qk_norm", "qk_layernorm"], qk_norm, "queries and keys are not normalised in this family"),
    (&["clip_qkv"], none, "queries, keys and values are not clipped here"),
    (&["multi_query"], off, "say it with num_key_value_heads"),
    (&["num_key_value_heads_per_layer"], none, "all layers have the same heads here"),
    (&["pruned_heads"], empty, "all heads are computed here"),
    (&["kv_lora_rank", "q_lora_rank"], none, "queries, keys and values are not compressed here"),
    // Biases.
    (&["qkv_bias", "use_qkv_bias", "add_qkv_bias"], |value, plain| *value == plain.attention.bias.q_k_v, "llama has attention_bias"),
    (&["bias", "use_bias"], off, "llama has attention_bias and mlp_bias"),
    (&["lm_head_bias"], off, "the head has no bias here"),
    // The residual stream and the head.
    (&["embedding_multiplier", "residual_multiplier", "scale_emb"], one, SCALED),
    (&["scale_depth", "dim_model_base"], none, SCALED),
    (&["logit_scale", "logits_scaling", "lm_head_multiplier"], one, "logits are not scaled in this family"),
    (&["final_logit_softcapping"], none, "logits are not capped in this family"),
    (&["use_parallel_residual", "parallel_attn"], off, "attention and MLP follow one another in this family"),
    (&["per_layer_config"], empty, "all layers are alike here, but for the window"),
    // The MLP.
    (&["hidden_activation"], |value, plain| *value == plain.mlp.hidden_act.to_string().as_str(), "give it as hidden_act"),
    (&["num_local_experts", "num_experts", "num_experts_per_tok"], zero, NO_EXPERTS),
    (&["n_routed_experts", "n_shared_experts", "moe_intermediate_size"], zero, NO_EXPERTS),
    (&["mlp_layer_types"], |value, _| all(value, |layer| layer == "dense"), NO_EXPERTS),
];

const SCALED: &str = "the residual stream is not scaled in this family";
const NO_EXPERTS: &str = "the MLP of this family has no experts";

/// Fields that say nothing about the forward pass of one sequence: among them all of the base class of transformers 4 and 5
/// (`PretrainedConfig`) that no field of a model is.
#[rustfmt::skip]
pub(crate) const NO_EFFECT: &[Row<Outline>] = &[
    (&[
        // Provenance and loading.
        "_name_or_path", "name_or_path", "_commit_hash", "architectures", "transformers_version",
        "is_llama_config", "tokenizer_class", "unsloth_fixed", "unsloth_version", "auto_map", "_auto_class",
        "model_max_length",
        // How transformers runs a model, not what it computes.
        "use_cache", "pretraining_tp", "torchscript", "return_dict", "use_return_dict",
        "output_attentions", "output_hidden_states", "chunk_size_feed_forward",
        "gradient_checkpointing", "attn_implementation", "_attn_implementation",
        "_attn_implementation_internal", "_attn_implementation_autoset", "experts_implementation",
        "_experts_implementation", "_experts_implementation_internal", "use_bfloat16", "tf_legacy_loss",
        "keys_to_ignore_at_inference", "xla_device", "is_composition", "base_model_tp_plan", "base_model_pp_plan",
        "base_model_ep_plan", "base_model_fsdp_plan", "tie_last_hidden_states", "_output_attentions",
        // Switches of other kinds of model, at whatever value.
        "is_decoder", "tie_encoder_decoder", "cross_attention_hidden_size", "decoder_start_token_id", "prefix",
        "task_specific_params", "finetuning_task", "problem_type", "num_labels", "id2label", "label2id",
        "summary_type", "summary_use_proj", "summary_activation", "summary_proj_to_labels",
        "summary_first_dropout", "classifier_dropout", "use_flash_attn", "use_flash_attention", "flash_attn",
        // The tokenizer knows them.
        "unk_token_id", "sep_token_id", "cls_token_id", "mask_token_id", "additional_special_tokens",
    ], none, "it has no effect on what the model computes"),
    // Dropout elsewhere than in attention, which is what training has here.
    (&["hidden_dropout", "resid_dropout", "resid_pdrop", "embd_pdrop", "attn_pdrop", "residual_dropout", "dropout"], none,
        "it has no part in running a model"),
];

/// Settings for generation in the old place, with the values that they have by default.
const GENERATION: &str = "a setting for generation, which belongs in generation_config.json";

// transformers reads these from generation_config.json and drops them from config.json.
#[rustfmt::skip]
pub(crate) const IGNORED: &[Row<Outline>] = &[
    (&["torch_dtype"], none, "dtype says otherwise; neither decides anything, for the tensors have their own types"),
    (&[
        "num_beams", "num_beam_groups", "temperature", "top_p", "typical_p", "repetition_penalty", "length_penalty",
        "num_return_sequences",
    ], one, GENERATION),
    (&[
        "do_sample", "early_stopping", "min_length", "diversity_penalty", "no_repeat_ngram_size",
        "encoder_no_repeat_ngram_size", "output_scores", "return_dict_in_generate", "remove_invalid_values",
    ], zero, GENERATION),
    (&["top_k"], fifty, GENERATION),
    (&["max_length"], twenty, GENERATION),
    (&[
        "bad_words_ids", "forced_bos_token_id", "forced_eos_token_id", "exponential_decay_length_penalty",
        "suppress_tokens", "begin_suppress_tokens", "min_p", "max_new_tokens", "min_new_tokens", "penalty_alpha",
        "sequence_bias", "stop_strings", "guidance_scale",
    ], empty, GENERATION),
];
