//! How many experts, which layers have them, and how their router weighs them.

use serde_json::{Map, Value, json};

use super::field::Field;
use crate::error::Checked;
use crate::fields::{Fields, Name};
use crate::layer::{DenseMlpConfig, ExpertsConfig, RouterConfig, RouterWeights, SharedExpertConfig};
use crate::outline::Outline;
use crate::values::{COUNT, SIZE, SWITCH};

/// The family's name for the number of experts, and what its file leaves out.
#[derive(Clone, Copy)]
pub(super) struct Absent {
    pub name: Name,
    pub num_experts: usize,
    pub num_experts_per_tok: usize,
}

/// So many experts in all layers, of which `num_experts_per_tok` are chosen.
pub(super) fn read(
    fields: &mut Fields,
    outline: &mut Outline,
    absent: Absent,
    expert: DenseMlpConfig,
    router: RouterConfig,
) -> Checked<()> {
    let num_experts = fields.get(absent.name, COUNT, absent.num_experts)?;
    let name = "num_experts_per_tok";
    let num_experts_per_tok = fields.get(name, SIZE, absent.num_experts_per_tok)?;
    if num_experts == 0 {
        return Ok(());
    }
    let rule = format!("must not exceed the number of experts, {num_experts}");
    fields.check(num_experts_per_tok <= num_experts, name, num_experts_per_tok, rule)?;
    outline.experts = Some(ExpertsConfig { num_experts, num_experts_per_tok, expert, router, shared: None });
    outline.sparse.fill(true);
    Ok(())
}

pub(super) fn write(outline: &Outline, name: Name) -> Value {
    let Some(experts) = outline.experts else { return json!({ name: 0 }) };
    json!({ name: experts.num_experts, "num_experts_per_tok": experts.num_experts_per_tok })
}

/// Qwen's: experts of their own width, in the layers that `decoder_sparse_step` and `mlp_only_layers` leave; and beside
/// them, where the family has one (`shared` is its width), a shared expert with a gate.
pub(super) fn read_qwen(
    fields: &mut Fields,
    outline: &mut Outline,
    absent: Absent,
    width: usize,
    shared: Option<usize>,
) -> Checked<()> {
    let mlp = |intermediate_size| DenseMlpConfig { intermediate_size, ..outline.mlp };
    let expert = mlp(fields.get("moe_intermediate_size", SIZE, width)?);
    let shared = match shared {
        Some(width) => Some(mlp(fields.get("shared_expert_intermediate_size", SIZE, width)?)),
        None => None,
    };
    let weights = match fields.get("norm_topk_prob", SWITCH, false)? {
        true => RouterWeights::SoftmaxAllRenormalised,
        false => RouterWeights::SoftmaxAll,
    };
    read(fields, outline, absent, expert, RouterConfig { weights, bias: false })?;
    if let Some(experts) = &mut outline.experts {
        experts.shared = shared.map(|mlp| SharedExpertConfig { mlp, gate: true });
    }
    let step = fields.get("decoder_sparse_step", SIZE, 1)?;
    let dense = fields.list("mlp_only_layers", COUNT)?.unwrap_or_default();
    let layers = outline.sparse.len();
    for (i, &layer) in dense.iter().enumerate() {
        let rule = format!("must be a layer, a number below num_hidden_layers = {layers}");
        fields.check(layer < layers, &format!("mlp_only_layers[{i}]"), layer, rule)?;
    }
    let sparse = |i: usize| outline.experts.is_some() && (i + 1).is_multiple_of(step) && !dense.contains(&i);
    outline.sparse = (0..layers).map(sparse).collect();
    if !outline.sparse.contains(&true) {
        outline.experts = None;
        let why = "no layer has experts, by num_experts, decoder_sparse_step and mlp_only_layers";
        let others: [Name; 4] =
            ["num_experts_per_tok", "moe_intermediate_size", "shared_expert_intermediate_size", "norm_topk_prob"];
        fields.idle(&others, false, why);
    } else if outline.sparse.iter().all(|&sparse| sparse) {
        fields.idle(&["intermediate_size"], false, "every layer has experts; it is the width of the others");
    }
    Ok(())
}

pub(super) fn write_qwen(outline: &Outline, name: Name) -> Value {
    let dense = outline.sparse.iter().enumerate().filter(|(_, sparse)| !**sparse);
    let mut file = write(outline, name);
    let mut add =
        |name: &str, value: Value| file.as_object_mut().map(|file: &mut Map<_, _>| file.insert(name.into(), value));
    add("decoder_sparse_step", json!(1));
    add("mlp_only_layers", dense.map(|(i, _)| i).collect());
    if let Some(experts) = outline.experts {
        add("moe_intermediate_size", json!(experts.expert.intermediate_size));
        add("norm_topk_prob", json!(experts.router.weights == RouterWeights::SoftmaxAllRenormalised));
        if let Some(shared) = experts.shared {
            add("shared_expert_intermediate_size", json!(shared.mlp.intermediate_size));
        }
    }
    file
}

/// Only training reads these.
pub(super) const TRAINING: Field = Field::Idle(
    &["output_router_logits", "router_aux_loss_coef", "router_jitter_noise"],
    "it has no part in running a model",
);
