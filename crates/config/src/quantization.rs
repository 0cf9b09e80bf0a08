//! `quantization_config`: whether a checkpoint holds its matrices quantized, and how.
//!
//! One way is understood: that of compressed-tensors called `pack-quantized`, whole numbers of 4 or 8 bits with one scale
//! for so many of them along a row (<https://github.com/vllm-project/compressed-tensors>, `QuantizationArgs` and
//! `pack_quantized`). Which matrices are stored so, their tensors say.

use std::num::NonZeroUsize;

use serde_json::{Map, Value, json};

use crate::error::FieldError;
use crate::fields::Verdict::{self, Refused, Silent, Warned};
use crate::fields::{Fields, Row, Unused, empty, null, off};
use crate::values::types;

/// How a checkpoint's quantized matrices are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationConfig {
    /// One entry for each group of matrices, in the file's order.
    pub groups: Vec<QuantizationGroup>,
    /// Modules that stay in floating point, by name or by a pattern behind `re:`. Nothing depends on it here.
    pub ignore: Vec<String>,
}

/// Matrices that are quantized alike.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationGroup {
    /// Module types, names, or patterns behind `re:`. Nothing depends on it here.
    pub targets: Vec<String>,
    /// 4 or 8.
    pub num_bits: usize,
    /// Numbers along a row that share a scale; `None`: the whole row.
    pub group_size: Option<NonZeroUsize>,
}

impl QuantizationConfig {
    /// As it stands in a `config.json`.
    pub fn to_json(&self) -> Value {
        let groups = self.groups.iter().enumerate().map(|(i, group)| {
            let group = json!({
                "targets": group.targets,
                "weights": {
                    "num_bits": group.num_bits,
                    "type": "int",
                    "symmetric": true,
                    "strategy": if group.group_size.is_some() { "group" } else { "channel" },
                    "group_size": group.group_size,
                    "dynamic": false,
                },
                "input_activations": null,
                "output_activations": null,
                "format": "pack-quantized",
            });
            (format!("group_{i}"), group)
        });
        json!({
            "quant_method": "compressed-tensors",
            "format": if self.groups.len() > 1 { "mixed-precision" } else { "pack-quantized" },
            "quantization_status": "compressed",
            "config_groups": groups.collect::<Map<_, _>>(),
            "ignore": self.ignore,
            "kv_cache_scheme": null,
        })
    }
}

#[rustfmt::skip]
types! {
    Method(()): "must be compressed-tensors, or use the plain checkpoint",
        |value| (value == "compressed-tensors").then_some(());
    Format(()): "must be pack-quantized (or mixed-precision), or use the plain checkpoint",
        |value| (value == "pack-quantized" || value == "mixed-precision").then_some(());
    WholeNumbers(()): "must be int, for whole numbers are read", |value| (value == "int").then_some(());
    QuantFormat(usize): "must be 4 or 8", |value| value.as_u64().filter(|bits| matches!(bits, 4 | 8)).map(|bits| bits as usize);
    GroupSize(Option<NonZeroUsize>): "must be a multiple of 32, or null with strategy channel",
        // -1 is how older files say "none".
        |value| match value.as_i64() {
            None if value.is_null() => Some(None),
            Some(-1) => Some(None),
            size => {
                let size = usize::try_from(size?).ok().filter(|size| size.is_multiple_of(32));
                NonZeroUsize::new(size?).map(Some)
            }
        };
}

/// Fields whose other values would need another way to read the weights.
#[rustfmt::skip]
const REFUSED: &[Row<()>] = &[
    (&["kv_cache_scheme", "sparsity_config", "transform_config"], empty,
        "only quantized weights are read, or use the plain checkpoint"),
    // In a group.
    (&["input_activations", "output_activations"], empty, "activations are not quantized by the file's rule here"),
    (&["format"], packed, "groups are read as pack-quantized"),
    // In a group's weights.
    (&["dynamic"], off, "weights are read as they lie in the file"),
    (&["actorder"], in_file_order, "weights are read as they lie in the file"),
    (&["symmetric"], on, "numbers are centred at zero here"),
    (&["block_structure"], empty, "scales run along rows here"),
];

fn packed(value: &Value, _: &()) -> bool {
    value.is_null() || value == "pack-quantized"
}

fn on(value: &Value, _: &()) -> bool {
    matches!(value, Value::Null | Value::Bool(true))
}

/// `weight` and `static` are columns in another order while the numbers were chosen, and in the file as ever.
fn in_file_order(value: &Value, context: &()) -> bool {
    off(value, context) || value == "weight" || value == "static"
}

#[rustfmt::skip]
const NO_EFFECT: &[Row<()>] = &[
    (&["quantization_status", "global_compression_ratio", "version", "run_compressed"], null, SAID_BY_TENSORS),
    (&["observer", "observer_kwargs", "scale_dtype", "zp_dtype"], null, "so the scales were found"),
];

const SAID_BY_TENSORS: &str = "the tensors say how they are stored";

const TABLES: [(Verdict, &[Row<()>]); 2] = [(Refused, REFUSED), (Silent, NO_EFFECT)];

const NEEDED: &str = "it says how the weights are stored";

impl QuantizationConfig {
    /// Reads the field of a config, `None` if the checkpoint is not quantized.
    pub(crate) fn read(top: &mut Fields) -> Result<Option<Self>, FieldError> {
        let fields: Option<Fields> = top.get("quantization_config", None)?;
        let Some(mut fields) = fields else {
            return Ok(None);
        };
        let Method(()) = fields.required("quant_method", NEEDED)?;
        let Format(()) = fields.required("format", NEEDED)?;
        let groups: Fields = fields.required("config_groups", NEEDED)?;
        let groups = groups.objects()?.into_iter();
        let groups: Vec<_> = groups
            .map(|group| QuantizationGroup::read(group, &mut top.unused))
            .collect::<Result<_, _>>()?;
        let rule = "names no way to read the weights";
        fields.check(!groups.is_empty(), "config_groups", "{}", rule)?;
        let ignore = fields.get("ignore", None)?.unwrap_or_default();
        fields.rest(&TABLES, &(), (Warned, SAID_BY_TENSORS), &[])?;
        top.unused.append(&mut fields.unused);
        Ok(Some(Self { groups, ignore }))
    }
}

impl QuantizationGroup {
    fn read(mut group: Fields, unused: &mut Vec<Unused>) -> Result<Self, FieldError> {
        let mut weights: Fields = group.required("weights", NEEDED)?;
        let WholeNumbers(()) = weights.required("type", NEEDED)?;
        let num_bits = weights.get("num_bits", None)?;
        let GroupSize(group_size) = weights.get("group_size", GroupSize(None))?;
        let strategy: Option<String> = weights.get("strategy", None)?;
        let strategy = strategy.as_deref().unwrap_or("group");
        let rule = "must be group (with a group_size) or channel (without)";
        let fits = strategy == ["channel", "group"][usize::from(group_size.is_some())];
        weights.check(fits, "strategy", format!("{strategy:?}"), rule)?;
        let others = (Refused, "nothing is known of this field");
        weights.rest(&TABLES, &(), others, &[])?;
        let targets = group.get("targets", None)?.unwrap_or_default();
        group.rest(&TABLES, &(), (Warned, SAID_BY_TENSORS), &[])?;
        unused.append(&mut group.unused);
        Ok(Self {
            targets,
            num_bits: num_bits.map_or(8, |QuantFormat(bits)| bits), // QuantizationArgs' default
            group_size,
        })
    }
}
