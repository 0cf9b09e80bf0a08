//! A JSON object becomes a config.

use serde_json::{Map, Value};

use crate::fields::{Fields, Given, boolean, float, size, text};
use crate::llama_config::{IgnoredField, LlamaConfig};
use crate::normalise::{Normalised, Spelling, normalise};
use crate::overrides::{self, Applied};
use crate::tokens::{token, tokens};
use crate::unused::{self, Context, Fate};
use crate::validate::layer_count;
use crate::{
    Activation, Bias, ConfigError, Dtype, FieldError, ModelType, Override, layers, quantization,
    rope,
};

/// Reads and validates `object`, which came from `origin`.
pub(crate) fn read(
    object: Map<String, Value>,
    origin: &str,
    overrides: &[Override],
) -> Result<LlamaConfig, ConfigError> {
    let at = |origin: String| move |error| ConfigError::Field { origin, error };
    let mut config = normalise(object).map_err(at(origin.to_owned()))?;
    let applied = overrides::apply(overrides, &mut config)?;
    let origin = overridden_origin(origin, overrides);

    let spelling = config.spelling;
    let mut reader = Reader::new(config);
    let read = reader
        .read()
        .and_then(|config| config.validate().map(|()| config));
    let mut config = read
        .map_err(|error| error.renamed(|name| spelling.in_file(name)))
        .map_err(at(origin))?;
    reader.check_overrides(&applied, &config)?;
    rename_ignored(&mut config.ignored, spelling);
    Ok(config)
}

/// `config.json with sliding_window=64`: the reader of an error must see that the value may not be
/// the file's.
fn overridden_origin(origin: &str, overrides: &[Override]) -> String {
    let all: Vec<String> = overrides.iter().map(Override::to_string).collect();
    if all.is_empty() {
        origin.to_owned()
    } else {
        format!("{origin} with {}", all.join(" "))
    }
}

fn rename_ignored(ignored: &mut [IgnoredField], spelling: Spelling) {
    for field in ignored {
        field.name = spelling.in_file(&field.name);
    }
}

struct Reader {
    top: Fields,
    rope: Fields,
}

/// Without these a file is not a Llama's; transformers would build its 7B default instead.
const NO_DEFAULT: &str = "every model has its own; is this the config.json of a Llama?";

impl Reader {
    fn new(config: Normalised) -> Self {
        Self {
            top: Fields::new(config.top, ""),
            rope: Fields::new(config.rope, "rope_parameters."),
        }
    }

    fn read(&mut self) -> Result<LlamaConfig, FieldError> {
        let model_type = self.model_type()?;
        let defaults = model_type.defaults();
        let top = &mut self.top;

        let vocab_size = top.required("vocab_size", size, NO_DEFAULT)?;
        let hidden_size = top.required("hidden_size", size, NO_DEFAULT)?;
        let intermediate_size = top.required("intermediate_size", size, NO_DEFAULT)?;
        let num_hidden_layers =
            layer_count(top.required("num_hidden_layers", size, NO_DEFAULT)?)?;
        let num_attention_heads = top.required("num_attention_heads", size, NO_DEFAULT)?;
        let num_key_value_heads = match top.nullable("num_key_value_heads", size)? {
            Given::Is(heads) => heads,
            Given::Null => num_attention_heads,
            Given::Absent => defaults.num_key_value_heads.unwrap_or(num_attention_heads),
        };
        let head_dim = match top.nullable("head_dim", size)?.some() {
            Some(head_dim) => head_dim,
            None => derived_head_dim(hidden_size, num_attention_heads)?,
        };
        let hidden_act = top.optional("hidden_act", text)?;
        let hidden_act = word(
            hidden_act,
            "hidden_act",
            Activation::from_name,
            Activation::NAMES,
        )?;
        // Null is how version 4 wrote an unknown dtype.
        let dtype = top.nullable("dtype", text)?.some();
        let dtype = word(dtype, "dtype", Dtype::from_name, Dtype::NAMES)?;
        top.mark_idle(
            "dtype",
            "the tensors in the files have their own types, and what they are computed in is chosen at load",
        );
        for name in ["pad_token_id", "initializer_range", "attention_dropout"] {
            top.mark_idle(name, "it has no part in running a model");
        }
        let max_position_embeddings = top
            .optional("max_position_embeddings", size)?
            .unwrap_or(defaults.max_position_embeddings);
        let rope_parameters = rope::read(&mut self.rope, max_position_embeddings)?;
        let mut negative_ids = Vec::new();
        let mut in_vain = Vec::new();

        let mut config = LlamaConfig {
            model_type,
            vocab_size,
            hidden_size,
            intermediate_size,
            num_hidden_layers,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            hidden_act: hidden_act.unwrap_or(Activation::Silu),
            rms_norm_eps: top.optional("rms_norm_eps", float)?.unwrap_or(1e-6),
            max_position_embeddings,
            rope_parameters,
            bias: Bias::read(model_type, top)?,
            tie_word_embeddings: top
                .optional("tie_word_embeddings", boolean)?
                .unwrap_or(false),
            layer_types: layers::read(model_type, num_hidden_layers, top)?,
            bos_token_id: token(
                top,
                "bos_token_id",
                defaults.bos_token_id,
                &mut negative_ids,
            )?,
            eos_token_id: tokens(
                top,
                "eos_token_id",
                defaults.eos_token_id,
                &mut negative_ids,
            )?,
            pad_token_id: token(top, "pad_token_id", None, &mut negative_ids)?,
            dtype,
            quantization_config: quantization::read(top, &mut in_vain)?,
            initializer_range: top.optional("initializer_range", float)?.unwrap_or(0.02),
            attention_dropout: top
                .nullable("attention_dropout", float)?
                .some()
                .unwrap_or(0.0),
            ignored: Vec::new(),
        };
        config.ignored = self.unused(&config)?;
        config.ignored.extend(in_vain);
        config.ignored.extend(negative_ids);
        Ok(config)
    }

    fn model_type(&mut self) -> Result<ModelType, FieldError> {
        let supported = ModelType::NAMES;
        let fix = if self.top.value("n_layers").is_some() {
            // Meta's own downloads describe the model in another file, with other names.
            "this looks like Meta's params.json; use the checkpoint in Hugging Face's format"
                .to_owned()
        } else {
            format!("it names the family, one of {supported}; is this a model's config.json?")
        };
        let name = self.top.required("model_type", text, &fix)?;
        let why = format!("the families built here are {supported}");
        ModelType::from_name(&name)
            .ok_or_else(|| FieldError::unsupported("model_type", &Value::from(name), why))
    }

    fn unused(&self, config: &LlamaConfig) -> Result<Vec<IgnoredField>, FieldError> {
        let context = context(config);
        let rope_type = &config.rope_parameters.rope_type;
        let mut ignored =
            unused::sort(&self.top, |name, value| unused::fate(name, value, &context))?;
        ignored.extend(unused::sort(&self.rope, |name, value| {
            unused::fate_in_rope(name, value, rope_type, &context)
        })?);
        Ok(ignored)
    }

    /// An override is somebody's wish: one that would change nothing is an error, with the reason.
    fn check_overrides(
        &self,
        applied: &[Applied],
        config: &LlamaConfig,
    ) -> Result<(), ConfigError> {
        let paths = applied
            .iter()
            .flat_map(|Applied { source, paths }| paths.iter().map(move |path| (source, path)));
        for (source, path) in paths {
            if let Some(why) = self.useless(path, config) {
                let text = source.to_string();
                return Err(ConfigError::OverrideUnused { text, why });
            }
        }
        Ok(())
    }

    /// Why the field at `path` decides nothing; `None` if it does.
    fn useless(&self, path: &str, config: &LlamaConfig) -> Option<String> {
        let inner = path.strip_prefix("rope_parameters.");
        let (fields, name) = match inner {
            Some(inner) => (&self.rope, inner),
            None => (&self.top, path),
        };
        if let Some(why) = fields.idle_reason(name) {
            return Some(why.to_owned());
        }
        if fields.was_asked(name) {
            let ignored = config.ignored.iter().find(|field| field.name == path);
            return ignored.map(|field| field.why.clone());
        }
        // A later override may have replaced the whole object and this field with it.
        let value = fields.value(name)?;
        let context = context(config);
        let fate = match inner {
            Some(_) => {
                unused::fate_in_rope(name, value, &config.rope_parameters.rope_type, &context)
            }
            None => unused::fate(name, value, &context),
        };
        let why = match fate {
            Fate::Neutral => return None,
            Fate::Refused(why) | Fate::Silent(why) => why.to_owned(),
            Fate::Ignored(why) => why,
        };
        let near = match inner {
            Some(_) => unused::nearest(name, &rope::PARAMETERS),
            None => unused::nearest(name, &[self.top.asked(), OTHER_NAMES].concat()),
        };
        Some(match near {
            Some(near) => format!("{why}; did you mean {near}?"),
            None => why,
        })
    }
}

/// Fields that a file may have and that are not asked for under these names.
const OTHER_NAMES: &[&str] = &[
    "rope_parameters",
    "rope_scaling",
    "rope_theta",
    "torch_dtype",
];

fn context(config: &LlamaConfig) -> Context {
    Context {
        model_type: config.model_type,
        head_dim: config.head_dim,
        hidden_act: config.hidden_act.to_string(),
    }
}

fn derived_head_dim(hidden_size: usize, heads: usize) -> Result<usize, FieldError> {
    if heads == 0 || !hidden_size.is_multiple_of(heads) {
        let rule = format!("must divide hidden_size ({hidden_size}) where head_dim is not given");
        return Err(FieldError::invalid("num_attention_heads", heads, rule));
    }
    Ok(hidden_size / heads)
}

/// What one of a few words stands for.
fn word<T>(
    given: Option<String>,
    field: &str,
    from_name: fn(&str) -> Option<T>,
    names: &str,
) -> Result<Option<T>, FieldError> {
    let Some(word) = given else { return Ok(None) };
    match from_name(&word) {
        Some(value) => Ok(Some(value)),
        None => Err(FieldError::unsupported(
            field,
            &Value::from(word),
            format!("use one of {names}"),
        )),
    }
}
