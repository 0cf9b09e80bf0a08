//! Which layers see only a sliding window of the past.

use std::num::NonZeroUsize;

use crate::error::shown;
use crate::fields::{Fields, Given, boolean, size, texts};
use crate::{FieldError, ModelType};

/// What one layer's attention may look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayerType {
    /// All earlier positions and the query's own.
    Full,
    /// Exactly `window` keys, the query's own included: position i sees j if 0 <= i - j < window.
    Sliding { window: NonZeroUsize },
}

impl LayerType {
    pub(crate) const FULL: &str = "full_attention";
    pub(crate) const SLIDING: &str = "sliding_attention";

    fn is_sliding(self) -> bool {
        matches!(self, Self::Sliding { .. })
    }

    fn new(window: Option<NonZeroUsize>) -> Self {
        match window {
            Some(window) => Self::Sliding { window },
            None => Self::Full,
        }
    }
}

/// transformers' defaults for absent fields.
const SLIDING_WINDOW: usize = 4096;
const MAX_WINDOW_LAYERS: usize = 28;

/// One entry per layer, by the family's rule:
/// * Llama never slides.
/// * Mistral slides in every layer if and only if `sliding_window` (absent: 4096) is not null.
/// * Qwen2 slides only under `use_sliding_window`, in the layers that `layer_types` names, or
///   without it in the layers from `max_window_layers` (absent: 28) on.
///
/// `layers` is `num_hidden_layers`. A `layer_types` that the family's rule contradicts is refused.
pub(crate) fn read(
    model_type: ModelType,
    layers: usize,
    fields: &mut Fields,
) -> Result<Vec<LayerType>, FieldError> {
    let stated = read_layer_types(layers, fields)?;
    match model_type {
        ModelType::Llama => uniform(model_type, None, layers, stated, fields),
        ModelType::Mistral => {
            let window = read_window(fields)?;
            uniform(model_type, window, layers, stated, fields)
        }
        ModelType::Qwen2 => read_qwen2(layers, stated, fields),
    }
}

/// `layer_types` as the file states it: for each layer, whether it slides.
fn read_layer_types(layers: usize, fields: &mut Fields) -> Result<Option<Vec<bool>>, FieldError> {
    let Some(names) = fields.nullable("layer_types", texts)?.some() else {
        return Ok(None);
    };
    if names.len() != layers {
        let rule = format!("must have one entry per layer, num_hidden_layers = {layers}");
        return Err(FieldError::invalid(
            "layer_types",
            format!("{} entries", names.len()),
            rule,
        ));
    }
    let slides = names
        .iter()
        .enumerate()
        .map(|(i, name)| match name.as_str() {
            // "attention" is what transformers wrote before the names were settled.
            LayerType::FULL | "attention" => Ok(false),
            LayerType::SLIDING => Ok(true),
            _ => Err(FieldError::Unsupported {
                field: format!("layer_types[{i}]"),
                value: format!("{name:?}"),
                why: format!(
                    "a layer here is {} or {}",
                    LayerType::FULL,
                    LayerType::SLIDING
                ),
            }),
        });
    slides.collect::<Result<_, _>>().map(Some)
}

fn read_window(fields: &mut Fields) -> Result<Option<NonZeroUsize>, FieldError> {
    let window = match fields.nullable("sliding_window", size)? {
        Given::Null => return Ok(None),
        Given::Absent => SLIDING_WINDOW,
        Given::Is(window) => window,
    };
    match NonZeroUsize::new(window) {
        Some(window) => Ok(Some(window)),
        None => Err(FieldError::invalid(
            "sliding_window",
            0,
            "must be at least 1, for a query always sees its own key; null means no window",
        )),
    }
}

fn uniform(
    model_type: ModelType,
    window: Option<NonZeroUsize>,
    layers: usize,
    stated: Option<Vec<bool>>,
    fields: &Fields,
) -> Result<Vec<LayerType>, FieldError> {
    if stated.is_some_and(|slides| slides.iter().any(|&slides| slides != window.is_some())) {
        let value = fields.value("layer_types").map(shown).unwrap_or_default();
        let rule = match (model_type, window) {
            (ModelType::Mistral, Some(window)) => format!(
                "every mistral layer slides while sliding_window is {window}; set one of the two \
                 to null"
            ),
            (ModelType::Mistral, None) => {
                "no mistral layer slides while sliding_window is null; give the window, or set \
                 layer_types to null"
                    .to_owned()
            }
            _ => format!(
                "{model_type} never slides; set layer_types to null, or model_type to mistral (all \
                 layers slide) or qwen2 (some)"
            ),
        };
        return Err(FieldError::invalid("layer_types", value, rule));
    }
    Ok(vec![LayerType::new(window); layers])
}

fn read_qwen2(
    layers: usize,
    stated: Option<Vec<bool>>,
    fields: &mut Fields,
) -> Result<Vec<LayerType>, FieldError> {
    let use_sliding_window = fields
        .optional("use_sliding_window", boolean)?
        .unwrap_or(false);
    let max_window_layers = fields
        .optional("max_window_layers", size)?
        .unwrap_or(MAX_WINDOW_LAYERS);
    if !use_sliding_window {
        for field in ["sliding_window", "max_window_layers"] {
            fields.mark_idle(
                field,
                "nothing slides while use_sliding_window is false; set use_sliding_window=true too",
            );
        }
        // Asked for even so: a file may not carry nonsense in it, and zero is only nonsense when it
        // is used.
        fields.nullable("sliding_window", size)?;
        if let Some(i) = stated.and_then(|slides| slides.iter().position(|&slides| slides)) {
            return Err(FieldError::Contradiction {
                first: format!("layer_types[{i}]"),
                first_value: LayerType::SLIDING.to_owned(),
                second: "use_sliding_window".to_owned(),
                second_value: "false".to_owned(),
            });
        }
        return Ok(vec![LayerType::Full; layers]);
    }

    let window = read_window(fields)?;
    let by_list = stated.is_some();
    if by_list {
        fields.mark_idle(
            "max_window_layers",
            "layer_types decides which layers slide; set layer_types=null too",
        );
    }
    let slides = stated.unwrap_or_else(|| {
        (0..layers)
            .map(|i| window.is_some() && i >= max_window_layers)
            .collect()
    });
    if let (None, Some(i)) = (window, slides.iter().position(|&slides| slides)) {
        return Err(FieldError::Contradiction {
            first: format!("layer_types[{i}]"),
            first_value: LayerType::SLIDING.to_owned(),
            second: "sliding_window".to_owned(),
            second_value: "null".to_owned(),
        });
    }
    if !slides.contains(&true) {
        mark_idle_window(by_list, window, max_window_layers, fields);
    }
    Ok(slides
        .into_iter()
        .map(|slides| LayerType::new(window.filter(|_| slides)))
        .collect())
}

/// For a file that says `use_sliding_window` and yet lets no layer slide: which fields had no say.
fn mark_idle_window(
    by_list: bool,
    window: Option<NonZeroUsize>,
    max_window_layers: usize,
    fields: &mut Fields,
) {
    let (idle, why): (&[_], String) = if by_list {
        (
            &["use_sliding_window", "sliding_window"],
            "layer_types names no sliding layer; set layer_types=null too".to_owned(),
        )
    } else if window.is_none() {
        (
            &["use_sliding_window", "max_window_layers"],
            "nothing slides while sliding_window is null; give the window too".to_owned(),
        )
    } else {
        (
            &["use_sliding_window", "sliding_window"],
            format!(
                "max_window_layers = {max_window_layers} leaves no layer to slide; lower it too"
            ),
        )
    };
    for field in idle {
        fields.mark_idle(field, why.as_str());
    }
}

/// Whether the family has models with these layers.
pub(crate) fn belong_to(model_type: ModelType, layers: &[LayerType]) -> bool {
    match model_type {
        ModelType::Llama => layers.iter().all(|&layer| layer == LayerType::Full),
        ModelType::Mistral => layers.windows(2).all(|pair| pair[0] == pair[1]),
        // Any layer may slide, but there is one window in the file.
        ModelType::Qwen2 => {
            let mut sliding = layers.iter().filter(|layer| layer.is_sliding());
            let first = sliding.next();
            sliding.all(|layer| Some(layer) == first)
        }
    }
}
