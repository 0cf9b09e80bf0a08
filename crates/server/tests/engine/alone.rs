//! A text does not depend on who else is there, nor on what was read before: not by a single bit.

use std::{num::NonZeroUsize, thread, time::Duration};

use glass_server::engine::{Refused, Request, ServiceOptions};
use glass_testing::Random;

use crate::models::{Kind, PIECE, alone, hold, model, prompt, request, service, texts};

/// Requests of which many begin alike, some at the borders of pieces, and some ask for several texts.
fn requests(random: &mut Random, count: usize, longest: usize) -> Vec<Request> {
    let systems: Vec<Vec<u32>> = (0..3)
        .map(|_| {
            let len = random.below(longest);
            prompt(random, len)
        })
        .collect();
    let requests = (0..count).map(|_| {
        let system = &systems[random.below(systems.len())];
        let mut ids = system[..match random.below(3) {
            0 => random.below(system.len() + 1),
            _ => system.len(),
        }]
            .to_vec();
        let more = match random.below(4) {
            0 => ids.len().next_multiple_of(PIECE) - ids.len(),
            1 => random.below(3),
            _ => random.below(longest / 2),
        };
        ids.extend(prompt(random, more));
        if ids.is_empty() {
            ids.push(1);
        }
        let mut request = request(ids, random.below(14), u64::from(random.bits()));
        request.n = if random.below(4) == 0 { 1 + random.below(3) } else { 1 };
        if random.below(3) == 0 {
            request.options.sampling.temperature = 0.0;
        }
        request
    });
    requests.collect()
}

#[test]
fn every_text_is_that_of_its_single_run() {
    let kinds = [Kind::Full, Kind::Windows, Kind::Experts, Kind::ByLength, Kind::Jamba, Kind::Griffin];
    let cases = kinds.into_iter().flat_map(|kind| {
        let precisions: &[&str] =
            if kind == Kind::ByLength { &["f32"] } else { &["f32", "f16", "bf16", "q8", "q4", "Q8_0"] };
        precisions.iter().map(move |precision| (kind, *precision, ""))
    });
    let policies = ["ring:70", "sinks:4+30", "tova:50", "full"].map(|policy| (Kind::Windows, "f32", policy));
    let mut shared = 0;
    for (case, (kind, precision, policy)) in cases.chain(policies).enumerate() {
        let mut random = Random::new(case as u64);
        let options = ServiceOptions {
            parallel: NonZeroUsize::new([3, 8, 40][case % 3]).expect("not 0"),
            queue: 100,
            step_tokens: NonZeroUsize::new(PIECE * (1 + case % 2)).expect("not 0"),
            cache_memory: [0, 300_000, 1 << 30][random.below(3).min(case)],
            cache: if policy.is_empty() { Default::default() } else { policy.parse().expect("a policy") },
            ..ServiceOptions::default()
        };
        let longest = if kind == Kind::ByLength { 110 } else { 330 };
        let service = service(model(kind, precision), options);
        let requests = requests(&mut random, 30, longest);
        let expected: Vec<_> = requests.iter().map(|request| alone(service.llama(), request, &options)).collect();
        thread::scope(|scope| {
            for (request, expected) in requests.iter().zip(&expected) {
                let wait = Duration::from_micros(random.below(3000) as u64);
                let leaves = random.below(6) == 0;
                let service = &service;
                scope.spawn(move || {
                    thread::sleep(wait * 10);
                    let mut ticket = service.submit(request.clone()).expect("there is room");
                    if leaves {
                        ticket.wait_next();
                        return;
                    }
                    let (found, _) = texts(&mut ticket, request.n);
                    let prompt = request.ids.len();
                    assert_eq!(&found, expected, "{kind:?} {precision} {policy} {options:?}, prompt of {prompt}");
                });
            }
        });
        crate::models::until_idle(&service);
        let stats = service.stats();
        assert_eq!((stats.failed, stats.refused, stats.planned_bytes), (0, 0, 0));
        assert!(stats.cache_bytes <= options.cache_memory, "{stats:?}");
        shared += stats.cached_tokens;
        service.shutdown(Duration::ZERO);
        assert!(matches!(service.submit(requests[0].clone()), Err(Refused::ShuttingDown)));
    }
    assert!(shared > 10_000, "only {shared} tokens were shared");
}

/// More than a pass of few vectors holds, all at once from the first token on.
#[test]
fn forty_texts_written_together_are_their_single_runs() {
    for precision in ["f32", "bf16", "q8", "q4", "Q8_0", "Q4_1"] {
        at_once(Kind::Full, precision, PIECE, |_| 5);
    }
}

/// Prompts of more tokens than are multiplied as if each were alone share passes, some of them with shorter ones beside them.
#[test]
fn long_prompts_read_together_are_their_single_runs() {
    for kind in [Kind::Full, Kind::Windows, Kind::Experts] {
        for precision in ["f32", "f16", "bf16", "q8", "Q8_0"] {
            at_once(kind, precision, 8 * PIECE, |number| 20 + 3 * number);
        }
    }
}

/// Forty requests whose prompts have so many tokens, and which all begin in one step.
fn at_once(kind: Kind, precision: &str, step_tokens: usize, prompt_tokens: impl Fn(usize) -> usize) {
    let options = ServiceOptions {
        parallel: NonZeroUsize::new(40).expect("not 0"),
        step_tokens: NonZeroUsize::new(step_tokens).expect("not 0"),
        ..ServiceOptions::default()
    };
    let service = service(model(kind, precision), options);
    let mut random = Random::new(9);
    let new_tokens = if step_tokens == PIECE { 60 } else { 5 };
    let requests = (0..40).map(|number| {
        let ids = prompt(&mut random, prompt_tokens(number));
        request(ids, new_tokens, number as u64)
    });
    let requests: Vec<Request> = requests.collect();
    let expected: Vec<_> = requests.iter().map(|request| alone(service.llama(), request, &options)).collect();
    let held = hold(&service);
    let tickets = requests.into_iter().map(|request| service.submit(request).expect("there is room"));
    let mut tickets: Vec<_> = tickets.collect();
    drop(held);
    for (number, (ticket, expected)) in tickets.iter_mut().zip(&expected).enumerate() {
        assert_eq!(&texts(ticket, 1).0, expected, "{kind:?} {precision}, text {number}");
    }
}
