//! The architectures of GGUF, and what each has beside the fields of all.

use super::draft::Draft;
use crate::error::ConfigError;
use crate::families::ModelType;

/// A `general.architecture`.
#[derive(Debug)]
pub struct GgufArchitecture {
    name: &'static str,
    /// Whose models have it; a file is read as the first, unless `fields` finds another.
    pub(super) families: &'static [ModelType],
    /// Whether each head's rows of queries and keys are in the order in which ggml rotates neighbours.
    neighbours: bool,
    pub(super) fields: fn(&mut Draft) -> Result<(), ConfigError>,
}

type Done = Result<(), ConfigError>;

impl GgufArchitecture {
    /// All that are read and written.
    #[rustfmt::skip]
    pub const ALL: &[Self] = {
        use ModelType::*;
        &[
            Self::new("llama", &[Llama, Mistral, Mixtral], true, llama),
            Self::new("qwen2", &[Qwen2], false, |_| Ok(())),
            Self::new("qwen3", &[Qwen3], false, attention_bias),
            Self::new("qwen3moe", &[Qwen3Moe], false, qwen3moe),
            Self::new("gemma", &[Gemma], false, |_| Ok(())),
            Self::new("gemma2", &[Gemma2], false, gemma2),
            Self::new("gemma3", &[Gemma3Text], false, gemma3),
            Self::new("phi3", &[Phi3], false, phi3),
            Self::new("smollm3", &[SmolLm3], true, biases),
            Self::new("granite", &[Granite], true, granite),
            Self::new("olmo2", &[Olmo2, Olmo3], false, olmo2),
            Self::new("exaone4", &[Exaone4], false, exaone4),
            Self::new("gpt-oss", &[GptOss], false, gpt_oss),
        ]
    };

    const fn new(
        name: &'static str,
        families: &'static [ModelType],
        neighbours: bool,
        fields: fn(&mut Draft) -> Done,
    ) -> Self {
        Self { name, families, neighbours, fields }
    }

    /// The name in files.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Whether rows of queries and keys lie otherwise than in a Hugging Face folder: value `2 i` of a head is the folder's
    /// `i`, and `2 i + 1` the one half a head further on. ggml rotates neighbours there.
    pub fn rotates_neighbours(&self) -> bool {
        self.neighbours
    }

    pub(super) fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|known| known.name == name)
    }

    pub(super) fn of_family(family: ModelType) -> Option<&'static Self> {
        Self::ALL.iter().find(|known| known.families.contains(&family))
    }
}

/// Biases are where their tensors are.
fn attention_bias(draft: &mut Draft) -> Done {
    let has = draft.has("blk.0.attn_q.bias");
    draft.set("attention_bias", has);
    Ok(())
}

fn biases(draft: &mut Draft) -> Done {
    attention_bias(draft)?;
    let has = draft.has("blk.0.ffn_up.bias");
    draft.set("mlp_bias", has);
    Ok(())
}

fn llama(draft: &mut Draft) -> Done {
    match draft.experts()? {
        Some(_) => draft.set("model_type", "mixtral"),
        None => biases(draft)?,
    }
    Ok(())
}

fn qwen3moe(draft: &mut Draft) -> Done {
    attention_bias(draft)?;
    let Some((_, used)) = draft.experts()? else {
        return Err(draft.keys.refused("expert_count", "it must be there, and above 0"));
    };
    let width = draft.keys.usize("expert_feed_forward_length")?;
    let all = draft.keys.size_of_layers("feed_forward_length")?;
    draft.set("moe_intermediate_size", width.or_else(|| all?.checked_div(used)));
    // llama.cpp computes it so, whatever the folder said: all files of this architecture have it.
    draft.set("norm_topk_prob", true);
    Ok(())
}

fn gemma2(draft: &mut Draft) -> Done {
    draft.copy_float("attn_logit_softcapping", "attn_logit_softcapping")?;
    draft.copy_float("final_logit_softcapping", "final_logit_softcapping")?;
    score_scale(draft, 46);
    draft.sliding(Some(4096), 2).map(|_| ())
}

fn gemma3(draft: &mut Draft) -> Done {
    draft.copy_float("final_logit_softcapping", "final_logit_softcapping")?;
    score_scale(draft, 62);
    draft.sliding(None, 6).map(|_| ())
}

/// The scale of Gemma's scores is in no key. That of the models with 27 billion parameters, which have so many layers, follows from
/// another width than a head's.
fn score_scale(draft: &mut Draft, layers_of_27b: usize) {
    let width = match draft.layers == layers_of_27b {
        true => draft.hidden.checked_div(draft.heads).unwrap_or(0),
        false => draft.head_dim,
    };
    draft.set("query_pre_attn_scalar", width);
}

/// Files for the first Phi-3 have its window; Phi-4's have 0 there.
fn phi3(draft: &mut Draft) -> Done {
    let window = draft.keys.usize("attention.sliding_window")?.filter(|&window| window > 0);
    draft.set("sliding_window", window);
    Ok(())
}

fn granite(draft: &mut Draft) -> Done {
    biases(draft)?;
    if draft.keys.bool("rope.scaling.finetuned")? == Some(false) {
        return Err(draft.keys.refused("rope.scaling.finetuned", "it is a Granite that does not rotate positions"));
    }
    // 0 and absent are none in llama.cpp.
    let unscaled = (draft.head_dim as f64).powf(-0.5);
    for (key, field, none) in [
        ("attention.scale", "attention_multiplier", unscaled),
        ("embedding_scale", "embedding_multiplier", 1.0),
        ("residual_scale", "residual_multiplier", 1.0),
    ] {
        let value = draft.keys.float(key)?.filter(|&value| value != 0.0);
        draft.set(field, value.unwrap_or(none));
    }
    let scale = draft.keys.needed_float("logit_scale")?;
    draft.set("logits_scaling", if scale == 0.0 { 1.0 } else { scale });
    Ok(())
}

/// OLMo 3 is OLMo 2 with windows.
fn olmo2(draft: &mut Draft) -> Done {
    attention_bias(draft)?;
    if draft.keys.usize("attention.sliding_window")?.is_some_and(|window| window > 0) {
        draft.set("model_type", "olmo3");
        draft.sliding(None, 4)?;
    }
    Ok(())
}

/// The model of 32 billion parameters, which has 64 layers, slides even where its file does not say so.
fn exaone4(draft: &mut Draft) -> Done {
    let absent = (draft.layers == 64).then_some(4096);
    draft.sliding(absent, 4).map(|_| ())
}

fn gpt_oss(draft: &mut Draft) -> Done {
    if draft.experts()?.is_none() {
        return Err(draft.keys.refused("expert_count", "it must be there, and above 0"));
    }
    if let Some(width) = draft.keys.usize("expert_feed_forward_length")? {
        draft.set("intermediate_size", width);
    }
    draft.sliding(Some(128), 2).map(|_| ())
}
