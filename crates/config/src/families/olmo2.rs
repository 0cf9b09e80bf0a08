//! OLMo 2: norms behind the blocks; queries and keys are normalised over their whole width.

use super::field::{ATTENTION_BIAS, qk_norm};
use super::{Family, llama, windows};
use crate::norm::{NormPlacement, QkNormOver};
use crate::outline::Outline;

pub(super) const FAMILY: Family = Family {
    architecture: "Olmo2ForCausalLM",
    bos_token_id: &[],
    eos_token_id: &[50_279],
    norm_eps: ("rms_norm_eps", 1e-5),
    differs,
    fields: &[ATTENTION_BIAS, windows::NEVER],
    ignored: &[],
    ..llama::FAMILY
};

fn differs(outline: &mut Outline) {
    outline.norms = NormPlacement::Post;
    qk_norm(outline, QkNormOver::Width);
}
