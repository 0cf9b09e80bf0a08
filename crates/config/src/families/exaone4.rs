//! EXAONE 4: norms behind the blocks, normalised queries and keys; every fourth layer is full and, where others slide,
//! not rotated.

use serde_json::{Value, json};

use super::field::Field::Own;
use super::field::qk_norm;
use super::{Family, llama, windows};
use crate::draft::Draft;
use crate::error::Checked;
use crate::fields::Fields;
use crate::norm::{NormPlacement, QkNormOver};

pub(super) const FAMILY: Family = Family {
    architecture: "Exaone4ForCausalLM",
    num_key_value_heads: Some(32),
    bos_token_id: &[0],
    norm_eps: ("rms_norm_eps", 1e-5),
    differs: |draft| {
        draft.norms = NormPlacement::Post;
        qk_norm(draft, QkNormOver::Head);
    },
    fields: &[Own(read, write)],
    ignored: &[],
    ..llama::FAMILY
};

fn read(fields: &mut Fields, draft: &mut Draft) -> Checked<()> {
    if windows::by_type_or_none(fields, draft, 4096, (4, true))?.is_some() {
        draft.rope_of = draft.windows.iter().map(|window| window.and(Some(0))).collect();
    }
    Ok(())
}

fn write(draft: &Draft) -> Value {
    let mut file = windows::write_types(draft);
    // A window that no layer has still says that full layers are not rotated.
    let unused = if draft.rope_of.contains(&None) { json!(4096) } else { Value::Null };
    file["sliding_window"] = draft.window().map_or(unused, |window| json!(window));
    file
}
