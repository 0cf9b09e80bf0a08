//! Rows of a batch against the same rows alone, on every backend.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::{Device, Dtype};
use glass_generate::{
    Advance, BatchRow, Error, FinishReason, GenerateOptions, Generated, Llama, Memory,
    SamplingConfig,
};
use glass_testing::devices;

use crate::{fixture, random_model};

fn options(max_new_tokens: usize, eos_ids: Vec<u32>, seed: Option<u64>) -> GenerateOptions {
    let sampling = SamplingConfig {
        temperature: if seed.is_some() { 0.8 } else { 0.0 },
        top_k: 20,
        repetition_penalty: 1.1,
        seed: seed.unwrap_or(0),
        ..SamplingConfig::default()
    };
    GenerateOptions {
        sampling,
        max_new_tokens,
        eos_ids,
        stop_strings: vec![],
        memory: Memory::default(),
        logprobs: None,
        prompt_lookup: None,
    }
}

fn alone(llama: &Llama, prompt: &[u32], options: &GenerateOptions) -> Generated {
    llama
        .generate(prompt, options, &mut |_| ControlFlow::Continue(()))
        .expect("generated")
}

fn together(llama: &Llama, rows: &[(Vec<u32>, GenerateOptions)]) -> (Vec<Generated>, usize) {
    let rows: Vec<BatchRow<'_>> = rows
        .iter()
        .map(|(prompt, options)| BatchRow { prompt, options })
        .collect();
    let mut written = 0;
    let results = llama
        .generate_batch(&rows, &mut |advance| {
            if let Advance::Tokens(tokens) = advance {
                written = tokens;
            }
            ControlFlow::Continue(())
        })
        .expect("a batch");
    let results = results.into_iter().map(|row| row.expect("a text"));
    (results.collect(), written)
}

fn check(llama: &Llama, rows: &[(Vec<u32>, GenerateOptions)], who: &str) -> Vec<Generated> {
    let (found, _) = together(llama, rows);
    assert_eq!(found.len(), rows.len(), "{who}");
    for (number, ((prompt, options), found)) in rows.iter().zip(&found).enumerate() {
        let expected = alone(llama, prompt, options);
        assert_eq!(found.ids, expected.ids, "{who}, row {number}");
        assert_eq!(found.finish_reason, expected.finish_reason, "{who}");
        assert_eq!(found.prompt_tokens, expected.prompt_tokens, "{who}");
        let off = (found.score - expected.score).abs();
        let limit = if devices::is_wgpu(&llama.device) {
            2e-3
        } else {
            2e-4
        };
        assert!(off <= limit, "{who}, row {number}: the score is {off} off");
    }
    found
}

/// Prompts of many lengths; some rows end by an id, at different steps, some by their number of tokens.
fn rows(vocab_size: usize, seed: u64, sampled: bool) -> Vec<(Vec<u32>, GenerateOptions)> {
    [(3, 12), (17, 5), (1, 20), (30, 9), (17, 16), (8, 1)]
        .into_iter()
        .enumerate()
        .map(|(number, (length, new))| {
            let prompt = random_model::tokens(length, seed ^ number as u64);
            let eos = (0..vocab_size as u32).filter(|id| id % 9 == number as u32);
            let seed = sampled.then_some(number as u64 / 2);
            (prompt, options(new, eos.collect(), seed))
        })
        .collect()
}

fn models(device: &Device) -> Vec<(String, Llama)> {
    let shared = fixture::root();
    let names: &[&str] = match devices::is_wgpu(device) {
        true => &["qwen2-mixed-window"],
        false => &[
            "llama-gqa",
            "mistral-swa",
            "qwen2-mixed-window",
            "extra/extra-yarn",
        ],
    };
    names
        .iter()
        .map(|name| {
            let llama = fixture::load(&shared.join(name), false, device, Dtype::F32);
            ((*name).to_owned(), llama)
        })
        .collect()
}

#[test]
fn every_row_of_a_batch_is_its_single_run() {
    for device in devices::all() {
        let mut ended = [0, 0];
        for (name, llama) in models(&device) {
            for sampled in [false, true] {
                let who = format!("{name} on {}, sampled {sampled}", device.name());
                let rows = rows(llama.config.vocab_size, 40, sampled);
                for found in check(&llama, &rows, &who) {
                    let reason = found.finish_reason;
                    ended[usize::from(reason == FinishReason::Eos)] += 1;
                }
            }
        }
        assert!(ended.iter().all(|&count| count > 0), "{ended:?}");
    }
}

/// Whatever layers remember, and in whatever pieces the prompts are read.
#[test]
fn every_cache_can_be_shared() {
    for device in devices::all() {
        for windows in [&[None, None][..], &[Some(5), None]] {
            let llama = random_model::llama(&random_model::config(windows), 9, &device);
            for (plan, chunk) in [
                ("full", 512),
                ("ring", 4),
                ("ring:4", 7),
                ("sinks:2+3", 5),
                ("tova:6", 3),
            ] {
                if devices::is_wgpu(&device) && (windows[0].is_none() || chunk == 7) {
                    continue;
                }
                let memory = Memory {
                    plan: plan.parse().expect("a plan"),
                    prefill_chunk: NonZeroUsize::new(chunk).expect("not zero"),
                };
                let mut rows = rows(50, 3, false);
                for (_, options) in &mut rows {
                    options.memory = memory;
                }
                let who = format!("{plan} {windows:?} on {}", device.name());
                check(&llama, &rows, &who);
            }
        }
    }
}

/// Beyond the trained context their angles follow from the longest row: those of one length go together, the rest does not.
#[test]
fn angles_that_depend_on_the_length_depend_on_no_other_row() {
    for device in devices::all() {
        for name in ["extra/extra-dynamic", "extra/extra-longrope-long"] {
            let folder = fixture::root().join(name);
            let llama = fixture::load(&folder, false, &device, Dtype::F32);
            let context = llama.config.context();
            let longest = context.min(22);
            let rows: Vec<_> = [(4, 5), (longest, 9), (20, 6), (4, 24), (20, 12)]
                .into_iter()
                .enumerate()
                .map(|(number, (length, new))| {
                    let prompt = random_model::tokens(length, number as u64);
                    (prompt, options(new, vec![], None))
                })
                .collect();
            let some = if devices::is_wgpu(&device) { 3 } else { 5 };
            check(
                &llama,
                &rows[..some],
                &format!("{name} on {}", device.name()),
            );
        }
    }
}

#[test]
fn a_row_that_is_finished_leaves() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let rows: Vec<_> = [(5, 1), (9, 30), (2, 4), (3, 0)]
        .into_iter()
        .map(|(length, new)| {
            (
                random_model::tokens(length, new as u64),
                options(new, vec![], None),
            )
        })
        .collect();
    let (found, written) = together(&llama, &rows);
    let lengths: Vec<usize> = found.iter().map(|found| found.ids.len()).collect();
    assert_eq!(lengths, [1, 30, 4, 0]);
    // Nobody chose a token for a row that was over.
    assert_eq!(written, 35);
    // What is held at the end is what a row of its own holds.
    let single = alone(&llama, &rows[1].0, &rows[1].1);
    assert_eq!(found[1].cache_bytes, single.cache_bytes);
    assert!(found[0].cache_bytes > found[1].cache_bytes);
}

#[test]
fn what_is_wrong_with_one_row_stops_no_other() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let good = options(6, vec![], None);
    let bad = GenerateOptions {
        sampling: SamplingConfig {
            temperature: -1.0,
            ..SamplingConfig::default()
        },
        ..good.clone()
    };
    let prompts: [&[u32]; 5] = [&[1, 2, 3], &[], &[50], &[4; 65], &[9]];
    let mut rows: Vec<BatchRow<'_>> = prompts
        .iter()
        .map(|prompt| BatchRow {
            prompt,
            options: &good,
        })
        .collect();
    rows[4].options = &bad;
    let go = &mut |_| ControlFlow::Continue(());
    let results = llama.generate_batch(&rows, go).expect("a batch");
    let expected = alone(&llama, prompts[0], &good);
    assert_eq!(results[0].as_ref().expect("a text").ids, expected.ids);
    assert!(matches!(results[1], Err(Error::EmptyPrompt)));
    assert!(matches!(
        results[2],
        Err(Error::IdOutOfRange { id: 50, .. })
    ));
    assert!(matches!(
        results[3],
        Err(Error::PromptTooLong { over: 1, .. })
    ));
    assert!(matches!(results[4], Err(Error::Sampling(_))));
    assert!(llama.generate_batch(&[], go).expect("nothing").is_empty());
}

#[test]
fn a_batch_that_is_broken_off_says_so() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let short = options(2, vec![], None);
    let long = options(40, vec![], None);
    let rows = [
        BatchRow {
            prompt: &[1],
            options: &short,
        },
        BatchRow {
            prompt: &[2, 3],
            options: &long,
        },
    ];
    let mut steps = 0;
    let results = llama.generate_batch(&rows, &mut |advance| {
        steps += usize::from(matches!(advance, Advance::Tokens(_)));
        match steps {
            5 => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    let results = results.expect("a batch");
    let ended: Vec<_> = results
        .iter()
        .map(|row| row.as_ref().expect("a text"))
        .map(|row| (row.ids.len(), row.finish_reason))
        .collect();
    assert_eq!(
        ended,
        [(2, FinishReason::Length), (5, FinishReason::Interrupted)]
    );
}
