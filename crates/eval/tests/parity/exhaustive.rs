//! Searches against everything there is.

use std::ops::ControlFlow;

use glass_generate::{
    BeamOptions, BeamOutput, EarlyStopping, ExhaustiveOptions, FinishReason, GenerateOptions, Llama, exhaustive_search,
    generate, score,
};
use glass_testing::devices;

use crate::search::{count, log_prob, search, tiny, tolerance};

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
