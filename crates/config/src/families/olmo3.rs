//! OLMo 3: OLMo 2 with every fourth layer full, the others sliding, and a RoPE for each kind.

use super::field::ATTENTION_BIAS;
use super::field::Field::Own;
use super::{Family, olmo2, windows};
use crate::rope::RopeRule;

pub(super) const FAMILY: Family = Family {
    architecture: "Olmo3ForCausalLM",
    rope: RopeRule { theta: 5e5, sliding_theta: Some(5e5), ..RopeRule::LLAMA },
    fields: &[
        ATTENTION_BIAS,
        Own(|fields, outline| windows::by_type(fields, outline, 4096, (4, false)), windows::write_types),
    ],
    ..olmo2::FAMILY
};
