//! Texts of a batch against the same texts alone, on every backend.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::{Device, Dtype};
use glass_generate::{
    BatchRow, Error, FinishReason, GenerateOptions, Generated, Llama, PrefillOptions, Progress, SamplingConfig,
    generate, generate_batch,
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
    GenerateOptions { sampling, eos_ids, score: true, ..GenerateOptions::new(max_new_tokens) }
}

fn alone(llama: &Llama, prompt: &[u32], options: &GenerateOptions) -> Generated {
    generate(llama, prompt, options, &mut |_| ControlFlow::Continue(())).expect("generated")
}

/// The texts of a batch in the order of its rows, and the order in which they ended. Rows that were not begun have none.
fn batch(
    llama: &Llama,
    rows: &[BatchRow<'_>],
    at_once: usize,
    progress: &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
) -> (Vec<Option<Result<Generated, Error>>>, Vec<usize>) {
    let mut results: Vec<_> = rows.iter().map(|_| None).collect();
    let mut order = Vec::new();
    let mut batch = generate_batch(llama, rows.iter().copied(), NonZeroUsize::new(at_once).expect("not zero"));
    while let Some((index, result)) = batch.next(progress).expect("a batch") {
        assert!(results[index].replace(result).is_none(), "row {index} ends twice");
        order.push(index);
    }
    (results, order)
}

fn together(llama: &Llama, rows: &[(Vec<u32>, GenerateOptions)]) -> (Vec<Generated>, usize) {
    let rows: Vec<BatchRow<'_>> = rows.iter().map(|(prompt, options)| BatchRow { prompt, options }).collect();
    let mut written = 0;
    // Some join when others leave.
    let (results, order) = batch(llama, &rows, 3, &mut |progress| {
        written += usize::from(is_token(progress));
        ControlFlow::Continue(())
    });
    assert_eq!(order.len(), rows.len());
    let results = results.into_iter().map(|row| row.expect("it ended").expect("a text"));
    (results.collect(), written)
}

fn is_token(progress: Progress<'_>) -> bool {
    matches!(progress, Progress::Text { id: Some(_), .. })
}

fn check(llama: &Llama, rows: &[(Vec<u32>, GenerateOptions)], who: &str) -> Vec<Generated> {
    let (found, _) = together(llama, rows);
    assert_eq!(found.len(), rows.len(), "{who}");
    for (number, ((prompt, options), found)) in rows.iter().zip(&found).enumerate() {
        let expected = alone(llama, prompt, options);
        assert_eq!(found.ids, expected.ids, "{who}, row {number}");
        assert_eq!(found.finish_reason, expected.finish_reason, "{who}");
        assert_eq!(found.prompt_tokens, expected.prompt_tokens, "{who}");
        let scores = found.score.zip(expected.score).expect("they were asked for");
        let off = (scores.0 - scores.1).abs();
        let limit = if devices::is_wgpu(&llama.device) { 2e-3 } else { 2e-4 };
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
        false => &["llama-gqa", "mistral-swa", "qwen2-mixed-window", "extra/extra-yarn"],
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
fn every_text_of_a_batch_is_its_single_run() {
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

/// A CPU's kernels for many vectors add up in another order than those for a few: a text has the bits that it has alone all the
/// same, in every type.
#[test]
fn prompts_that_are_read_together_have_the_bits_that_they_have_alone() {
    let device = Device::open("flex").expect("it is built in");
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        let llama = fixture::load(&fixture::root().join("llama-gqa"), false, &device, dtype);
        let prompts = (0..20).map(|number| random_model::tokens(3 + 11 * number % 80, number as u64));
        let rows: Vec<_> = prompts.map(|prompt| (prompt, options(6, vec![], Some(3)))).collect();
        let batched: Vec<BatchRow<'_>> = rows.iter().map(|(prompt, options)| BatchRow { prompt, options }).collect();
        let (found, _) = batch(&llama, &batched, 16, &mut |_| ControlFlow::Continue(()));
        for ((prompt, options), found) in rows.iter().zip(found) {
            let (expected, found) = (alone(&llama, prompt, options), found.expect("it ended").expect("a text"));
            assert_eq!((found.ids, found.score), (expected.ids, expected.score), "{dtype}, {} tokens", prompt.len());
        }
    }
}

/// Whatever their layers keep, and in whatever chunks their prompts are read: any mix goes together.
#[test]
fn texts_with_any_policies_go_together() {
    for device in devices::all() {
        for windows in [&[None, None][..], &[Some(5), None]] {
            let llama = random_model::llama(&random_model::config(windows), 9, &device);
            let policies = [("full", 512), ("ring", 4), ("ring:4", 7), ("sinks:2+3", 5), ("tova:6", 3)];
            let (shifts, some) = if devices::is_wgpu(&device) { (1, 4) } else { (5, 6) };
            for shift in 0..shifts {
                let mut rows = rows(50, 3, false);
                let policies = policies.iter().cycle().skip(shift);
                for ((_, options), (cache, chunk)) in rows.iter_mut().zip(policies) {
                    options.prefill = PrefillOptions {
                        cache: cache.parse().expect("a policy"),
                        prefill_chunk: NonZeroUsize::new(*chunk).expect("not zero"),
                    };
                }
                let who = format!("{windows:?} from {shift} on, on {}", device.name());
                check(&llama, &rows[..some], &who);
            }
        }
    }
}

/// Beyond the trained context their angles follow from each text's own length, whatever is in the same pass.
#[test]
fn angles_depend_on_the_length_of_no_other_text() {
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
            check(&llama, &rows[..some], &format!("{name} on {}", device.name()));
        }
    }
}

#[test]
fn a_text_that_is_finished_leaves() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let rows: Vec<_> = [(5, 1), (9, 30), (2, 4), (3, 0)]
        .into_iter()
        .map(|(length, new)| (random_model::tokens(length, new as u64), options(new, vec![], None)))
        .collect();
    let (found, written) = together(&llama, &rows);
    let lengths: Vec<usize> = found.iter().map(|found| found.ids.len()).collect();
    assert_eq!(lengths, [1, 30, 4, 0]);
    // Nobody chose a token for a row that was over.
    assert_eq!(written, 35);
    // Each has its own cache, as large as if it were alone.
    for ((prompt, options), found) in rows.iter().zip(&found) {
        assert_eq!(found.cache_bytes, alone(&llama, prompt, options).cache_bytes);
    }
}

#[test]
fn an_error_of_one_text_stops_no_other() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let good = options(6, vec![], None);
    let bad =
        GenerateOptions { sampling: SamplingConfig { temperature: -1.0, ..SamplingConfig::default() }, ..good.clone() };
    let prompts: [&[u32]; 5] = [&[1, 2, 3], &[], &[50], &[4; 65], &[9]];
    let mut rows: Vec<BatchRow<'_>> = prompts.iter().map(|prompt| BatchRow { prompt, options: &good }).collect();
    rows[4].options = &bad;
    let go = &mut |_: Progress<'_>| ControlFlow::Continue(());
    for at_once in [1, 2, 8] {
        let (results, _) = batch(&llama, &rows, at_once, go);
        let results: Vec<_> = results.into_iter().map(|row| row.expect("it ended")).collect();
        let expected = alone(&llama, prompts[0], &good);
        assert_eq!(results[0].as_ref().expect("a text").ids, expected.ids);
        assert!(matches!(results[1], Err(Error::EmptyPrompt)));
        assert!(matches!(results[2], Err(Error::IdOutOfRange { id: 50, .. })));
        assert!(matches!(results[3], Err(Error::PromptTooLong { over: 1, .. })));
        assert!(matches!(results[4], Err(Error::Sampling(_))));
        assert!(batch(&llama, &[], at_once, go).1.is_empty());
    }
}

#[test]
fn a_batch_that_is_broken_off_says_so() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let short = options(2, vec![], None);
    let long = options(40, vec![], None);
    let row = |prompt, options| BatchRow { prompt, options };
    let rows = [row(&[1][..], &short), row(&[2, 3], &long), row(&[4], &long), row(&[5], &long)];
    let mut tokens = 0;
    let (results, _) = batch(&llama, &rows, 2, &mut |progress| {
        tokens += usize::from(is_token(progress));
        match tokens {
            9 => ControlFlow::Break(()), // two of the first, five of the second, three of the third, which joined
            _ => ControlFlow::Continue(()),
        }
    });
    let ended: Vec<_> = results
        .iter()
        .map(|row| row.as_ref().map(|row| row.as_ref().expect("a text")))
        .map(|row| row.map(|row| (row.ids.len(), row.finish_reason)))
        .collect();
    let interrupted = |tokens| Some((tokens, FinishReason::Interrupted));
    assert_eq!(ended, [Some((2, FinishReason::Length)), interrupted(5), interrupted(3), None]);
}

/// No place stays empty while a prompt waits, and a long text holds up no other.
#[test]
fn the_next_prompt_takes_the_place_of_a_finished_text() {
    let llama = random_model::llama(&random_model::config(&[None]), 9, &devices::flex());
    let lengths = [30, 2, 3, 1, 4, 0, 2];
    let rows: Vec<_> = lengths.into_iter().map(|new| (vec![1, 2, new as u32], options(new, vec![], None))).collect();
    let rows: Vec<BatchRow<'_>> = rows.iter().map(|(prompt, options)| BatchRow { prompt, options }).collect();
    let mut tokens = Vec::new();
    let (_, order) = batch(&llama, &rows, 2, &mut |progress| {
        if let Progress::Text { index, id: Some(_), .. } = progress {
            tokens.push(index);
        }
        ControlFlow::Continue(())
    });
    assert_eq!(order, [1, 2, 3, 4, 5, 6, 0]);
    // In every pass a token of the first, and one of another while there is one; the sixth asks for none.
    let beside = [1, 1, 2, 2, 2, 3, 4, 4, 4, 4];
    let beside = beside.into_iter().flat_map(|other| [0, other]).chain([0]).chain([0, 6, 0, 6]).chain([0; 17]);
    assert_eq!(tokens, beside.collect::<Vec<_>>());
}
