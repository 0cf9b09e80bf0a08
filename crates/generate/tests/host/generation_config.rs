use std::fs;

use glass_generate::EarlyStopping;
use glass_generate::generation_config::{GenerationConfig, GenerationConfigError};
use glass_generate::sampling::{SamplingConfig, SequenceBias};

fn read(json: &str) -> Result<GenerationConfig, GenerationConfigError> {
    GenerationConfig::from_json(json.as_bytes(), "model/generation_config.json")
}

/// What is wrong with this field.
fn problem(json: &str, field: &str) -> String {
    read(json).unwrap().check(&[field]).unwrap_err().to_string()
}

#[test]
fn a_chat_models_file() {
    let config = read(
        r#"{"bos_token_id": 128000, "do_sample": true, "eos_token_id": [128001, 128008, 128009],
            "temperature": 0.6, "top_p": 0.9, "transformers_version": "4.45.0.dev0", "num_beams": 1,
            "min_p": null, "max_length": 4096, "suppress_tokens": [], "guidance_scale": 1}"#,
    )
    .unwrap();
    let expected = GenerationConfig {
        eos_token_id: vec![128001, 128008, 128009],
        bos_token_id: Some(128000),
        do_sample: Some(true),
        temperature: Some(0.6),
        top_p: Some(0.9),
        max_length: Some(4096),
        ..GenerationConfig::default()
    };
    assert_eq!(config, expected);
    let sampling = SamplingConfig { temperature: 0.6, top_k: 50, top_p: 0.9, seed: 9, ..SamplingConfig::default() };
    assert_eq!(config.sampling(9), sampling);
}

#[test]
fn without_do_sample_the_penalty_alone_counts() {
    let config = read(r#"{"temperature": 0.6, "top_k": 5, "repetition_penalty": 1.1}"#).unwrap();
    assert_eq!(config.top_k, Some(5));
    let expected = SamplingConfig { repetition_penalty: 1.1, ..SamplingConfig::default() };
    assert_eq!(config.sampling(0), expected);
    assert!(config.sampling(0).is_greedy());
}

#[test]
fn rules_that_look_back_hold_without_do_sample_and_typical_p_does_not() {
    let json = r#"{"typical_p": 0.9, "no_repeat_ngram_size": 3, "sequence_bias": [[[1, 2], -1.5], [[3], 2]]}"#;
    let config = read(json).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    let bias = |ids: &[u32], bias| SequenceBias { ids: ids.to_vec(), bias };
    let expected = SamplingConfig {
        no_repeat_ngram_size: 3,
        sequence_bias: vec![bias(&[1, 2], -1.5), bias(&[3], 2.0)],
        ..SamplingConfig::default()
    };
    assert_eq!(config.sampling(0), expected);
    let sampled = read(r#"{"do_sample": true, "typical_p": 0.9}"#).unwrap();
    assert_eq!(sampled.sampling(0).typical_p, 0.9);
    for (json, field, part) in [
        (r#"{"typical_p": 0}"#, "typical_p", "typical_p = 0: must be"),
        (r#"{"sequence_bias": [[[], 1]]}"#, "sequence_bias", "needs an id"),
        (r#"{"sequence_bias": [[[1], 1e99]]}"#, "sequence_bias", "sequence_bias = inf"),
    ] {
        let message = problem(json, field);
        assert!(message.contains(part), "{message}");
    }
    let forbidden = read(r#"{"sequence_bias": [[[1], -Infinity]]}"#).unwrap();
    assert_eq!(forbidden.sequence_bias, [bias(&[1], f32::NEG_INFINITY)]);
    assert_eq!(forbidden.problems, []);
}

/// Off, in the words of others.
#[test]
fn minus_one_is_off() {
    for off in [-1, 0] {
        let json = format!(r#"{{"do_sample": true, "top_k": {off}, "no_repeat_ngram_size": {off}}}"#);
        let config = read(&json).unwrap();
        let sampling = config.sampling(0);
        assert_eq!((sampling.top_k, sampling.no_repeat_ngram_size), (0, 0));
        assert_eq!((config.warnings, config.problems), (vec![], vec![]));
    }
}

/// What is nonsense is one for whoever uses it, and for nobody else.
#[test]
fn nonsense_is_an_error_where_it_is_used() {
    let fields =
        ["temperature", "top_k", "top_p", "min_p", "typical_p", "repetition_penalty", "sequence_bias", "eos_token_id"];
    for (field, values) in [
        ("temperature", &["-1", "NaN", "Infinity", "\"hot\""][..]),
        ("top_k", &["-5", "2.5", "NaN", "1e999"]),
        ("top_p", &["0", "1.5", "NaN", "-Infinity", "[]"]),
        ("min_p", &["2", "-0.1", "{}"]),
        ("typical_p", &["0.0", "1.1"]),
        ("repetition_penalty", &["0", "-1", "Infinity"]),
        ("sequence_bias", &["[[[1], NaN]]", "[[[1], Infinity]]", "7"]),
        ("eos_token_id", &["\"</s>\"", "1.5"]),
    ] {
        for value in values {
            let config = read(&format!("{{\"{field}\": {value}}}")).unwrap();
            let others: Vec<&str> = fields.into_iter().filter(|other| *other != field).collect();
            assert_eq!(config.check(&others), Ok(()), "{field} = {value}");
            let error = config.check(&fields).unwrap_err().to_string();
            assert!(error.starts_with("model/generation_config.json: "), "{error}");
            assert!(error.contains(field) && !error.contains('\n'), "{error}");
        }
    }
}

#[test]
fn eos_is_an_id_a_list_or_the_configs() {
    for (json, expected) in [
        (r#"{"eos_token_id": 2}"#, &[2][..]),
        (r#"{"eos_token_id": [3, 4]}"#, &[3, 4]),
        (r#"{"eos_token_id": null}"#, &[9]),
        (r#"{"eos_token_id": []}"#, &[9]),
        ("{}", &[9]),
    ] {
        assert_eq!(read(json).unwrap().eos_ids(&[9]), expected, "{json}");
    }
    let config = read(r#"{"pad_token_id": -1, "eos_token_id": [2, -1]}"#).unwrap();
    assert_eq!((config.pad_token_id, config.eos_token_id), (None, vec![2]));
    assert_eq!(config.warnings.len(), 2);
}

#[test]
fn stop_strings_are_one_or_many() {
    assert_eq!(read(r#"{"stop_strings": "a"}"#).unwrap().stop_strings, ["a"]);
    assert_eq!(read(r#"{"stop_strings": ["a", "b"]}"#).unwrap().stop_strings, ["a", "b"]);
}

#[test]
fn what_a_search_goes_by_is_read() {
    let file = read(r#"{"length_penalty": -0.5, "early_stopping": "never"}"#).unwrap();
    assert_eq!(file.length_penalty, Some(-0.5));
    assert_eq!(file.early_stopping, Some(EarlyStopping::Never));
    for (value, rule) in [(true, EarlyStopping::AtOnce), (false, EarlyStopping::Hopeless)] {
        let file = read(&format!(r#"{{"early_stopping": {value}}}"#)).unwrap();
        assert_eq!(file.early_stopping, Some(rule));
    }
    for field in [r#""early_stopping": "true""#, r#""early_stopping": 1"#, r#""length_penalty": "1""#] {
        assert_eq!(read(&format!("{{{field}}}")).unwrap().problems.len(), 1, "{field}");
    }
}

#[test]
fn what_is_not_honoured_is_warned_of() {
    for field in [
        r#""num_beams": 4"#,
        r#""penalty_alpha": 0.6"#,
        r#""epsilon_cutoff": 0.0003"#,
        r#""forced_eos_token_id": 2"#,
        r#""suppress_tokens": [1]"#,
        r#""begin_suppress_tokens": [220]"#,
        r#""bad_words_ids": [[1]]"#,
        r#""min_length": 5"#,
        r#""min_new_tokens": 5"#,
        r#""encoder_repetition_penalty": 1.2"#,
        r#""guidance_scale": 1.5"#,
        r#""diversity_penalty": 0.5"#,
        r#""no_such_field": true"#,
    ] {
        let warnings = read(&format!("{{{field}}}")).unwrap().warnings;
        let [warning] = &warnings[..] else {
            panic!("{field}: {warnings:?}");
        };
        let name = field.split('"').nth(1).unwrap();
        assert!(warning.starts_with(&format!("model/generation_config.json: {name} = ")), "{warning}");
    }
    let neutral = read(
        r#"{"num_beams": 1, "penalty_alpha": null, "typical_p": null, "epsilon_cutoff": 0.0, "no_repeat_ngram_size": null,
            "forced_bos_token_id": null, "bad_words_ids": null, "min_length": 0, "guidance_scale": null,
            "use_cache": true, "output_attentions": false, "_from_model_config": true, "renormalize_logits": true}"#,
    );
    assert_eq!(neutral.unwrap(), GenerationConfig::default());
}

#[test]
fn wrong_types_are_errors_with_the_fields_name() {
    for (field, value) in [
        ("eos_token_id", r#""</s>""#),
        ("eos_token_id", "[1, null]"),
        ("eos_token_id", "99999999999"),
        ("bos_token_id", "[1, 2]"),
        ("do_sample", "1"),
        ("temperature", r#""hot""#),
        ("top_k", "-2"),
        ("top_k", "2.5"),
        ("max_new_tokens", "true"),
        ("stop_strings", "[1]"),
        ("typical_p", r#""most""#),
        ("no_repeat_ngram_size", "-2"),
        ("sequence_bias", r#"{"1": 2.0}"#),
        ("sequence_bias", "[[1, 2.0]]"),
        ("sequence_bias", "[[[1], 2.0, 3.0]]"),
        ("sequence_bias", "[[[-1], 2.0]]"),
    ] {
        let message = problem(&format!("{{\"{field}\": {value}}}"), field);
        let start = format!("model/generation_config.json: {field} = ");
        assert!(message.starts_with(&start) && message.contains(": must be"), "{message}");
        assert_eq!(message.lines().count(), 1);
    }
}

#[test]
fn folders() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(GenerationConfig::from_folder(folder.path()), Ok(GenerationConfig::default()));
    let path = folder.path().join("generation_config.json");
    for broken in ["", "[]", "{\"a\":\n\n", "\u{0}"] {
        fs::write(&path, broken).unwrap();
        let message = GenerationConfig::from_folder(folder.path()).unwrap_err().to_string();
        assert!(message.contains("generation_config.json: not a JSON object"), "{message}");
        assert_eq!(message.lines().count(), 1, "{message}");
    }
    fs::write(&path, r#"{"eos_token_id": 2}"#).unwrap();
    assert_eq!(GenerationConfig::from_folder(folder.path()).unwrap().eos_token_id, [2]);
    // A folder where the file should be cannot be read, and is not the same as no file.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let error = GenerationConfig::from_folder(folder.path()).unwrap_err();
    assert!(matches!(error, GenerationConfigError::Unreadable { .. }), "{error}");
}
