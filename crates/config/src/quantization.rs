//! `quantization_config`: whether a checkpoint holds its matrices quantized, and how.
//!
//! Two formats are read: MXFP4, of experts as gpt-oss has them; and `pack-quantized` of compressed-tensors, whole numbers of
//! 4 or 8 bits with one scale for a group of them along a row, and in 4 bits with or without a zero point beside it
//! (<https://github.com/vllm-project/compressed-tensors>, `QuantizationArgs` and `pack_quantized`).
//! The tensors say which matrices are quantized.

use std::num::NonZeroUsize;

use serde_json::{Map, Value, json};

use crate::error::Checked;
use crate::fields::Verdict::{self, Refused, Silent, Warned};
use crate::fields::{Fields, Row, Unused, empty, none, off};
use crate::values::{OBJECT, Rule, SWITCH, TEXT};

/// How a checkpoint's quantized matrices are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuantizationConfig {
    /// One entry for each group of matrices, in the file's order. None: `quant_method` is mxfp4, and the experts are so.
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
    /// Whether the middle of the whole numbers stands for zero; otherwise each scale has a zero point of its own.
    pub symmetric: bool,
}

impl QuantizationConfig {
    /// As in a `config.json`.
    pub fn to_json(&self) -> Value {
        if self.groups.is_empty() {
            return json!({ "quant_method": "mxfp4", "modules_to_not_convert": self.ignore });
        }
        let groups = self.groups.iter().enumerate().map(|(i, group)| {
            let group = json!({
                "targets": group.targets,
                "weights": {
                    "num_bits": group.num_bits,
                    "type": "int",
                    "symmetric": group.symmetric,
                    "strategy": strategy_of(group.group_size),
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

const METHOD: Rule<()> = Rule("must be compressed-tensors, or use the plain checkpoint", |value| {
    (value == "compressed-tensors").then_some(())
});
const MXFP4: Rule<bool> = Rule("must be mxfp4 or compressed-tensors, or use the plain checkpoint", |value| {
    (value == "mxfp4" || value == "compressed-tensors").then(|| value == "mxfp4")
});
const FORMAT: Rule<()> = Rule("must be pack-quantized (or mixed-precision), or use the plain checkpoint", |value| {
    (value == "pack-quantized" || value == "mixed-precision").then_some(())
});
const INT: Rule<()> = Rule("must be int, for whole numbers are read", |value| (value == "int").then_some(()));
const NUM_BITS: Rule<usize> = Rule("must be 4 or 8", |value| [4, 8].into_iter().find(|bits| value == bits));
/// Older files say -1 for "none".
const GROUP_SIZE: Rule<Option<NonZeroUsize>> =
    Rule("must be a multiple of 32, or null with strategy channel", |value| {
        if value.is_null() || value == -1 {
            return Some(None);
        }
        let size = usize::try_from(value.as_u64()?).ok();
        NonZeroUsize::new(size.filter(|size| size.is_multiple_of(32))?).map(Some)
    });

/// Fields whose other values would need another way to read the weights.
#[rustfmt::skip]
const REFUSED: &[Row] = &[
    (&["kv_cache_scheme", "sparsity_config", "transform_config"], empty,
        "only quantized weights are read, or use the plain checkpoint"),
    // In a group.
    (&["input_activations", "output_activations"], empty, "activations are not quantized by the file's rule here"),
    (&["format"], |value, _| value == "pack-quantized", "groups are read as pack-quantized"),
    // In a group's weights.
    (&["dynamic"], off, "weights are read as they lie in the file"),
    // `weight` and `static`: columns had another order while they were quantized, and have their own in the file.
    (&["actorder"], |value, _| value == false || value == "weight" || value == "static", "weights are read as they lie in the file"),
    (&["block_structure"], empty, "scales run along rows here"),
];

#[rustfmt::skip]
const NO_EFFECT: &[Row] = &[
    (&["quantization_status", "global_compression_ratio", "version", "run_compressed"], none, SAID_BY_TENSORS),
    (&["observer", "observer_kwargs", "scale_dtype", "zp_dtype"], none, "so the scales were found"),
];

const SAID_BY_TENSORS: &str = "the tensors say how they are stored";

const TABLES: [(Verdict, &[Row]); 2] = [(Refused, REFUSED), (Silent, NO_EFFECT)];

const NEEDED: &str = "it says how the weights are stored";

impl QuantizationConfig {
    /// Reads the field of a config, `None` if the checkpoint is not quantized. `mxfp4`: whether the family's experts may be.
    pub(crate) fn read(top: &mut Fields, mxfp4: bool) -> Checked<Option<Self>> {
        let Some(object) = top.optional("quantization_config", OBJECT, None)? else {
            return Ok(None);
        };
        let mut fields = Fields::new("quantization_config.".to_owned(), object);
        if mxfp4 && fields.required("quant_method", MXFP4, NEEDED)? {
            let ignore = fields.list("modules_to_not_convert", TEXT)?.unwrap_or_default();
            let unused = fields.rest(&TABLES, &(), (Warned, SAID_BY_TENSORS), &[])?;
            top.unused.extend(unused);
            return Ok(Some(Self { groups: Vec::new(), ignore }));
        }
        fields.required("quant_method", METHOD, NEEDED)?;
        fields.required("format", FORMAT, NEEDED)?;
        let groups = fields.object("config_groups", NEEDED)?.objects()?;
        let rule = "names no way to read the weights";
        fields.check(!groups.is_empty(), "config_groups", "{}", rule)?;
        let read = |group| QuantizationGroup::read(group, &mut top.unused);
        let groups = groups.into_iter().map(read).collect::<Result<_, _>>()?;
        let ignore = fields.list("ignore", TEXT)?.unwrap_or_default();
        let unused = fields.rest(&TABLES, &(), (Warned, SAID_BY_TENSORS), &[])?;
        top.unused.extend(unused);
        Ok(Some(Self { groups, ignore }))
    }
}

impl QuantizationGroup {
    fn read(mut group: Fields, unused: &mut Vec<Unused>) -> Checked<Self> {
        let mut weights = group.object("weights", NEEDED)?;
        weights.required("type", INT, NEEDED)?;
        let num_bits = weights.optional("num_bits", NUM_BITS, None)?;
        let group_size = weights.get("group_size", GROUP_SIZE, None)?;
        let strategy = weights.optional("strategy", TEXT, None)?;
        let strategy = strategy.as_deref().unwrap_or("group");
        let rule = "must be group (with a group_size) or channel (without)";
        let fits = strategy == strategy_of(group_size);
        weights.check(fits, "strategy", format!("{strategy:?}"), rule)?;
        let symmetric = weights.optional("symmetric", SWITCH, None)?.unwrap_or(true);
        let bits = num_bits.unwrap_or(8); // QuantizationArgs' default
        let rule = "must be true in 8 bits: zero points are read in 4";
        weights.check(symmetric || bits == 4, "symmetric", false, rule)?;
        let others = (Refused, "nothing is known of this field");
        weights.rest(&TABLES, &(), others, &[])?;
        let targets = group.list("targets", TEXT)?.unwrap_or_default();
        unused.extend(group.rest(&TABLES, &(), (Warned, SAID_BY_TENSORS), &[])?);
        Ok(Self { targets, num_bits: bits, group_size, symmetric })
    }
}

fn strategy_of(group_size: Option<NonZeroUsize>) -> &'static str {
    if group_size.is_some() { "group" } else { "channel" }
}
