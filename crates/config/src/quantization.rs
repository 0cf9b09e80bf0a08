//! `quantization_config`: whether a checkpoint holds its matrices in a few bits, and how.
//!
//! One way is understood: that of compressed-tensors called `pack-quantized`, whole numbers of 4 or 8 bits with one scale
//! for so many of them along a row (<https://github.com/vllm-project/compressed-tensors>, `QuantizationArgs` and
//! `pack_quantized`). Which matrices are stored so, their tensors say.

use std::num::NonZeroUsize;

use serde_json::{Map, Value, json};

use crate::FieldError;
use crate::error::shown;
use crate::fields::Fields;
use crate::llama_config::IgnoredField;

const FIELD: &str = "quantization_config";

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

/// Fields beside those that are read which change nothing: provenance, and names for what the tensors say themselves.
const NO_EFFECT: &[&str] = &[
    "quantization_status",
    "global_compression_ratio",
    "version",
    "run_compressed",
];

/// How the scales were found, and nothing else.
const NO_EFFECT_IN_WEIGHTS: &[&str] = &["observer", "observer_kwargs", "scale_dtype", "zp_dtype"];

impl QuantizationConfig {
    /// As it stands in a `config.json`.
    pub fn to_json(&self) -> Value {
        let groups = self.groups.iter().enumerate().map(|(i, group)| {
            let strategy = match group.group_size {
                Some(_) => "group",
                None => "channel",
            };
            let group = json!({
                "targets": group.targets,
                "weights": {
                    "num_bits": group.num_bits,
                    "type": "int",
                    "symmetric": true,
                    "strategy": strategy,
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

/// The field, `None` if the checkpoint is not quantized; what it says in vain goes to `ignored`.
pub(crate) fn read(
    top: &mut Fields,
    ignored: &mut Vec<IgnoredField>,
) -> Result<Option<QuantizationConfig>, FieldError> {
    let Some(value) = top.nullable(FIELD, |value| Ok(value.clone()))?.some() else {
        return Ok(None);
    };
    let object = Object::of(FIELD.to_owned(), &value)?;
    object.must_be(
        "quant_method",
        &["compressed-tensors"],
        "compressed-tensors is read, or use the plain checkpoint",
    )?;
    object.must_be("format", &["pack-quantized", "mixed-precision"], PACKED)?;
    for name in ["kv_cache_scheme", "sparsity_config", "transform_config"] {
        object.must_be_empty(
            name,
            "only weights in few bits are read, or use the plain checkpoint",
        )?;
    }
    let groups = Object::of(
        object.full_name("config_groups"),
        object.get("config_groups"),
    )?;
    let config = QuantizationConfig {
        groups: groups
            .fields
            .iter()
            .map(|(name, group)| read_group(&Object::of(groups.full_name(name), group)?))
            .collect::<Result<_, _>>()?,
        ignore: object.texts("ignore")?,
    };
    if config.groups.is_empty() {
        return Err(FieldError::invalid(
            &groups.name,
            "{}",
            "names no way to read the weights",
        ));
    }
    let known = [
        NO_EFFECT,
        &[
            "quant_method",
            "format",
            "kv_cache_scheme",
            "sparsity_config",
            "transform_config",
            "config_groups",
            "ignore",
        ],
    ]
    .concat();
    for (name, value) in object
        .fields
        .iter()
        .filter(|(name, _)| !known.contains(&name.as_str()))
    {
        ignored.push(IgnoredField {
            name: object.full_name(name),
            value: shown(value),
            why: "the tensors say how they are stored".to_owned(),
        });
    }
    Ok(Some(config))
}

const PACKED: &str = "pack-quantized weights are read, or use the plain checkpoint";

fn read_group(group: &Object) -> Result<QuantizationGroup, FieldError> {
    if let Some(value) = group.fields.get("format")
        && !value.is_null()
    {
        group.must_be("format", &["pack-quantized"], PACKED)?;
    }
    for name in ["input_activations", "output_activations"] {
        group.must_be_empty(
            name,
            "activations are not quantized by the file's rule here",
        )?;
    }
    let weights = Object::of(group.full_name("weights"), group.get("weights"))?;
    weights.must_be("type", &["int"], "whole numbers are read")?;
    for name in ["dynamic", "actorder"] {
        match weights.get(name) {
            Value::Null | Value::Bool(false) => {}
            // Columns in another order while the numbers were chosen, and in the file as ever.
            Value::String(order)
                if name == "actorder" && matches!(order.as_str(), "weight" | "static") => {}
            value => {
                return Err(FieldError::unsupported(
                    &weights.full_name(name),
                    value,
                    "weights are read as they lie in the file",
                ));
            }
        }
    }
    if !matches!(weights.get("symmetric"), Value::Null | Value::Bool(true)) {
        return Err(FieldError::unsupported(
            &weights.full_name("symmetric"),
            weights.get("symmetric"),
            "numbers are centred at zero here",
        ));
    }
    let num_bits = match weights.get("num_bits") {
        Value::Null => 8, // QuantizationArgs' default
        value => match value.as_u64() {
            Some(bits @ (4 | 8)) => bits as usize,
            _ => {
                return Err(FieldError::unsupported(
                    &weights.full_name("num_bits"),
                    value,
                    "4 and 8 are read",
                ));
            }
        },
    };
    let given = weights.get("group_size");
    // -1 is how older files say "none".
    let group_size = given
        .as_u64()
        .and_then(|size| NonZeroUsize::new(usize::try_from(size).ok()?));
    let none = given.is_null() || given.as_i64() == Some(-1);
    let group_size = match (weights.get("strategy").as_str(), group_size) {
        (Some("channel"), None) if none => None,
        (Some("group") | None, Some(size)) if size.get().is_multiple_of(32) => Some(size),
        (Some("group") | None, _) => {
            let rule = "must be a multiple of 32";
            return Err(FieldError::invalid(
                &weights.full_name("group_size"),
                shown(given),
                rule,
            ));
        }
        _ => {
            return Err(FieldError::unsupported(
                &weights.full_name("strategy"),
                weights.get("strategy"),
                "group (with a group_size) and channel (without) are read",
            ));
        }
    };
    let known = [
        NO_EFFECT_IN_WEIGHTS,
        &[
            "type",
            "dynamic",
            "actorder",
            "symmetric",
            "num_bits",
            "group_size",
            "strategy",
            "block_structure",
        ],
    ]
    .concat();
    weights.must_be_empty("block_structure", "scales run along rows here")?;
    match weights
        .fields
        .iter()
        .find(|(name, _)| !known.contains(&name.as_str()))
    {
        Some((name, value)) => Err(FieldError::unsupported(
            &weights.full_name(name),
            value,
            "nothing is known of this field",
        )),
        None => Ok(QuantizationGroup {
            targets: group.texts("targets")?,
            num_bits,
            group_size,
        }),
    }
}

/// An object somewhere in the field, and its dotted name.
struct Object<'a> {
    name: String,
    fields: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    fn of(name: String, value: &'a Value) -> Result<Self, FieldError> {
        match value {
            Value::Object(fields) => Ok(Self { name, fields }),
            Value::Null => Err(FieldError::Missing {
                field: name,
                fix: "it says how the weights are stored".to_owned(),
            }),
            other => Err(FieldError::invalid(
                &name,
                shown(other),
                "must be an object",
            )),
        }
    }

    fn full_name(&self, name: &str) -> String {
        format!("{}.{name}", self.name)
    }

    fn get(&self, name: &str) -> &'a Value {
        self.fields.get(name).unwrap_or(&Value::Null)
    }

    fn must_be(&self, name: &str, values: &[&str], why: &str) -> Result<(), FieldError> {
        let value = self.get(name);
        match value.as_str() {
            Some(text) if values.contains(&text) => Ok(()),
            _ => Err(FieldError::unsupported(&self.full_name(name), value, why)),
        }
    }

    fn must_be_empty(&self, name: &str, why: &str) -> Result<(), FieldError> {
        match self.get(name) {
            Value::Null => Ok(()),
            Value::Object(fields) if fields.is_empty() => Ok(()),
            value => Err(FieldError::unsupported(&self.full_name(name), value, why)),
        }
    }

    fn texts(&self, name: &str) -> Result<Vec<String>, FieldError> {
        match self.get(name) {
            Value::Null => Ok(Vec::new()),
            value => crate::fields::texts(value)
                .map_err(|rule| FieldError::invalid(&self.full_name(name), shown(value), rule)),
        }
    }
}
