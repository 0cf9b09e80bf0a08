//! Drafts from the text so far change how a text is computed, and nothing of the text.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::{Device, Dtype};
use glass_generate::{
    GenerateOptions, Generated, Llama, PrefillOptions, Progress, Sampler, SamplingConfig, SequenceBias, log_softmax_at,
};
use glass_kv_cache::CacheConfig;
use glass_testing::devices;

use crate::fixture;

fn generate(
    llama: &Llama,
    prompt: &[u32],
    tokens: usize,
    sampling: SamplingConfig,
    cache: CacheConfig,
    draft: usize,
) -> Generated {
    let options = GenerateOptions {
        sampling,
        prefill: PrefillOptions { cache, ..PrefillOptions::default() },
        score: true,
        prompt_lookup: NonZeroUsize::new(draft),
        ..GenerateOptions::new(tokens)
    };
    let go_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
    glass_generate::generate(llama, prompt, &options, go_on).expect("generated")
}

/// A prompt that says the same thing twice.
fn twice(llama: &Llama) -> Vec<u32> {
    let vocab = llama.config.vocab_size as u32;
    let once: Vec<u32> = (0..9).map(|i| (i * i * 7 + 3) % vocab).collect();
    [&once[..], &once].concat()
}

#[test]
fn the_greedy_text_is_the_same() {
    for device in devices::all() {
        let (mut drafted, mut accepted) = (0, 0);
        for folder in fixture::all() {
            let llama = fixture::load(&folder, false, &device, Dtype::F32);
            let greedy = |draft| {
                let sampling = SamplingConfig::default();
                generate(&llama, &twice(&llama), 40, sampling, CacheConfig::default(), draft)
            };
            let plain = greedy(0);
            assert_eq!(plain.speculation, None);
            let drafts: &[usize] = match devices::is_wgpu(&device) {
                true => &[3],
                false => &[1, 3, 20],
            };
            for &draft in drafts {
                let found = greedy(draft);
                let who = format!("{} on {}, {draft}", fixture::name(&folder), device.name());
                assert_eq!(found.ids, plain.ids, "{who}");
                let off = found.score.zip(plain.score).map(|(a, b)| (a - b).abs());
                assert!(off.is_some_and(|off| off < 1e-2), "{who}");
                let speculation = found.speculation.expect("it was asked for");
                assert!(speculation.accepted <= speculation.drafted, "{who}");
                assert_eq!(speculation.passes + speculation.accepted, 39, "{who}");
                drafted += speculation.drafted;
                accepted += speculation.accepted;
            }
        }
        assert!(accepted > 100 && drafted > accepted, "{accepted} of {drafted}");
    }
}

/// With every policy that can go back, and every rule that looks at the text behind each draft token.
#[test]
fn a_seed_draws_the_same_text() {
    let device = Device::open("flex").expect("it is built in");
    let (mut drafted, mut accepted) = (0, 0);
    for name in ["llama-gqa", "mistral-swa", "qwen2-mixed-window"] {
        let llama = fixture::load(&fixture::root().join(name), false, &device, Dtype::F32);
        for cache in ["full", "ring", "ring:5", "sinks:2+6"] {
            for seed in 0..6 {
                let sampling = SamplingConfig {
                    temperature: 0.2,
                    typical_p: 0.9,
                    repetition_penalty: 0.8,
                    presence_penalty: 0.3,
                    frequency_penalty: 0.1,
                    no_repeat_ngram_size: 8,
                    seed,
                    ..SamplingConfig::default()
                };
                let draw = |draft| {
                    let cache = cache.parse().expect("a policy");
                    generate(&llama, &twice(&llama), 50, sampling.clone(), cache, draft)
                };
                let found = draw(5);
                assert_eq!(found.ids, draw(0).ids, "{name} {cache} {seed}");
                let speculation = found.speculation.expect("it was asked for");
                drafted += speculation.drafted;
                accepted += speculation.accepted;
            }
        }
    }
    assert!(accepted > 100 && drafted > accepted + 100, "{accepted} of {drafted}");
}

/// Three tokens of four, in all 64 ways, against the product of the probabilities that passes over the whole text give.
#[test]
fn draws_follow_the_models_distribution() {
    const IDS: [u32; 4] = [3, 40, 77, 101];
    const DRAWS: u64 = 6000;
    let device = Device::open("flex").expect("it is built in");
    let llama = fixture::load(&fixture::root().join("mistral-swa"), false, &device, Dtype::F32);
    let prompt: Vec<u32> = (0..20usize).map(|i| IDS[i * i * i % 7 % 4]).collect();
    // The four are so much more probable that the rest is cut.
    let sampling = |seed| SamplingConfig {
        temperature: 4.0,
        top_k: 4,
        sequence_bias: IDS.map(|id| SequenceBias { ids: vec![id], bias: 20.0 }).to_vec(),
        repetition_penalty: 1.02,
        seed,
        ..SamplingConfig::default()
    };

    let mut counts = [0u32; 64];
    let (mut drafted, mut accepted) = (0, 0);
    let place = |id: u32| IDS.iter().position(|&own| own == id).expect("one of the four");
    for seed in 0..DRAWS {
        let found = generate(&llama, &prompt, 3, sampling(seed), CacheConfig::default(), 4);
        counts[found.ids.iter().fold(0, |cell, &id| 4 * cell + place(id))] += 1;
        let speculation = found.speculation.expect("it was asked for");
        drafted += speculation.drafted;
        accepted += speculation.accepted;
    }
    assert!(accepted > 700 && drafted > accepted + 700, "{accepted} of {drafted}");

    let mut sampler = Sampler::new(sampling(0)).expect("a sampler");
    let mut after = |text: &[u32]| -> [f64; 4] {
        let logits = fixture::forward(&llama, &[text.to_vec()], None)["logits"].clone();
        let mut row = logits.values[logits.values.len() - llama.config.vocab_size..].to_vec();
        sampler.reshape(&mut row, text).expect("a distribution");
        IDS.map(|id| log_softmax_at(&row, id).exp())
    };
    let mut expected = [0.0; 64];
    for first in 0..4 {
        let p1 = after(&prompt)[first];
        let text = [&prompt[..], &[IDS[first]]].concat();
        for second in 0..4 {
            let p2 = after(&text)[second];
            let p3 = after(&[&text[..], &[IDS[second]]].concat());
            for third in 0..4 {
                expected[first * 16 + second * 4 + third] = p1 * p2 * p3[third] * DRAWS as f64;
            }
        }
    }
    assert!(expected.iter().all(|&count| count > 5.0), "{expected:?}");
    let statistic: f64 =
        counts.iter().zip(expected).map(|(&count, expected)| (f64::from(count) - expected).powi(2) / expected).sum();
    // A right sampler exceeds this once in a thousand sets of seeds (63 degrees of freedom).
    assert!(statistic < 103.4, "{statistic}");
}

#[test]
fn a_cache_that_cannot_go_back_is_refused() {
    let device = Device::open("flex").expect("it is built in");
    let llama = fixture::load(&fixture::root().join("llama-gqa"), false, &device, Dtype::F32);
    let options = GenerateOptions {
        prefill: PrefillOptions { cache: "tova:16".parse().expect("a policy"), ..PrefillOptions::default() },
        prompt_lookup: NonZeroUsize::new(3),
        ..GenerateOptions::new(5)
    };
    let go_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
    let error = glass_generate::generate(&llama, &[1, 2, 3], &options, go_on);
    let error = error.expect_err("it is refused");
    let error = error.to_string();
    assert!(error.contains("tova cannot go back"), "{error}");
}
