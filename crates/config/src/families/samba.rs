//! Samba: Mamba and sliding-window attention in turn, each with an MLP behind it. Ren et al. 2024, arXiv:2406.07522.
//!
//! No weights were published, so that names and fields are ours: those of Mamba and of Mistral.

use serde_json::{Value, json};

use super::field::Field::{Own, Switch};
use super::{Family, llama, mamba, windows};
use crate::error::{Checked, FieldError};
use crate::fields::Fields;
use crate::layer::MixerConfig;
use crate::names::TensorName::Named;
use crate::outline::Outline;
use crate::values::{Rule, WINDOW};

pub(super) const FAMILY: Family = Family {
    architecture: "SambaForCausalLM",
    max_position_embeddings: 4096,
    norm_eps: ("rms_norm_eps", 1e-5),
    fields: &[
        Own(read, write),
        // Where Mamba tells positions apart, attention can do without.
        Switch(
            "nope",
            |outline| outline.rope_of.iter().all(Option::is_none),
            |outline, nope| outline.rope_of.fill((!nope).then_some(0)),
        ),
        mamba::OF_CODE,
    ],
    ignored: &[],
    names: &[Named("mixer.a_log", "mixer.A_log"), Named("mixer.d", "mixer.D")],
    ..llama::FAMILY
};

const KIND: Rule<bool> = Rule("must be mamba or sliding_attention", |value| match value.as_str()? {
    "mamba" => Some(true),
    "sliding_attention" => Some(false),
    _ => None,
});

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let layers = outline.windows.len();
    let kinds = windows::per_layer(fields, "layer_types", KIND, layers)?;
    let kinds = kinds.unwrap_or_else(|| (0..layers).map(|layer| layer.is_multiple_of(2)).collect());
    let window = fields.get("sliding_window", WINDOW, const { std::num::NonZeroUsize::new(2048).unwrap() })?;
    if !kinds.contains(&true) || !kinds.contains(&false) && layers > 1 {
        let rule = "must name both kinds, mamba and sliding_attention; mamba and mistral are model types of one";
        return Err(FieldError::invalid("layer_types", "one kind", rule));
    }
    let inner = mamba::expanded(fields, outline.hidden_size)?;
    let mixer = mamba::mixer(fields, outline, inner)?;
    outline.windows = kinds.iter().map(|&is_mamba| (!is_mamba).then_some(window)).collect();
    outline.recurrent(MixerConfig::Mamba(mixer), |layer| kinds[layer]);
    Ok(())
}

fn write(outline: &Outline) -> Value {
    let mut file = mamba::write_mixer(outline);
    let kind = |&is_mamba: &bool| if is_mamba { "mamba" } else { "sliding_attention" };
    file["layer_types"] = outline.is_recurrent.iter().map(kind).collect();
    if let Some(window) = outline.window() {
        file["sliding_window"] = json!(window);
    }
    file
}
