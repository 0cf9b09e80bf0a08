//! Texts by rules that look at the text so far, and their log-probabilities, as `transformers` has them.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::Dtype;
use glass_generate::{GenerateOptions, Progress, SamplingConfig, SequenceBias, generate};
use glass_testing::devices;

use crate::fixture;

/// Rules, the new ids, and the most probable tokens at the fourth of them with their log-probabilities.
type Case = (SamplingConfig, [u32; 24], [(u32, f64); 4]);

/// What `model.generate` of transformers 5.23.0 makes of the fixture llama-gqa in float32, `do_sample=False`, no end of
/// sequence, with the fields of the case; and `log_softmax` of its `output_logits` in float64 at the fourth new token.
#[test]
fn greedy_texts_by_rules_are_those_of_the_reference() {
    let greedy = SamplingConfig::default();
    let bias = |ids: &[u32], bias| SequenceBias { ids: ids.to_vec(), bias };
    let before = [(67, -1.94471), (76, -2.0311), (40, -2.87772), (104, -3.00128)];
    let cases: [Case; 4] = [
        (
            SamplingConfig { repetition_penalty: 1.3, ..greedy.clone() },
            [43, 72, 55, 67, 71, 76, 104, 46, 93, 67, 80, 36, 114, 43, 124, 120, 99, 104, 21, 96, 103, 101, 48, 59],
            before,
        ),
        (
            SamplingConfig { no_repeat_ngram_size: 2, ..greedy.clone() },
            [43, 72, 55, 67, 71, 76, 76, 104, 46, 76, 56, 67, 117, 67, 80, 36, 67, 21, 36, 104, 72, 67, 46, 71],
            before,
        ),
        (
            SamplingConfig { no_repeat_ngram_size: 3, repetition_penalty: 0.7, ..greedy.clone() },
            [43, 72, 55, 67, 71, 76, 76, 67, 99, 67, 99, 90, 59, 114, 112, 76, 72, 59, 114, 23, 67, 92, 76, 92],
            before,
        ),
        (
            SamplingConfig {
                sequence_bias: vec![bias(&[9, 5], 6.0), bias(&[100], 1.0), bias(&[5], -2.0)],
                repetition_penalty: 0.7,
                ..greedy
            },
            [5, 34, 124, 34, 77, 34, 48, 44, 46, 72, 55, 77, 21, 94, 72, 87, 48, 44, 87, 48, 44, 100, 100, 100],
            [(34, -2.12221), (87, -2.57681), (74, -2.73814), (27, -2.94856)],
        ),
    ];
    for device in devices::all() {
        let llama = fixture::load(&fixture::root().join("llama-gqa"), false, &device, Dtype::F32);
        for (sampling, ids, top) in &cases {
            for draft in [0, 3] {
                let options = GenerateOptions {
                    sampling: sampling.clone(),
                    score: true,
                    logprobs: Some(4),
                    prompt_lookup: NonZeroUsize::new(draft),
                    ..GenerateOptions::new(ids.len())
                };
                let go_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
                let found = generate(&llama, &[5, 9, 77, 5, 9], &options, go_on);
                let found = found.expect("generated");
                let who = format!("{sampling:?} on {}", device.name());
                assert_eq!(found.ids, ids, "{who}");
                let logprobs = found.logprobs.expect("they were asked for");
                assert_eq!(logprobs.len(), ids.len(), "{who}");
                for (found, (id, logprob)) in logprobs[3].top.iter().zip(top) {
                    assert_eq!(found.0, *id, "{who}");
                    assert!((found.1 - logprob).abs() < 1e-3, "{who}: {found:?}");
                }
                let sum: f64 = logprobs.iter().map(|at| at.logprob).sum();
                let score = found.score.expect("it was asked for");
                assert!((sum - score).abs() < 1e-9, "{who}");
            }
        }
    }
}
