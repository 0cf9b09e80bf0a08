//! How a text is to be written: the parameters that all protocols share, over what the model's makers want.

use glass_generate::{GenerateOptions, Llama, PrefillOptions, SamplingConfig, SamplingError, SequenceBias};
use serde_json::{Value, json};

use super::{ApiError, Fields, fields::COUNT};

/// Most stop strings of a request, and the bytes of one.
const STOPS: (usize, usize) = (32, 1024);

/// Most tokens with a bias.
const BIASES: usize = 4096;

/// Parameters that other servers know and that would change a text, with the values at which they do not.
fn not_honoured() -> [(&'static str, Vec<Value>); 40] {
    [
        ("audio", vec![]),
        ("prediction", vec![]),
        ("web_search_options", vec![]),
        ("functions", vec![json!([])]),
        ("function_call", vec![json!("none"), json!("auto")]),
        ("verbosity", vec![json!("medium")]),
        ("moderation", vec![]),
        ("modalities", vec![json!(["text"])]),
        ("store", vec![json!(false)]),
        ("suffix", vec![json!("")]),
        ("grammar", vec![json!("")]),
        ("json_schema", vec![]),
        ("guided_json", vec![]),
        ("guided_regex", vec![]),
        ("guided_choice", vec![]),
        ("guided_grammar", vec![]),
        ("structured_outputs", vec![]),
        ("use_beam_search", vec![json!(false)]),
        ("length_penalty", vec![json!(1), json!(1.0)]),
        ("min_tokens", vec![json!(0)]),
        ("stop_token_ids", vec![json!([])]),
        ("bad_words", vec![json!([])]),
        ("allowed_token_ids", vec![]),
        ("truncate_prompt_tokens", vec![]),
        ("prompt_logprobs", vec![json!(0)]),
        ("skip_special_tokens", vec![json!(true)]),
        ("chat_template", vec![]),
        ("documents", vec![json!([])]),
        ("mirostat", vec![json!(0)]),
        ("dry_multiplier", vec![json!(0), json!(0.0)]),
        ("xtc_probability", vec![json!(0), json!(0.0)]),
        ("dynatemp_range", vec![json!(0), json!(0.0)]),
        ("top_n_sigma", vec![json!(-1), json!(-1.0)]),
        ("lora", vec![json!([])]),
        ("include_stop_str_in_output", vec![json!(false)]),
        ("think", vec![]),
        ("format", vec![json!("")]),
        ("options", vec![json!({})]),
        ("continue_final_message", vec![json!(false)]),
        ("add_generation_prompt", vec![json!(true)]),
    ]
}

/// Parameters that decide nothing of a text: names of users, hints for caches, tiers of service.
const WITHOUT_EFFECT: [&str; 11] = [
    "user",
    "metadata",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "service_tier",
    "cache_prompt",
    "return_progress",
    "keep_alive",
    "request_id",
];

/// What holds where a request says nothing.
#[derive(Clone, Debug)]
pub struct Defaults {
    pub sampling: SamplingConfig,
    pub max_new_tokens: Option<usize>,
    pub eos_ids: Vec<u32>,
    pub stop_strings: Vec<String>,
    pub prefill: PrefillOptions,
}

impl Defaults {
    /// Those of the model's generation_config.json; where it says nothing those of the OpenAI API, so that temperature 1 and
    /// no cut. A file that says `do_sample: false` gets what it asks for: the most probable token.
    pub fn of(llama: &Llama, prefill: PrefillOptions) -> Self {
        let config = &llama.generation_config;
        let chance = config.do_sample != Some(false);
        Self {
            sampling: SamplingConfig {
                temperature: if chance { config.temperature.unwrap_or(1.0) } else { 0.0 },
                top_k: config.top_k.unwrap_or(0),
                top_p: config.top_p.unwrap_or(1.0),
                min_p: config.min_p.unwrap_or(0.0),
                typical_p: config.typical_p.unwrap_or(1.0),
                ..config.sampling(0)
            },
            max_new_tokens: config.max_new_tokens,
            eos_ids: llama.eos_ids(),
            stop_strings: config.stop_strings.clone(),
            prefill,
        }
    }
}

/// Takes the parameters that say how tokens are chosen and where a text stops. The most tokens, the log-probabilities and the
/// schema have other names in each protocol: they are the caller's.
///
/// # Errors
/// A parameter of the wrong type or out of its range; one that is known and not honoured.
pub fn read_options(fields: &mut Fields, defaults: &Defaults, vocab_size: usize) -> Result<GenerateOptions, ApiError> {
    for (name, neutral) in not_honoured() {
        fields.refuse(name, &neutral, "is not supported by this server: leave it out")?;
    }
    fields.pass_over(&WITHOUT_EFFECT);
    let base = &defaults.sampling;
    let repetition =
        fields.either(&["repetition_penalty", "repeat_penalty"], Fields::number)?.map(|(_, penalty)| penalty);
    let top_k = top_k(fields)?;
    let mut sequence_bias = base.sequence_bias.clone();
    sequence_bias.extend(logit_bias(fields)?);
    let sampling = SamplingConfig {
        temperature: fields.number("temperature")?.unwrap_or(base.temperature),
        top_k: top_k.unwrap_or(base.top_k),
        top_p: fields.number("top_p")?.unwrap_or(base.top_p),
        min_p: fields.number("min_p")?.unwrap_or(base.min_p),
        typical_p: fields.number("typical_p")?.unwrap_or(base.typical_p),
        repetition_penalty: repetition.unwrap_or(base.repetition_penalty),
        presence_penalty: fields.number("presence_penalty")?.unwrap_or(base.presence_penalty),
        frequency_penalty: fields.number("frequency_penalty")?.unwrap_or(base.frequency_penalty),
        no_repeat_ngram_size: fields.count("no_repeat_ngram_size")?.unwrap_or(base.no_repeat_ngram_size),
        sequence_bias,
        seed: seed(fields)?,
    };
    // Penalties look at the whole text.
    let penalizes =
        [sampling.presence_penalty, sampling.frequency_penalty] != [0.0; 2] || sampling.repetition_penalty != 1.0;
    match penalizes {
        true => fields.refuse("repeat_last_n", &[json!(-1)], "is not supported beside a penalty: leave it out")?,
        false => fields.pass_over(&["repeat_last_n"]),
    }
    let checked = sampling.validate().and_then(|()| sampling.check_vocabulary(vocab_size));
    checked.map_err(|error| match error {
        SamplingError::Option { option, value, rule } => {
            fields.invalid(option, format!("{value} is no value: it {rule}"))
        }
        error => fields.invalid("logit_bias", error.to_string()),
    })?;
    let mut stop_strings = defaults.stop_strings.clone();
    stop_strings.extend(stops(fields, "stop")?);
    let ignore_eos = fields.flag("ignore_eos")? == Some(true);
    Ok(GenerateOptions {
        sampling,
        eos_ids: if ignore_eos { vec![] } else { defaults.eos_ids.clone() },
        stop_strings,
        prefill: defaults.prefill,
        ..GenerateOptions::new(0)
    })
}

/// 0 is off, as is the -1 of vLLM.
fn top_k(fields: &mut Fields) -> Result<Option<usize>, ApiError> {
    match fields.take("top_k") {
        None => Ok(None),
        Some(value) if value.as_i64() == Some(-1) => Ok(Some(0)),
        Some(value) => match value.as_u64() {
            Some(count) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
            None => Err(fields.invalid("top_k", COUNT)),
        },
    }
}

/// A seed that was given, or one of chance.
fn seed(fields: &mut Fields) -> Result<u64, ApiError> {
    match fields.take("seed") {
        None => Ok(random()),
        Some(value) => {
            let seed = value.as_u64().or_else(|| value.as_i64().map(|seed| seed as u64));
            seed.ok_or_else(|| fields.invalid("seed", "must be a whole number"))
        }
    }
}

/// A number that nobody foresees: the standard library's hasher has keys of the system's chance.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

/// A stop string or a list of them.
///
/// # Errors
/// Something else; too many; one that is empty or too long.
pub fn stops(fields: &mut Fields, name: &str) -> Result<Vec<String>, ApiError> {
    let strings = match fields.take(name) {
        None => vec![],
        Some(Value::String(text)) => vec![text],
        Some(Value::Array(items)) => {
            let texts: Option<Vec<String>> = items.iter().map(|item| item.as_str().map(str::to_owned)).collect();
            texts.ok_or_else(|| fields.invalid(name, "must be a text or a list of texts"))?
        }
        Some(_) => return Err(fields.invalid(name, "must be a text or a list of texts")),
    };
    let (most, longest) = STOPS;
    if strings.len() > most || strings.iter().any(|text| text.is_empty() || text.len() > longest) {
        let rule = format!("{most} texts at most, each of 1 to {longest} bytes");
        return Err(fields.invalid(name, rule));
    }
    Ok(strings)
}

/// `{"42": -1.5}` as OpenAI has it, or pairs `[[42, -1.5]]` as llama-server also reads. There false forbids a token; -100, the
/// least that OpenAI takes, does it here too.
fn logit_bias(fields: &mut Fields) -> Result<Vec<SequenceBias>, ApiError> {
    let rule = "must be an object of token ids with numbers from -100 to 100";
    let pairs: Vec<(Option<u32>, Value)> = match fields.take("logit_bias") {
        None => return Ok(vec![]),
        Some(Value::Object(map)) => map.into_iter().map(|(id, bias)| (id.parse().ok(), bias)).collect(),
        Some(Value::Array(items)) => items
            .into_iter()
            .map(|item| (item[0].as_u64().and_then(|id| u32::try_from(id).ok()), item[1].clone()))
            .collect(),
        Some(_) => return Err(fields.invalid("logit_bias", rule)),
    };
    if pairs.len() > BIASES {
        return Err(fields.invalid("logit_bias", format!("{BIASES} tokens at most")));
    }
    let bias = |(id, bias): (Option<u32>, Value)| {
        let bias = match bias {
            Value::Bool(false) => f32::NEG_INFINITY,
            bias => bias.as_f64().filter(|bias| bias.abs() <= 100.0)? as f32,
        };
        let bias = if bias <= -100.0 { f32::NEG_INFINITY } else { bias };
        Some(SequenceBias { ids: vec![id?], bias })
    };
    let read: Option<Vec<SequenceBias>> = pairs.into_iter().map(bias).collect();
    let biases = read.ok_or_else(|| fields.invalid("logit_bias", rule))?;
    SequenceBias::check_distinct(&biases).map_err(|error| fields.invalid("logit_bias", error.to_string()))?;
    Ok(biases)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(value: Value) -> Result<GenerateOptions, ApiError> {
        let defaults = Defaults {
            sampling: SamplingConfig { temperature: 0.6, top_k: 20, ..SamplingConfig::default() },
            max_new_tokens: None,
            eos_ids: vec![2],
            stop_strings: vec!["###".into()],
            prefill: PrefillOptions::default(),
        };
        let mut fields = Fields::of_body(value.to_string().as_bytes()).unwrap();
        read_options(&mut fields, &defaults, 100)
    }

    #[test]
    fn requests_go_over_the_models_defaults() {
        let plain = read(json!({})).unwrap();
        assert_eq!((plain.sampling.temperature, plain.sampling.top_k), (0.6, 20));
        assert_eq!((&plain.eos_ids[..], &plain.stop_strings[..]), (&[2][..], &["###".to_owned()][..]));
        assert_ne!(plain.sampling.seed, read(json!({})).unwrap().sampling.seed, "no two texts are alike by chance");
        let options =
            read(json!({"temperature": 0, "top_k": -1, "seed": -1, "stop": ["a", "b"], "frequency_penalty": 0.5,
            "repeat_penalty": 1.1, "logit_bias": {"7": 2, "8": -100}, "ignore_eos": true, "user": "me", "min_p": 0.1}));
        let options = options.unwrap();
        let sampling = &options.sampling;
        assert_eq!((sampling.temperature, sampling.top_k, sampling.seed), (0.0, 0, u64::MAX));
        assert_eq!((sampling.frequency_penalty, sampling.repetition_penalty, sampling.min_p), (0.5, 1.1, 0.1));
        assert_eq!(sampling.sequence_bias[0], SequenceBias { ids: vec![7], bias: 2.0 });
        assert_eq!(sampling.sequence_bias[1].bias, f32::NEG_INFINITY);
        assert!(options.eos_ids.is_empty() && options.stop_strings.len() == 3);
    }

    #[test]
    fn what_cannot_be_honoured_is_named() {
        for (value, param) in [
            (json!({"temperature": -1}), "temperature"),
            (json!({"temperature": "hot"}), "temperature"),
            (json!({"top_p": 2}), "top_p"),
            (json!({"seed": 0.5}), "seed"),
            (json!({"stop": [1]}), "stop"),
            (json!({"stop": ""}), "stop"),
            (json!({"stop": vec!["a"; 33]}), "stop"),
            (json!({"logit_bias": {"7": 101}}), "logit_bias"),
            (json!({"logit_bias": {"100": 1}}), "logit_bias"),
            (json!({"logit_bias": {"a": 1}}), "logit_bias"),
            (json!({"logit_bias": [[7, 1], [7, 5]]}), "logit_bias"),
            (json!({"suffix": "end"}), "suffix"),
            (json!({"modalities": ["text", "audio"]}), "modalities"),
            (json!({"guided_regex": "a+"}), "guided_regex"),
            (json!({"repeat_last_n": 64, "repeat_penalty": 1.1}), "repeat_last_n"),
            (json!({"include_stop_str_in_output": true}), "include_stop_str_in_output"),
            (json!({"think": false}), "think"),
            (json!({"format": "json"}), "format"),
            (json!({"options": {"num_ctx": 1}}), "options"),
        ] {
            let error = read(value.clone()).unwrap_err();
            assert_eq!((error.status, error.param.as_deref()), (400, Some(param)), "{value}");
        }
        read(json!({"suffix": null, "modalities": ["text"], "repeat_last_n": 64, "options": {}, "logit_bias": [[7, false]]})).unwrap();
    }
}
