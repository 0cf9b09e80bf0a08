//! EXAONE 4: norms behind the blocks, normalised queries and keys; every fourth layer is full and, where others slide,
//! not rotated.

use serde_json::{Value, json};

use super::field::Field::Own;
use super::field::qk_norm;
use super::{Family, llama, windows};
use crate::error::Checked;
use crate::fields::Fields;
use crate::norm::{NormPlacement, QkNormOver};
use crate::outline::Outline;

pub(super) const FAMILY: Family = Family {
    architecture: "Exaone4ForCausalLM",
    num_key_value_heads: Some(32),
    bos_token_id: &[0],
    norm_eps: ("rms_norm_eps", 1e-5),
    differs: |outline| {
        outline.norms = NormPlacement::Post;
        qk_norm(outline, QkNormOver::Head);
    },
    fields: &[Own(read, write)],
    ignored: &[],
    ..llama::FAMILY
};

fn read(fields: &mut Fields, outline: &mut Outline) -> Checked<()> {
    if windows::by_type_or_none(fields, outline, 4096, (4, true))?.is_some() {
        outline.rope_of = outline.windows.iter().map(|window| window.and(Some(0))).collect();
    }
    Ok(())
}

fn write(outline: &Outline) -> Value {
    let mut file = windows::write_types(outline);
    // A window that no layer has still says that full layers are not rotated.
    let unused = if outline.rope_of.contains(&None) { json!(4096) } else { Value::Null };
    file["sliding_window"] = outline.window().map_or(unused, |window| json!(window));
    file
}
