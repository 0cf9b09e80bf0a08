//! SmolLM3: every fourth layer without RoPE; these may slide.

use serde_json::{Value, json};

use super::field::Field::Own;
use super::field::{ATTENTION_BIAS, MLP_BIAS};
use super::{Family, llama, windows};
use crate::error::Checked;
use crate::fields::Fields;
use crate::outline::Outline;
use crate::rope::RopeRule;
use crate::values::{Rule, SIZE};

pub(super) const FAMILY: Family = Family {
    architecture: "SmolLM3ForCausalLM",
    num_key_value_heads: Some(4),
    max_position_embeddings: 32_768,
    bos_token_id: &[128_000],
    eos_token_id: &[128_001],
    tie_word_embeddings: true,
    rope: RopeRule { theta: 2e6, ..RopeRule::LLAMA },
    fields: &[ATTENTION_BIAS, MLP_BIAS, Own(read, write)],
    ignored: &[],
    ..llama::FAMILY
};

const ROTATES: Rule<bool> = Rule("must be 1 (rotated) or 0", |value| match value.as_f64() {
    Some(number) => [0.0, 1.0].contains(&number).then_some(number == 1.0),
    None => value.as_bool(),
});

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    let layers = outline.windows.len();
    let rotates = match windows::per_layer(fields, "no_rope_layers", ROTATES, layers)? {
        Some(rotates) => {
            let why = "no_rope_layers decides which layers rotate; set no_rope_layers=null too";
            fields.idle(&["no_rope_layer_interval"], false, why);
            rotates
        }
        None => {
            let interval = fields.get("no_rope_layer_interval", SIZE, 4)?;
            (1..=layers).map(|i| !i.is_multiple_of(interval)).collect()
        }
    };
    outline.rope_of = rotates.iter().map(|&rotates| rotates.then_some(0)).collect();
    windows::switched(fields, outline, None, |outline, i| outline.rope_of[i].is_none())
}

fn write(outline: &Outline) -> Value {
    let mut file = windows::write_switched(outline);
    file["no_rope_layers"] = outline.rope_of.iter().map(|rope| json!(u8::from(rope.is_some()))).collect();
    file
}
