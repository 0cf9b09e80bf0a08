//! A JSON object becomes a config.

use std::{fmt::Debug, path::Path};

use serde_json::{Map, Value};

use crate::dialect::{Normalised, OLD_ROPE, ROPE};
use crate::dual_chunk::DualChunk;
use crate::error::{Checked, ConfigError, FieldError};
use crate::families::{Family, ModelType};
use crate::fields::Verdict::{Refused, Silent, Warned};
use crate::fields::{Fields, IgnoredField, Name, Unused};
use crate::file::{parse_object, read_text};
use crate::layer::{AttentionConfig, DenseMlpConfig, Gate, MixerConfig};
use crate::llama_config::LlamaConfig;
use crate::outline::Outline;
use crate::overrides::Override;
use crate::quantization::QuantizationConfig;
use crate::refused::{IGNORED, NO_EFFECT, REFUSED};
use crate::values::{ANY, Activation, Dtype, LAYERS, NOT_NEGATIVE, POSITIVE, PROBABILITY, SIZE, SWITCH, TOKEN_ID};

/// What a config is read for: some fields have a say in training alone.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Purpose {
    Run,
    Train,
}

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
    pub fn from_json(text: &str, origin: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let (config, _) = Self::with_harmless(text, origin, overrides)?;
        Ok(config)
    }

    /// As [`from_file`](Self::from_file), for a model that is to be trained: what has a say in that alone must be right, and may
    /// be set.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_file_to_train(path: &Path) -> Result<Self, ConfigError> {
        Self::from_json_to_train(&read_text(path)?, &path.display().to_string(), &[])
    }

    /// As [`from_json`](Self::from_json), for a model that is to be trained.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn from_json_to_train(text: &str, origin: &str, overrides: &[Override]) -> Result<Self, ConfigError> {
        let (config, _) = Self::of_object(parse_object(text, origin)?, origin, overrides, Purpose::Train)?;
        Ok(config)
    }

    /// The fields of a `config.json` that are known to change nothing: nobody is warned of them.
    ///
    /// # Errors
    /// As for [`from_file`](Self::from_file).
    pub fn harmless_fields(path: &Path, overrides: &[Override]) -> Result<Vec<IgnoredField>, ConfigError> {
        let (_, harmless) = Self::with_harmless(&read_text(path)?, &path.display().to_string(), overrides)?;
        Ok(harmless)
    }

    fn with_harmless(
        text: &str,
        origin: &str,
        overrides: &[Override],
    ) -> Result<(Self, Vec<IgnoredField>), ConfigError> {
        Self::of_object(parse_object(text, origin)?, origin, overrides, Purpose::Run)
    }

    /// The config of these fields, and those of them that are known to change nothing.
    pub(crate) fn of_object(
        object: Map<String, Value>,
        origin: &str,
        overrides: &[Override],
        purpose: Purpose,
    ) -> Result<(Self, Vec<IgnoredField>), ConfigError> {
        let mut file = Normalised::new(object).map_err(|error| ConfigError::new(origin, error))?;
        // An error names the overrides too: the value may not be the file's.
        let mut origin = origin.to_owned();
        let mut set = Vec::new();
        for (i, source) in overrides.iter().enumerate() {
            let fields = source.apply(&mut file)?;
            set.extend(fields.into_iter().map(|field| (field, source)));
            origin += &format!("{} {source}", if i == 0 { " with" } else { "" });
        }
        let (mut config, unused) = read(&file, purpose).map_err(|mut error| {
            error.field = file.name_in_file(&error.field);
            ConfigError::new(origin, error)
        })?;
        config.ignored.append(&mut file.unread);
        let mut harmless = Vec::new();
        for unused in unused {
            let mut field = unused.field;
            // An override is there for an effect: one without is an error.
            if let Some((_, source)) = set.iter().find(|(name, _)| *name == field.name) {
                let advice = unused.near.map(|near| format!("; did you mean {near}?"));
                return Err(source.error(field.why + &advice.unwrap_or_default()));
            }
            field.name = file.name_in_file(&field.name);
            if unused.warned { config.ignored.push(field) } else { harmless.push(field) }
        }
        Ok((config, harmless))
    }

    /// Checks everything that a reader of this config may rely on: sizes are positive and multiply without overflow,
    /// heads divide, `head_dim` is even, numbers are finite and in range, and the layers are ones that the family has.
    ///
    /// The rules are those of reading: the file that would be written must say the same config.
    ///
    /// # Errors
    /// The first field that breaks its rule.
    pub fn validate(&self) -> Result<(), FieldError> {
        let file = self.to_json().as_object().cloned().unwrap_or_default();
        let (read, _) = read(&Normalised::new(file)?, Purpose::Train)?;
        let mut layers = self.layers.iter().zip(&read.layers).enumerate();
        if let Some((i, (own, read))) = layers.find(|(_, (own, read))| own != read) {
            return Err(self.not_of_family(&format!("layers[{i}]"), own, read));
        }
        let differs = |field: &str, own: &dyn Debug, read: &dyn Debug, same: bool| match same {
            true => Ok(()),
            false => Err(self.not_of_family(field, &own, &read)),
        };
        macro_rules! same {
            ($($field:ident),*) => {
                $(differs(stringify!($field), &self.$field, &read.$field, self.$field == read.$field)?;)*
            };
        }
        same!(ropes, norm, embedding_scale, embedding_multiplier, logits_multiplier, logits_soft_cap);
        same!(initializer_range, attention_dropout);
        Ok(())
    }

    fn not_of_family<T: Debug>(&self, field: &str, own: &T, read: &T) -> FieldError {
        let family = self.model_type;
        let rule = format!("no {family} has it; its config.json could only say {read:?}");
        FieldError::invalid(field, format!("{own:?}"), rule)
    }
}

/// Without these a file is not a Llama's; transformers would build its 7B default instead.
const NO_DEFAULT: &str = "every model has its own; is this the config.json of a Llama?";

const NOT_RUNNING: &str = "it has no part in running a model";
const TYPES: &str = "the tensors in the files have their own types, and what they are computed in is chosen at load";

/// The config that a file describes, and those of its fields that decide nothing.
fn read(file: &Normalised, purpose: Purpose) -> Checked<(LlamaConfig, Vec<Unused>)> {
    let mut top = Fields::new(String::new(), file.top.clone());
    let fix = if top.has("n_layers") {
        // Meta's own downloads describe the model in another file, with other names.
        "this looks like Meta's params.json; use the checkpoint in Hugging Face's format"
    } else {
        &format!("it {}; is this a model's config.json?", ModelType::RULE.0)
    };
    let model_type = top.required("model_type", ModelType::RULE, fix)?;
    let family = model_type.family();

    top.family = model_type.to_string();

    let vocab_size = size(&mut top, "vocab_size", family.vocab_size)?;
    let hidden_size = top.required("hidden_size", SIZE, NO_DEFAULT)?;
    fits("vocab_size * hidden_size", vocab_size, hidden_size)?;
    let context = top.get("max_position_embeddings", SIZE, family.max_position_embeddings)?;
    let mut outline = outline(&mut top, family, hidden_size)?;
    let head_dim = outline.attention.head_dim;
    fits("max_position_embeddings * head_dim", context, head_dim)?;

    let mut rope = file.rope.clone();
    let rotates = family.attention && family.rope.rotates();
    if let (true, Value::Object(absent)) = (file.rope_absent && rotates, (family.rope.absent)()) {
        for (name, value) in absent {
            rope.entry(name).or_insert(value);
        }
    }
    let unused_of_rope = if rotates {
        let read = family.rope.read(rope, context, head_dim)?;
        (outline.ropes, outline.attention.temperature) = (read.ropes, read.temperature);
        read.unused
    } else {
        outline.rope_of.fill(None);
        let others = (Warned, "nothing rotates in this family");
        Fields::new(format!("{ROPE}."), file.rope.clone()).rest(&[], &(), others, &[])?
    };
    for field in family.fields {
        field.read(&mut top, &mut outline)?;
    }

    let (dual_chunk, unused_of_chunks) = DualChunk::read(&mut top, &outline)?;
    outline.attention.dual_chunk = dual_chunk;

    let state = outline.recurrent_mixer().and_then(MixerConfig::state).map_or(0, |state| state.len());
    top.check(state <= MAX_NUMBERS, "the state of a layer", "overflow", TOO_LARGE)?;
    let mut of_training = |name, rule, has_say, absent| match (purpose, has_say) {
        (Purpose::Train, true) => top.get(name, rule, absent),
        (Purpose::Train, false) => Ok(top.without_say(name, rule, "nothing attends in this family").unwrap_or(absent)),
        (Purpose::Run, _) => Ok(top.without_say(name, rule, NOT_RUNNING).unwrap_or(absent)),
    };
    let initializer_range = of_training("initializer_range", NOT_NEGATIVE, true, 0.02)?;
    let attention_dropout = of_training("attention_dropout", PROBABILITY, family.attention, 0.0)?;
    let config = LlamaConfig {
        model_type,
        vocab_size,
        hidden_size,
        layers: outline.layers(),
        ropes: outline.ropes.clone(),
        norm: outline.norm,
        embedding_scale: outline.embedding_scale,
        embedding_multiplier: outline.embedding_multiplier,
        logits_multiplier: outline.logits_multiplier,
        logits_soft_cap: outline.logits_soft_cap,
        max_position_embeddings: context,
        tie_word_embeddings: top.get("tie_word_embeddings", SWITCH, family.tie_word_embeddings)?,
        bos_token_id: tokens(&mut top, "bos_token_id", family.bos_token_id, false)?.pop(),
        eos_token_id: tokens(&mut top, "eos_token_id", family.eos_token_id, true)?,
        pad_token_id: top.without_say("pad_token_id", TOKEN_ID, NOT_RUNNING).flatten(),
        dtype: top.without_say("dtype", Dtype::RULE, TYPES),
        quantization_config: QuantizationConfig::read(&mut top, family.has_mxfp4())?,
        initializer_range,
        attention_dropout,
        ignored: Vec::new(),
    };
    let field = "the number of parameters";
    top.check(config.num_parameters() <= MAX_NUMBERS, field, "overflow", TOO_LARGE)?;
    let tables = [(Refused, REFUSED), (Silent, NO_EFFECT), (Warned, family.ignored), (Warned, IGNORED)];
    let others = format!("{model_type} has no such field");
    let known = [ROPE, OLD_ROPE, "rope_theta", "torch_dtype"];
    let mut unused = top.rest(&tables, &outline, (Warned, &others), &known)?;
    unused.extend(unused_of_rope.into_iter().chain(unused_of_chunks));
    Ok((config, unused))
}

fn size(top: &mut Fields, name: Name, absent: Option<usize>) -> Checked<usize> {
    match absent {
        Some(absent) => top.get(name, SIZE, absent),
        None => top.required(name, SIZE, NO_DEFAULT),
    }
}

/// As many numbers as are addressable in float64, so that no size computed from a config can overflow.
const MAX_NUMBERS: usize = isize::MAX as usize / size_of::<f64>();
const TOO_LARGE: &str = "is too large for memory; is a size mistyped?";

fn fits(product: &str, a: usize, b: usize) -> Checked<()> {
    if a.saturating_mul(b) <= MAX_NUMBERS {
        return Ok(());
    }
    let value = format!("{a} * {b}");
    Err(FieldError::invalid(product, value, TOO_LARGE))
}

/// The layers that the file describes, but for the family's own fields.
fn outline(top: &mut Fields, family: &Family, hidden_size: usize) -> Checked<Outline> {
    let layers = top.required("num_hidden_layers", LAYERS, NO_DEFAULT)?;
    let inner = if family.mlp { top.required("intermediate_size", SIZE, NO_DEFAULT)? } else { 0 };
    fits("intermediate_size * hidden_size", inner, hidden_size)?;
    let (name, absent) = family.activation;
    let hidden_act = top.get(name, Activation::RULE, absent)?;
    let mlp = DenseMlpConfig { intermediate_size: inner, hidden_act, gate: Gate::Product, bias: false };

    let (name, absent) = family.norm_eps;
    let eps = top.get(name, POSITIVE, absent)?;
    let attention = if family.attention { attention(top, family, hidden_size)? } else { AttentionConfig::new(0, 0, 0) };
    let mut outline = Outline::new(hidden_size, layers, attention, mlp, eps);
    outline.has_mlp = family.mlp;
    (family.differs)(&mut outline);
    Ok(outline)
}

/// The attention of all layers, but for the family's own fields.
fn attention(top: &mut Fields, family: &Family, hidden_size: usize) -> Checked<AttentionConfig> {
    let name = "num_attention_heads";
    let heads = size(top, name, family.num_attention_heads)?;
    let head_dim = match top.optional("head_dim", SIZE, family.head_dim)? {
        Some(head_dim) => head_dim,
        None => {
            let rule = "where head_dim is not given";
            let rule = format!("must divide hidden_size ({hidden_size}) {rule}");
            top.check(hidden_size.is_multiple_of(heads), name, heads, rule)?;
            hidden_size / heads
        }
    };
    let rule = "must be even, for the rotation pairs the halves of a head";
    top.check(head_dim.is_multiple_of(2), "head_dim", head_dim, rule)?;
    fits("num_attention_heads * head_dim", heads, head_dim)?;

    let name = "num_key_value_heads";
    let kv_heads = top.optional(name, SIZE, family.num_key_value_heads)?;
    let kv_heads = kv_heads.unwrap_or(heads);
    let rule = "for each serves equally many query heads";
    let rule = format!("must divide num_attention_heads ({heads}), {rule}");
    top.check(heads.is_multiple_of(kv_heads), name, kv_heads, rule)?;
    Ok(AttentionConfig::new(heads, kv_heads, head_dim))
}

/// The token ids of a field that has one or null, or as a `list` several.
fn tokens(top: &mut Fields, name: Name, absent: &[u32], list: bool) -> Checked<Vec<u32>> {
    let ids = match top.get(name, ANY, Value::Null)? {
        _ if !top.has(name) => return Ok(absent.to_vec()),
        Value::Null => Vec::new(),
        Value::Array(_) if list => top.list(name, TOKEN_ID)?.unwrap_or_default(),
        _ => vec![top.get(name, TOKEN_ID, None)?],
    };
    if ids.contains(&None) {
        let why = "no token has a negative id, so this stands for none";
        top.idle(&[name], true, why);
    }
    Ok(ids.into_iter().flatten().collect())
}
