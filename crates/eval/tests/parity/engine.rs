//! Texts join and leave an engine between any two steps: each is what it is alone.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_backend::Device;
use glass_generate::{
    Engine, GenerateOptions, Lane, Llama, PrefillOptions, SamplingConfig, Sequence, SequenceId, generate,
};
use glass_testing::devices;

use crate::random_model;

/// A text of the engine: when it joins, and after how many of its tokens it leaves, finished or not.
struct Visit {
    prompt: Vec<u32>,
    options: GenerateOptions,
    joins: usize,
    leaves: usize,
}

fn visits(vocab_size: usize) -> Vec<Visit> {
    let greedy = SamplingConfig::default();
    let drawn = SamplingConfig { temperature: 0.9, top_p: 0.9, repetition_penalty: 1.2, ..SamplingConfig::default() };
    let repeated: Vec<u32> = (0..12).map(|i| i % 4).collect();
    [
        (random_model::tokens(17, 1), greedy.clone(), "full", 0, 0, 99),
        (random_model::tokens(3, 2), drawn.clone(), "ring", 0, 0, 99),
        (repeated.clone(), greedy.clone(), "full", 3, 2, 99),
        (random_model::tokens(30, 3), greedy, "ring:5", 0, 3, 6),
        (repeated, drawn, "sinks:2+6", 2, 5, 99),
    ]
    .into_iter()
    .zip(0..)
    .map(|((prompt, sampling, policy, draft, joins, leaves), seed)| {
        let options = GenerateOptions {
            sampling: SamplingConfig { seed, ..sampling },
            eos_ids: (0..vocab_size as u32).filter(|id| id % 17 == 5).collect(),
            prefill: PrefillOptions {
                cache: policy.parse().expect("a policy"),
                prefill_chunk: NonZeroUsize::new(7).expect("not zero"),
            },
            prompt_lookup: NonZeroUsize::new(draft),
            ..GenerateOptions::new(14)
        };
        Visit { prompt, options, joins, leaves }
    })
    .collect()
}

/// However many tokens a step reads at most.
#[test]
fn texts_that_join_and_leave_are_their_single_runs() {
    for device in devices::all() {
        let llama = random_model::llama(&random_model::config(&[None, Some(6)]), 11, &device);
        let budgets: &[usize] = match devices::is_wgpu(&device) {
            true => &[9],
            false => &[1, 4, 9, usize::MAX],
        };
        for &budget in budgets {
            check_visits(&llama, budget, &device);
        }
    }
}

fn check_visits(llama: &Llama, budget: usize, device: &Device) {
    let visits = visits(llama.config.vocab_size);
    let mut engine = Engine::new(llama).with_step_tokens(budget);
    let mut there: Vec<Option<SequenceId>> = vec![None; visits.len()];
    let mut found: Vec<Vec<u32>> = vec![vec![]; visits.len()];
    for now in 0.. {
        for (visit, id) in visits.iter().zip(&mut there) {
            if visit.joins == now {
                let vocab_size = llama.config.vocab_size;
                let sequence = Sequence::new(&visit.prompt, &visit.options, vocab_size, None);
                let mut lane = Lane::new(llama, visit.options.prefill).expect("a lane");
                let draft = visit.options.prompt_lookup.map_or(0, NonZeroUsize::get);
                lane.reserve_rollback(draft).expect("it can go back");
                let added = engine.add(sequence.expect("a sequence"), lane);
                *id = Some(added.expect("it joins"));
            }
        }
        if !engine.has_work() {
            assert!(now > 5, "everything has ended before the last has joined");
            break;
        }
        let logits = engine.step().expect("a step").read().expect("logits");
        for (id, event) in engine.advance(logits) {
            let number = there.iter().position(|there| *there == Some(id));
            let number = number.expect("it joined");
            found[number].extend(event.expect("a token").id);
            if found[number].len() >= visits[number].leaves {
                engine.remove(id);
            }
        }
    }
    for (number, (visit, mut found)) in visits.iter().zip(found).enumerate() {
        found.truncate(visit.leaves); // the last step may have brought more
        let go_on = &mut |_: glass_generate::Progress<'_>| ControlFlow::Continue(());
        let alone = generate(llama, &visit.prompt, &visit.options, go_on).expect("a text");
        let expected = &alone.ids[..alone.ids.len().min(visit.leaves)];
        let who = format!("text {number}, at most {budget} a step, on {}", device.name());
        assert!(found.len() > 2, "{who}: {found:?}");
        assert_eq!(found, expected, "{who}");
    }
}
