//! A JSON object becomes a config.

use std::path::Path;

use serde_json::Value;

use crate::dialect::{Normalised, OLD_ROPE, ROPE};
use crate::error::{ConfigError, FieldError};
use crate::families::{Family, ModelType, Plain};
use crate::fields::Verdict::{Refused, Silent, Warned};
use crate::fields::{Fields, Unused};
use crate::file::{parse_object, read_text};
use crate::layer::{AttentionConfig, DenseMlpConfig};
use crate::llama_config::LlamaConfig;
use crate::overrides::Override;
use crate::quantization::QuantizationConfig;
use crate::refused::{IGNORED, NO_EFFECT, REFUSED};
use crate::rope::RopeParameters;
use crate::values::{
    Activation, FromJson, LayerCount, NotNegative, Positive, Probability, Size, TokenId,
};

impl LlamaConfig {
    /// Reads a `config.json` in either dialect and lays `overrides` over it, in order.
    ///
    /// # Errors
    /// One line that names the file and what is wrong: the file itself, a field, or an override.
    pub fn from_file(path: &Path, overrides: &[Override]) -> Result<Self, ConfigError> {
        let text = read_text(path)?;
        Self::from_json(&text, &path.display().to_string(), overrides)
    }

    /// The same from the text of a file; `origin` names it in errors.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_json(
        text: &str,
        origin: &str,
        overrides: &[Override],
    ) -> Result<Self, ConfigError> {
        let at = |origin: &str, error| ConfigError::Field {
            origin: origin.to_owned(),
            error,
        };
        let object = parse_object(text, origin)?;
        let mut file = Normalised::new(object).map_err(|error| at(origin, error))?;
        // Whoever reads an error must see that the value may not be the file's.
        let mut origin = origin.to_owned();
        let mut set = Vec::new();
        for (i, source) in overrides.iter().enumerate() {
            let fields = source.apply(&mut file)?;
            set.extend(fields.into_iter().map(|field| (field, source)));
            origin += &format!("{} {source}", if i == 0 { " with" } else { "" });
        }
        let (mut config, unused) = read(&file).map_err(|mut error| {
            error.field = file.name_in_file(&error.field);
            at(&origin, error)
        })?;
        for Unused {
            mut field,
            warned,
            near,
        } in unused
        {
            // An override is somebody's wish: one that would change nothing is an error, with the reason.
            if let Some((_, source)) = set.iter().find(|(name, _)| *name == field.name) {
                let advice = near.map_or(String::new(), |near| format!("; did you mean {near}?"));
                return Err(source.error(field.why + &advice));
            }
            if warned {
                field.name = file.name_in_file(&field.name);
                config.ignored.push(field);
            }
        }
        Ok(config)
    }

    /// Checks everything that a reader of this config may rely on: sizes are positive and multiply without overflow,
    /// heads divide, `head_dim` is even, numbers are finite and in range, and the layers are ones that the family has.
    ///
    /// The rules are those of reading: the file that would be written must say the same config.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn validate(&self) -> Result<(), FieldError> {
        let file = self.to_json().as_object().cloned();
        let (read, _) = read(&Normalised::new(file.unwrap_or_default())?)?;
        let own = format!(
            "no {} has it; its config.json could only say ",
            self.model_type
        );
        for (i, (layer, read)) in self.layers.iter().zip(&read.layers).enumerate() {
            let (field, value) = (format!("layers[{i}]"), format!("{layer:?}"));
            FieldError::check(layer == read, &field, value, format!("{own}{read:?}"))?;
        }
        let value = format!("{:?}", self.ropes);
        let rule = format!("{own}{:?}", read.ropes);
        FieldError::check(self.ropes == read.ropes, "ropes", value, rule)
    }
}

/// Without these a file is not a Llama's; transformers would build its 7B default instead.
const NO_DEFAULT: &str = "every model has its own; is this the config.json of a Llama?";

/// The config that a file describes, and those of its fields that decide nothing.
fn read(file: &Normalised) -> Result<(LlamaConfig, Vec<Unused>), FieldError> {
    let top = &mut Fields::new(String::new(), file.top.clone());
    let fix = if top.has("n_layers") {
        // Meta's own downloads describe the model in another file, with other names.
        "this looks like Meta's params.json; use the checkpoint in Hugging Face's format"
    } else {
        &format!("it {}; is this a model's config.json?", ModelType::RULE)
    };
    let model_type: ModelType = top.required("model_type", fix)?;
    let family = model_type.family();

    let Size(vocab_size) = top.required("vocab_size", NO_DEFAULT)?;
    let Size(hidden_size) = top.required("hidden_size", NO_DEFAULT)?;
    fits("vocab_size * hidden_size", vocab_size, hidden_size)?;
    let absent = Size(family.max_position_embeddings);
    let Size(context) = top.get("max_position_embeddings", absent)?;
    let plain = plain(top, family, hidden_size)?;
    let head_dim = plain.attention.head_dim;
    fits("max_position_embeddings * head_dim", context, head_dim)?;

    let layers = (family.layers)(top, plain)?;
    let mut unused = Vec::new();
    let rope = RopeParameters::read(file.rope.clone(), context, head_dim, &mut unused)?;
    let ropes = vec![rope];
    let why = "the tensors in the files have their own types, and what they are computed in is chosen at load";
    top.idle(&["dtype"], false, why);
    let training = ["pad_token_id", "initializer_range", "attention_dropout"];
    top.idle(&training, false, "it has no part in running a model");
    let attention_dropout = top.get("attention_dropout", None)?;

    let config = LlamaConfig {
        model_type,
        vocab_size,
        hidden_size,
        layers,
        ropes,
        rms_norm_eps: top.get("rms_norm_eps", Positive(1e-6))?.0,
        max_position_embeddings: context,
        tie_word_embeddings: top.get("tie_word_embeddings", false)?,
        bos_token_id: tokens(top, "bos_token_id", family.bos_token_id.as_slice(), false)?.pop(),
        eos_token_id: tokens(top, "eos_token_id", family.eos_token_id, true)?,
        pad_token_id: tokens(top, "pad_token_id", &[], false)?.pop(),
        // Null is how version 4 wrote an unknown dtype.
        dtype: top.get("dtype", None)?,
        quantization_config: QuantizationConfig::read(top)?,
        initializer_range: top.get("initializer_range", NotNegative(0.02))?.0,
        attention_dropout: attention_dropout.map_or(0.0, |Probability(p)| p),
        ignored: Vec::new(),
    };
    let rule = "is too large for memory; is a size mistyped?";
    let fits = config.num_parameters() <= MAX_NUMBERS;
    FieldError::check(fits, "the number of parameters", "overflow", rule)?;
    let plain = Plain::of(&config.layers);
    let tables = [
        (Refused, REFUSED),
        (Silent, NO_EFFECT),
        (Warned, family.ignored),
        (Warned, IGNORED),
    ];
    let others = format!("{model_type} has no such field");
    let known = &[ROPE, OLD_ROPE, "rope_theta", "torch_dtype"];
    top.rest(&tables, &plain, (Warned, &others), known)?;
    top.unused.append(&mut unused);
    Ok((config, std::mem::take(&mut top.unused)))
}

/// As many numbers as are addressable in float64, so that no size computed from a config can overflow.
const MAX_NUMBERS: usize = isize::MAX as usize / size_of::<f64>();

fn fits(field: &str, a: usize, b: usize) -> Result<(), FieldError> {
    let fits = a.saturating_mul(b) <= MAX_NUMBERS;
    let rule = "is too large for memory; is a size mistyped?";
    FieldError::check(fits, field, format!("{a} * {b}"), rule)
}

/// The layers that the file describes, were it a plain Llama's.
fn plain(top: &mut Fields, family: &Family, hidden_size: usize) -> Result<Plain, FieldError> {
    let LayerCount(layers) = top.required("num_hidden_layers", NO_DEFAULT)?;
    let Size(inner) = top.required("intermediate_size", NO_DEFAULT)?;
    fits("intermediate_size * hidden_size", inner, hidden_size)?;
    let mut mlp = DenseMlpConfig::new(inner);
    mlp.hidden_act = top.get("hidden_act", Activation::Silu)?;

    let Size(heads) = top.required("num_attention_heads", NO_DEFAULT)?;
    let head_dim = match top.get("head_dim", None)? {
        Some(Size(head_dim)) => head_dim,
        None => {
            let rule = "where head_dim is not given";
            let rule = format!("must divide hidden_size ({hidden_size}) {rule}");
            let divides = hidden_size.is_multiple_of(heads);
            top.check(divides, "num_attention_heads", heads, rule)?;
            hidden_size / heads
        }
    };
    let rule = "must be even, for the rotation pairs the halves of a head";
    top.check(head_dim.is_multiple_of(2), "head_dim", head_dim, rule)?;
    fits("num_attention_heads * head_dim", heads, head_dim)?;
    let absent = family.num_key_value_heads.map(Size);
    let given = top.get("num_key_value_heads", absent)?;
    let kv_heads = given.map_or(heads, |Size(kv_heads)| kv_heads);
    let divides = heads.is_multiple_of(kv_heads);
    let rule = "for each serves equally many query heads";
    let rule = format!("must divide num_attention_heads ({heads}), {rule}");
    top.check(divides, "num_key_value_heads", kv_heads, rule)?;
    let attention = AttentionConfig::new(heads, kv_heads, head_dim);
    Ok(Plain {
        layers,
        attention,
        mlp,
    })
}

/// The token ids of a field that has one or null, or as a `list` several.
fn tokens(
    top: &mut Fields,
    name: &'static str,
    absent: &[u32],
    list: bool,
) -> Result<Vec<u32>, FieldError> {
    let value = top.get(name, Value::Null)?;
    let ids = match value {
        _ if !top.has(name) => return Ok(absent.to_vec()),
        Value::Null => return Ok(Vec::new()),
        Value::Array(_) if list => Vec::<TokenId>::from_json(name, &value)?,
        _ => vec![TokenId::from_json(name, &value)?],
    };
    if ids.iter().any(|TokenId(id)| id.is_none()) {
        let why = "no token has a negative id, so this stands for none";
        top.idle(&[name], true, why);
    }
    Ok(ids.into_iter().filter_map(|TokenId(id)| id).collect())
}
