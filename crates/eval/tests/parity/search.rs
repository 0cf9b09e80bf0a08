//! Beam search against `transformers`, token for token and score for score; and against everything there is.

use std::{collections::HashMap, fs, num::NonZeroUsize, ops::ControlFlow};

use glass_backend::{Device, Dtype};
use glass_generate::{
    BeamError, BeamOptions, BeamOutput, EarlyStopping, Error, ExhaustiveError, ExhaustiveOptions, FinishReason,
    GenerateOptions, Llama, PrefillOptions, Progress, SamplingConfig, SequenceBias, beam_search, exhaustive_search,
    generate, score,
};
use glass_testing::devices;
use serde_json::Value;

use crate::{fixture, random_model};

/// Of a sum of log-probabilities, where those are of the order of 1 each; software Vulkan rounds more.
fn tolerance(device: &Device) -> f64 {
    match devices::is_wgpu(device) {
        true => 1e-3,
        false => 1e-4,
    }
}

fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not zero")
}

fn search(llama: &Llama, prompt: &[u32], options: &BeamOptions) -> BeamOutput {
    beam_search(llama, prompt, options, &mut |_| ControlFlow::Continue(())).expect("found")
}

#[test]
fn beams_are_those_of_the_fixtures() {
    // Length penalty, early stopping, and the id that ends sequences in either model.
    let variants = [
        ("beam", 1.0, "false", false),
        ("beam_eos.lp1", 1.0, "false", true),
        ("beam_eos.lp0", 0.0, "false", true),
        ("beam_eos.lp2", 2.0, "false", true),
        ("beam_eos.lp1_early", 1.0, "true", true),
        ("beam_eos.lp2_never", 2.0, "never", true),
    ];
    for device in devices::all() {
        for name in ["llama-gqa", "mistral-swa"] {
            let folder = fixture::root().join(name);
            let meta = fs::read(folder.join("meta.json")).expect("readable");
            let meta: Value = serde_json::from_slice(&meta).expect("JSON");
            let llama = fixture::load(&folder, false, &device, Dtype::F32);
            let expected = fixture::expected(&folder);
            for (variant, length_penalty, early_stopping, ends) in variants {
                let prompt = fixture::rows(&expected[&format!("{variant}.prompt_ids")]);
                let outputs = fixture::rows(&expected[&format!("{variant}.output_ids")]);
                let scores = &expected[&format!("{variant}.scores")].values;
                let eos = variant_eos(&meta, variant);
                assert_eq!(eos.is_some(), ends, "{name} {variant}");
                let options = BeamOptions {
                    length_penalty,
                    early_stopping: early_stopping.parse().expect("a rule"),
                    num_return_sequences: count(4),
                    eos_ids: eos.into_iter().collect(),
                    ..BeamOptions::new(count(4), 16)
                };
                let found = search(&llama, &prompt[0], &options);
                let who = format!("{name} {variant} on {}", device.name());
                assert_eq!(found.sequences.len(), outputs.len(), "{who}");
                for ((sequence, output), &score) in found.sequences.iter().zip(&outputs).zip(scores) {
                    // Behind its end a sequence is filled up.
                    let new = &output[prompt[0].len()..];
                    let end = new.iter().position(|&id| Some(id) == eos);
                    let new = &new[..end.map_or(new.len(), |end| end + 1)];
                    assert_eq!(sequence.ids, new, "{who}");
                    let reason = match end {
                        Some(_) => FinishReason::Eos,
                        None => FinishReason::Length,
                    };
                    assert_eq!(sequence.finish_reason, reason, "{who}");
                    let off = (sequence.score - f64::from(score)).abs();
                    assert!(off <= tolerance(&device), "{who}: a score is {off} off");
                }
            }
        }
    }
}

fn variant_eos(meta: &Value, variant: &str) -> Option<u32> {
    let eos = match variant.strip_prefix("beam_eos.") {
        Some(name) => &meta["beam_eos"]["variants"][name]["eos_token_id"],
        None => &meta["beam"]["eos_token_id"],
    };
    eos.as_u64().map(|id| u32::try_from(id).expect("an id"))
}

/// Drawn prompts and options, with sequences that end early.
#[test]
fn beams_are_those_of_the_reference() {
    let cases = fs::read_to_string(fixture::root().join("beams.jsonl")).expect("readable");
    let cases: Vec<Value> = cases.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert!(cases.len() >= 80, "cases are missing");
    for device in devices::all() {
        let mut models: HashMap<String, Llama> = HashMap::new();
        let step = if devices::is_wgpu(&device) { 9 } else { 1 };
        for (number, case) in cases.iter().enumerate().step_by(step) {
            let name = case["model"].as_str().expect("a name");
            let llama = models
                .entry(name.to_owned())
                .or_insert_with(|| fixture::load(&fixture::root().join(name), false, &device, Dtype::F32));
            let size = |field: &str| count(case[field].as_u64().expect("a number") as usize);
            let options = BeamOptions {
                length_penalty: case["length_penalty"].as_f64().expect("a number"),
                early_stopping: case["early_stopping"].as_str().and_then(|text| text.parse().ok()).expect("a rule"),
                num_return_sequences: size("num_return_sequences"),
                rules: rules(case),
                eos_ids: ids(&case["eos"]),
                ..BeamOptions::new(size("num_beams"), size("max_new_tokens").get())
            };
            let found = search(llama, &ids(&case["prompt"]), &options);
            let who = format!("case {number}, {name} on {}", device.name());
            let sequences = case["sequences"].as_array().expect("a list");
            let scores = case["scores"].as_array().expect("a list");
            assert_eq!(found.sequences.len(), sequences.len(), "{who}");
            for ((sequence, ids_there), score) in found.sequences.iter().zip(sequences).zip(scores) {
                assert_eq!(sequence.ids, ids(ids_there), "{who}: {case}");
                let score = score.as_f64().expect("a number");
                let off = (sequence.score - score).abs() / score.abs().max(1.0);
                assert!(off <= tolerance(&device), "{who}: a score is {off} off");
            }
        }
    }
}

fn rules(case: &Value) -> SamplingConfig {
    let biases = case["sequence_bias"].as_array().expect("a list");
    let bias = |pair: &Value| SequenceBias { ids: ids(&pair[0]), bias: pair[1].as_f64().expect("a number") as f32 };
    SamplingConfig {
        repetition_penalty: case["repetition_penalty"].as_f64().expect("a number") as f32,
        no_repeat_ngram_size: case["no_repeat_ngram_size"].as_u64().expect("a number") as usize,
        sequence_bias: biases.iter().map(bias).collect(),
        ..SamplingConfig::default()
    }
}

fn ids(values: &Value) -> Vec<u32> {
    let values = values.as_array().expect("a list");
    let id = |value: &Value| u32::try_from(value.as_u64().expect("a number")).expect("an id");
    values.iter().map(id).collect()
}

/// Pieces of the prompt and what layers remember change nothing; what forgets finds something else, and stays finite.
#[test]
fn every_cache_can_be_searched_with() {
    for device in devices::all() {
        for windows in [&[None, None][..], &[Some(5), Some(5)], &[None, Some(5)]] {
            if devices::is_wgpu(&device) && windows.len() != 2 {
                continue;
            }
            let llama = random_model::llama(&random_model::config(windows), 4, &device);
            let prompt = random_model::tokens(17, 8);
            let options =
                BeamOptions { num_return_sequences: count(3), eos_ids: vec![7], ..BeamOptions::new(count(3), 12) };
            let usual = search(&llama, &prompt, &options);
            for (cache, exact) in
                [("full", true), ("ring", true), ("ring:4", false), ("sinks:1+3", false), ("tova:6", false)]
            {
                let prefill = PrefillOptions { cache: cache.parse().expect("a policy"), prefill_chunk: count(4) };
                let options = BeamOptions { prefill, ..options.clone() };
                let found = search(&llama, &prompt, &options);
                let who = format!("{cache} {windows:?} on {}", device.name());
                assert_eq!(found.sequences.len(), 3, "{who}");
                for (found, usual) in found.sequences.iter().zip(&usual.sequences) {
                    assert!(found.score.is_finite() && found.score < 0.0, "{who}");
                    if exact {
                        assert_eq!(found.ids, usual.ids, "{who}");
                        assert!((found.score - usual.score).abs() < tolerance(&device), "{who}");
                    }
                }
            }
        }
    }
}

/// Each sequence's log-probability is that of its tokens, one after the other, in one pass without a cache: what beams did to
/// the cache has left no trace.
#[test]
fn scores_are_those_of_the_sequences() {
    for device in devices::all() {
        for windows in [&[None, Some(4)][..], &[Some(3), Some(6)]] {
            let llama = random_model::llama(&random_model::config(windows), 12, &device);
            for (length, seed) in [(1, 3), (9, 4)] {
                let prompt = random_model::tokens(length, seed);
                let options = BeamOptions {
                    num_return_sequences: count(5),
                    eos_ids: vec![11, 30],
                    ..BeamOptions::new(count(5), 14)
                };
                let found = search(&llama, &prompt, &options);
                assert_eq!(found.sequences.len(), 5);
                for sequence in &found.sequences {
                    let expected = log_prob(&llama, &prompt, &sequence.ids);
                    let off = (sequence.log_prob - expected).abs();
                    assert!(off < tolerance(&device), "{}: {off}", device.name());
                    let score = expected / sequence.ids.len() as f64;
                    let off = (sequence.score - score).abs();
                    assert!(off < tolerance(&device), "{}: {off}", device.name());
                }
            }
        }
    }
}

/// The definition.
fn log_prob(llama: &Llama, prompt: &[u32], ids: &[u32]) -> f64 {
    let row = [prompt, ids].concat();
    let logits = &fixture::forward(llama, &[row], None)["logits"];
    let rows = logits.values.chunks(logits.shape[2]);
    rows.skip(prompt.len() - 1)
        .zip(ids)
        .map(|(row, &id)| {
            let sum: f64 = row.iter().map(|&logit| f64::from(logit).exp()).sum();
            f64::from(row[id as usize]) - sum.ln()
        })
        .sum()
}

/// A vocabulary of so few tokens that everything can be looked through.
fn tiny(vocab_size: usize, seed: u64, device: &Device) -> Llama {
    let mut config = random_model::config(&[None, Some(3)]);
    config.vocab_size = vocab_size;
    random_model::llama(&config, seed, device)
}

fn exhaustive(llama: &Llama, prompt: &[u32], options: &ExhaustiveOptions) -> BeamOutput {
    exhaustive_search(llama, prompt, options, &mut |_| ControlFlow::Continue(())).expect("found")
}

/// Every sequence there is, by counting.
fn all_sequences(vocab_size: u32, length: usize, eos: &[u32]) -> Vec<Vec<u32>> {
    let mut done = vec![];
    let mut open: Vec<Vec<u32>> = vec![vec![]];
    for depth in 1..=length {
        let longer = open.iter().flat_map(|ids| (0..vocab_size).map(|id| [&ids[..], &[id]].concat()));
        let (ended, going): (Vec<_>, Vec<_>) = longer.partition(|ids| depth == length || eos.contains(&ids[depth - 1]));
        done.extend(ended);
        open = going;
    }
    done
}

#[test]
fn an_exhaustive_search_looks_through_everything() {
    let device = devices::flex();
    for (vocab_size, length, eos, penalty) in
        [(2, 6, vec![], 1.0), (3, 4, vec![1], 0.0), (4, 3, vec![0, 2], -1.0), (5, 3, vec![4], 2.0), (7, 1, vec![], 1.0)]
    {
        let llama = tiny(vocab_size, 5, &device);
        let prompt = [1, 0, 1];
        let mut expected: Vec<(f64, Vec<u32>)> = all_sequences(vocab_size as u32, length, &eos)
            .into_iter()
            .map(|ids| {
                let log_prob = log_prob(&llama, &prompt, &ids);
                (score(log_prob, ids.len(), penalty), ids)
            })
            .collect();
        expected.sort_by(|a, b| b.0.total_cmp(&a.0));
        let options = ExhaustiveOptions {
            length_penalty: penalty,
            num_return_sequences: count(6),
            max_new_tokens: length,
            eos_ids: eos.clone(),
        };
        let found = exhaustive(&llama, &prompt, &options);
        assert_eq!(found.sequences.len(), 6.min(expected.len()));
        for (found, (score, ids)) in found.sequences.iter().zip(&expected) {
            assert_eq!(&found.ids, ids, "{vocab_size} {length}");
            assert!((found.score - score).abs() < 1e-5);
            let ended = ids.last().is_some_and(|id| eos.contains(id));
            assert_eq!(found.finish_reason == FinishReason::Eos, ended);
        }
    }
}

/// As many beams as there are sequences lose none; fewer lose some, and never find a better one than the best.
#[test]
fn wide_beams_find_what_there_is_and_narrow_ones_miss_some() {
    let (vocab_size, length) = (4, 4);
    for device in devices::all() {
        let (mut greedy_missed, mut beams_missed) = (0, 0);
        let seeds = if devices::is_wgpu(&device) { 2 } else { 24 };
        for seed in 0..seeds {
            let llama = tiny(vocab_size, seed, &device);
            let prompt = [2, 3];
            for penalty in [-1.0, 0.0, 1.0, 2.0] {
                let options = BeamOptions {
                    length_penalty: penalty,
                    early_stopping: EarlyStopping::Never,
                    eos_ids: vec![1],
                    num_return_sequences: count(3),
                    ..BeamOptions::new(count(256), length)
                };
                let all = ExhaustiveOptions {
                    length_penalty: penalty,
                    num_return_sequences: count(3),
                    max_new_tokens: length,
                    eos_ids: vec![1],
                };
                let best = exhaustive(&llama, &prompt, &all).sequences;
                let wide = search(&llama, &prompt, &options).sequences;
                for (wide, best) in wide.iter().zip(&best) {
                    assert_eq!(wide.ids, best.ids, "seed {seed} penalty {penalty}");
                    assert!((wide.score - best.score).abs() < tolerance(&device));
                }
                let narrow = BeamOptions { num_beams: count(2), num_return_sequences: count(1), ..options };
                let narrow = &search(&llama, &prompt, &narrow).sequences[0];
                assert!(narrow.score < best[0].score + tolerance(&device));
                beams_missed += usize::from(narrow.ids != best[0].ids);
                let greedy = greedy(&llama, &prompt, length, vec![1]);
                let greedy_score = score(log_prob(&llama, &prompt, &greedy), greedy.len(), penalty);
                assert!(greedy_score < best[0].score + tolerance(&device));
                greedy_missed += usize::from(greedy != best[0].ids);
            }
        }
        if !devices::is_wgpu(&device) {
            assert!(beams_missed > 0, "two beams are never enough");
            assert!(greedy_missed > beams_missed, "{greedy_missed} {beams_missed}");
        }
    }
}

fn greedy(llama: &Llama, prompt: &[u32], max_new_tokens: usize, eos_ids: Vec<u32>) -> Vec<u32> {
    let options = GenerateOptions { eos_ids, ..GenerateOptions::new(max_new_tokens) };
    let found = generate(llama, prompt, &options, &mut |_| ControlFlow::Continue(()));
    found.expect("generated").ids
}

#[test]
fn what_cannot_be_searched_is_one_line() {
    let device = devices::flex();
    let llama = tiny(50, 1, &device);
    let go = &mut |_: Progress<'_>| ControlFlow::Continue(());
    let usual = BeamOptions::new(count(2), 3);
    let refused = |options: BeamOptions| {
        let error = beam_search(&llama, &[1], &options, &mut |_| ControlFlow::Continue(()));
        let error = error.expect_err("it makes no sense");
        assert!(!error.to_string().contains('\n'), "{error}");
        error
    };
    let error = refused(BeamOptions { num_return_sequences: count(3), ..usual.clone() });
    assert!(matches!(error, Error::Beam(BeamError::TooManyWanted { .. })));
    for value in [f64::NAN, f64::INFINITY] {
        let length_penalty = value;
        let error = refused(BeamOptions { length_penalty, ..usual.clone() });
        assert!(matches!(error, Error::Beam(BeamError::LengthPenalty { .. })));
    }
    let rules = |temperature, repetition_penalty| SamplingConfig {
        temperature,
        repetition_penalty,
        ..SamplingConfig::default()
    };
    let error = refused(BeamOptions { rules: rules(1.0, 1.0), ..usual.clone() });
    assert!(matches!(error, Error::Beam(BeamError::Chance { .. })));
    let error = refused(BeamOptions { rules: rules(0.0, -1.0), ..usual.clone() });
    assert!(matches!(error, Error::Sampling(_)));
    for text in ["", "True", "yes", "0"] {
        assert!(text.parse::<EarlyStopping>().is_err(), "{text}");
    }
    let error = beam_search(&llama, &[], &usual, go).expect_err("no prompt");
    assert!(matches!(error, Error::EmptyPrompt));
    let error = beam_search(&llama, &[50], &usual, go).expect_err("no such id");
    assert!(matches!(error, Error::IdOutOfRange { id: 50, .. }));
    let options =
        ExhaustiveOptions { length_penalty: 1.0, num_return_sequences: count(1), max_new_tokens: 4, eos_ids: vec![] };
    let error = exhaustive_search(&llama, &[1], &options, go);
    let error = error.expect_err("6250000 sequences");
    assert!(matches!(error, Error::Exhaustive(ExhaustiveError::TooMany { most: 3, .. })));
}

#[test]
fn short_texts_and_broken_off_searches() {
    let llama = tiny(3, 1, &devices::flex());
    let options = BeamOptions { num_return_sequences: count(5), ..BeamOptions::new(count(5), 1) };
    // There are three sequences of one token.
    let found = search(&llama, &[1], &options);
    let mut ids: Vec<u32> = found.sequences.iter().map(|found| found.ids[0]).collect();
    ids.sort_unstable();
    assert_eq!(ids, [0, 1, 2]);
    let nothing = BeamOptions { max_new_tokens: 0, ..options.clone() };
    let found = search(&llama, &[1], &nothing);
    assert_eq!((found.sequences.len(), found.interrupted), (1, false));
    assert!(found.sequences[0].ids.is_empty());
    assert_eq!(found.sequences[0].finish_reason, FinishReason::Length);

    let long = BeamOptions { max_new_tokens: 20, ..options };
    let mut steps = 0;
    let found = beam_search(&llama, &[1], &long, &mut |progress| {
        steps += usize::from(matches!(progress, Progress::Searched(_)));
        match steps {
            4 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let found = found.expect("what there is");
    assert!(found.interrupted);
    assert_eq!(found.sequences.len(), 5);
    for sequence in &found.sequences {
        assert_eq!(sequence.ids.len(), 4);
        assert_eq!(sequence.finish_reason, FinishReason::Interrupted);
    }
}
