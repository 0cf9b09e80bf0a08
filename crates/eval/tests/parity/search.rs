//! Beam search with every cache: what it finds, what its scores are, and what it refuses.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::Device;
use glass_generate::{
    BeamError, BeamOptions, BeamOutput, EarlyStopping, Error, ExhaustiveError, ExhaustiveOptions, FinishReason, Llama,
    PrefillOptions, Progress, SamplingConfig, beam_search, exhaustive_search,
};
use glass_testing::devices;

use crate::{fixture, random_model};

/// Of a sum of log-probabilities, where those are of the order of 1 each; software Vulkan rounds more.
pub fn tolerance(device: &Device) -> f64 {
    match devices::is_wgpu(device) {
        true => 1e-3,
        false => 1e-4,
    }
}

pub fn count(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).expect("not zero")
}

pub fn search(llama: &Llama, prompt: &[u32], options: &BeamOptions) -> BeamOutput {
    beam_search(llama, prompt, options, &mut |_| ControlFlow::Continue(())).expect("found")
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
pub fn log_prob(llama: &Llama, prompt: &[u32], ids: &[u32]) -> f64 {
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
pub fn tiny(vocab_size: usize, seed: u64, device: &Device) -> Llama {
    let mut config = random_model::config(&[None, Some(3)]);
    config.vocab_size = vocab_size;
    random_model::llama(&config, seed, device)
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
    for value in [f64::NAN, f64::INFINITY, 1e30, -1e30] {
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

    // None of the three may come twice, and the prompt has one of them.
    let rules = SamplingConfig { no_repeat_ngram_size: 1, ..SamplingConfig::default() };
    let found = search(&llama, &[1], &BeamOptions { max_new_tokens: 5, rules, ..options.clone() });
    let ends = found.sequences.iter().map(|found| (found.ids.len(), found.finish_reason));
    assert_eq!(ends.collect::<Vec<_>>(), [(2, FinishReason::NoToken); 2]);

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
