//! The fields of `generation_config.json`, read one by one.

use serde_json::{Map, Value};

use super::{GenerationConfig, GenerationConfigError};
use crate::{
    EarlyStopping,
    sampling::{SamplingConfig, SequenceBias},
};

const HONOURED: [&str; 17] = [
    "eos_token_id",
    "bos_token_id",
    "pad_token_id",
    "do_sample",
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repetition_penalty",
    "typical_p",
    "no_repeat_ngram_size",
    "sequence_bias",
    "length_penalty",
    "early_stopping",
    "max_new_tokens",
    "max_length",
    "stop_strings",
];

/// Fields that would change the generated ids, with the value beside null at which they do not.
const NOT_HONOURED: [(&str, Neutral); 29] = [
    ("num_beams", Neutral::Number(1.0)),
    ("num_beam_groups", Neutral::Number(1.0)),
    ("num_return_sequences", Neutral::Number(1.0)),
    ("diversity_penalty", Neutral::Number(0.0)),
    ("constraints", Neutral::Empty),
    ("force_words_ids", Neutral::Empty),
    ("penalty_alpha", Neutral::Number(0.0)),
    ("dola_layers", Neutral::Empty),
    ("top_h", Neutral::NullOnly),
    ("epsilon_cutoff", Neutral::Number(0.0)),
    ("eta_cutoff", Neutral::Number(0.0)),
    ("encoder_repetition_penalty", Neutral::Number(1.0)),
    ("encoder_no_repeat_ngram_size", Neutral::Number(0.0)),
    ("bad_words_ids", Neutral::Empty),
    ("min_length", Neutral::Number(0.0)),
    ("min_new_tokens", Neutral::Number(0.0)),
    ("max_time", Neutral::NullOnly),
    ("forced_bos_token_id", Neutral::NullOnly),
    ("forced_eos_token_id", Neutral::Empty),
    ("forced_decoder_ids", Neutral::Empty),
    ("decoder_start_token_id", Neutral::NullOnly),
    ("remove_invalid_values", Neutral::False),
    ("exponential_decay_length_penalty", Neutral::NullOnly),
    ("suppress_tokens", Neutral::Empty),
    ("begin_suppress_tokens", Neutral::Empty),
    ("token_healing", Neutral::False),
    ("guidance_scale", Neutral::Number(1.0)),
    ("watermarking_config", Neutral::NullOnly),
    ("is_assistant", Neutral::False),
];

/// Fields about speed, memory, outputs beside the ids, or the file itself.
const WITHOUT_EFFECT: [&str; 30] = [
    "renormalize_logits",
    "low_memory",
    "use_cache",
    "cache_implementation",
    "cache_config",
    "max_cache_len",
    "return_legacy_cache",
    "prefill_chunk_size",
    "compile_config",
    "disable_compile",
    "continuous_batching_config",
    "output_attentions",
    "output_hidden_states",
    "output_scores",
    "output_logits",
    "return_dict_in_generate",
    "use_mtp",
    "num_assistant_tokens",
    "num_assistant_tokens_schedule",
    "assistant_confidence_threshold",
    "assistant_early_exit",
    "assistant_lookbehind",
    "target_lookbehind",
    "assistant_ensemble_weight",
    "prompt_lookup_num_tokens",
    "max_matching_ngram_size",
    "speculation_type",
    "_from_model_config",
    "transformers_version",
    "_commit_hash",
];

/// The value of a field with which it has no effect. Null never has one.
enum Neutral {
    NullOnly,
    Number(f64),
    False,
    /// An empty list, object or string.
    Empty,
}

impl Neutral {
    fn holds(&self, value: &Value) -> bool {
        match self {
            Self::NullOnly => false,
            Self::Number(neutral) => glass_json::as_f64(value) == Some(*neutral),
            Self::False => value == &Value::Bool(false),
            Self::Empty => match value {
                Value::Array(items) => items.is_empty(),
                Value::Object(items) => items.is_empty(),
                Value::String(text) => text.is_empty(),
                _ => false,
            },
        }
    }
}

pub(super) fn read(fields: &Map<String, Value>, origin: &str) -> GenerationConfig {
    let mut reader = Reader { fields, origin, warnings: Vec::new(), problems: Vec::new() };
    reader.warn_of_what_is_not_honoured();
    let mut config = GenerationConfig {
        eos_token_id: reader.ids("eos_token_id"),
        bos_token_id: reader.id("bos_token_id"),
        pad_token_id: reader.id("pad_token_id"),
        do_sample: reader.one("do_sample", "must be true or false", Value::as_bool),
        temperature: reader.number("temperature"),
        top_k: reader.count_or_off("top_k"),
        top_p: reader.number("top_p"),
        min_p: reader.number("min_p"),
        repetition_penalty: reader.number("repetition_penalty"),
        typical_p: reader.number("typical_p"),
        no_repeat_ngram_size: reader.count_or_off("no_repeat_ngram_size"),
        sequence_bias: reader.many("sequence_bias", "must be a list of pairs [[id, ...], bias]", bias),
        length_penalty: reader.one("length_penalty", "must be a number", glass_json::as_f64),
        early_stopping: reader.one("early_stopping", "must be true, false or \"never\"", early_stopping),
        max_new_tokens: reader.count("max_new_tokens"),
        max_length: reader.count("max_length"),
        stop_strings: reader.many("stop_strings", "must be a string or a list of them, none empty", |value| {
            value.as_str().filter(|stop| !stop.is_empty()).map(str::to_owned)
        }),
        warnings: reader.warnings,
        problems: reader.problems,
    };
    for (field, sampling) in ranges(&config) {
        let Err(error) = sampling.validate() else { continue };
        config.problems.push(GenerationConfigError::Range { path: origin.to_owned(), field, error });
        // As good as none: who goes by it asks, and is told.
        match field {
            "temperature" => config.temperature = None,
            "top_p" => config.top_p = None,
            "min_p" => config.min_p = None,
            "typical_p" => config.typical_p = None,
            "repetition_penalty" => config.repetition_penalty = None,
            _ => config.sequence_bias.clear(),
        }
    }
    config
}

/// Each field that has a range, alone in how tokens are chosen.
fn ranges(config: &GenerationConfig) -> [(&'static str, SamplingConfig); 6] {
    let off = SamplingConfig::default;
    let or = |value: Option<f32>, off: f32| value.unwrap_or(off);
    [
        ("temperature", SamplingConfig { temperature: or(config.temperature, off().temperature), ..off() }),
        ("top_p", SamplingConfig { top_p: or(config.top_p, off().top_p), ..off() }),
        ("min_p", SamplingConfig { min_p: or(config.min_p, off().min_p), ..off() }),
        ("typical_p", SamplingConfig { typical_p: or(config.typical_p, off().typical_p), ..off() }),
        (
            "repetition_penalty",
            SamplingConfig { repetition_penalty: or(config.repetition_penalty, off().repetition_penalty), ..off() },
        ),
        ("sequence_bias", SamplingConfig { sequence_bias: config.sequence_bias.clone(), ..off() }),
    ]
}

/// A pair `[[id, ...], bias]`.
fn bias(pair: &Value) -> Option<SequenceBias> {
    let [ids, bias] = pair.as_array()?.as_slice() else {
        return None;
    };
    let id = |id: &Value| u32::try_from(id.as_u64()?).ok();
    Some(SequenceBias {
        ids: ids.as_array()?.iter().map(id).collect::<Option<_>>()?,
        bias: glass_json::as_f64(bias)? as f32,
    })
}

/// `true`, `false` or `"never"`.
fn early_stopping(value: &Value) -> Option<EarlyStopping> {
    match value {
        Value::Bool(true) => Some(EarlyStopping::AtOnce),
        Value::Bool(false) => Some(EarlyStopping::Hopeless),
        value => value.as_str().filter(|text| *text == "never")?.parse().ok(),
    }
}

struct Reader<'a> {
    fields: &'a Map<String, Value>,
    origin: &'a str,
    warnings: Vec<String>,
    problems: Vec<GenerationConfigError>,
}

impl Reader<'_> {
    fn warn_of_what_is_not_honoured(&mut self) {
        for (field, value) in self.fields {
            let name = field.as_str();
            let effect = if value.is_null() || HONOURED.contains(&name) {
                continue;
            } else if let Some((_, neutral)) = NOT_HONOURED.iter().find(|(known, _)| *known == name) {
                if neutral.holds(value) {
                    continue;
                }
                "is not honoured; transformers would generate differently"
            } else if WITHOUT_EFFECT.contains(&name) {
                continue;
            } else {
                "is not known here and is not honoured"
            };
            let value = shown(value);
            self.warnings.push(format!("{}: {field} = {value} {effect}", self.origin));
        }
    }

    fn one<T>(&mut self, field: &'static str, rule: &'static str, read: impl Fn(&Value) -> Option<T>) -> Option<T> {
        let value = self.fields.get(field).filter(|value| !value.is_null())?;
        let read = read(value);
        if read.is_none() {
            let (path, value) = (self.origin.to_owned(), shown(value));
            self.problems.push(GenerationConfigError::Field { path, field, value, rule });
        }
        read
    }

    fn many<T>(&mut self, field: &'static str, rule: &'static str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
        let list = self.one(field, rule, |value| match value {
            Value::Array(items) => items.iter().map(&read).collect(),
            value => Some(vec![read(value)?]),
        });
        list.unwrap_or_default()
    }

    fn number(&mut self, field: &'static str) -> Option<f32> {
        self.one(field, "must be a number", |value| glass_json::as_f64(value).map(|number| number as f32))
    }

    fn count(&mut self, field: &'static str) -> Option<usize> {
        self.one(field, "must be a whole number of at least 0", |value| usize::try_from(value.as_u64()?).ok())
    }

    /// A count for which others write -1 where they want none.
    fn count_or_off(&mut self, field: &'static str) -> Option<usize> {
        self.one(field, "must be a whole number of at least 0, or -1 (off)", |value| match value.as_i64()? {
            -1 => Some(0),
            count => usize::try_from(count).ok(),
        })
    }

    fn id(&mut self, field: &'static str) -> Option<u32> {
        let rule = "must be a token id or null";
        match self.fields.get(field) {
            Some(Value::Array(_)) => self.one(field, rule, |_| None),
            _ => self.ids_by(field, rule).pop(),
        }
    }

    fn ids(&mut self, field: &'static str) -> Vec<u32> {
        self.ids_by(field, "must be a token id, a list of them, or null")
    }

    /// Older files say -1 for "none"; a negative id is left out, with a warning.
    fn ids_by(&mut self, field: &'static str, rule: &'static str) -> Vec<u32> {
        let ids = self.many(field, rule, |value| value.as_i64().filter(|&id| id < 0 || u32::try_from(id).is_ok()));
        if let Some(negative) = ids.iter().find(|&&id| id < 0) {
            self.warnings.push(format!("{}: {field} holds {negative}, which is no token: it is left out", self.origin));
        }
        ids.into_iter().filter_map(|id| u32::try_from(id).ok()).collect()
    }
}

/// A value as JSON, cut to a length that fits into a line.
fn shown(value: &Value) -> String {
    let text = glass_json::shown(value);
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}
