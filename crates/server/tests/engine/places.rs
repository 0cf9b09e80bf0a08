//! Who gets a place, who waits, who is refused; and how it ends.

use std::{num::NonZeroUsize, time::Duration};

use glass_generate::FinishReason;
use glass_server::engine::{Event, Refused, ServiceOptions};
use glass_testing::Random;

use crate::models::{Kind, PIECE, hold, model, prompt, request, service, texts, until_idle};

/// New tokens of a text that does not end.
const ENDLESS: usize = 100_000_000;

fn options(parallel: usize, queue: usize) -> ServiceOptions {
    let [parallel, step_tokens] = [parallel, PIECE].map(|n| NonZeroUsize::new(n).expect("not 0"));
    ServiceOptions { parallel, queue, step_tokens, ..ServiceOptions::default() }
}

#[test]
fn who_leaves_gives_the_place_back_before_the_next_step() {
    let service = service(model(Kind::Endless, "f32"), options(1, 3));
    let mut long = service.submit(request(vec![1; 30], ENDLESS, 1)).expect("it is free");
    long.wait_next();
    let waits_and_leaves = service.submit(request(vec![1; 30], ENDLESS, 1)).expect("there is room");
    let mut next = service.submit(request(vec![2; 30], 1, 1)).expect("there is room");
    let held = hold(&service);
    let steps = service.stats().steps;
    drop((long, waits_and_leaves));
    drop(held);
    texts(&mut next, 1);
    until_idle(&service);
    let stats = service.stats();
    assert_eq!((stats.steps, stats.abandoned, stats.finished), (steps + 1, 2, 1));
}

#[test]
fn what_does_not_fit_is_refused_with_the_reason() {
    let service = service(model(Kind::Full, "f32"), ServiceOptions { memory: Some(512 * 100), ..options(2, 1) });
    let refused = |ids: Vec<u32>, new, n| {
        let mut request = request(ids, new, 1);
        request.n = n;
        service.submit(request).expect_err("it does not fit")
    };
    assert!(matches!(refused(vec![1; 1025], 1, 1), Refused::TooLong { tokens: 1025, context: 1024 }));
    assert!(matches!(refused(vec![1; 60], 42, 1), Refused::TooLarge { bytes: 51_712, memory: 51_200 }));
    assert!(matches!(refused(vec![1; 30], 21, 0), Refused::Choices { n: 0, parallel: 2 }));
    assert!(matches!(refused(vec![1; 30], 21, 3), Refused::Choices { n: 3, parallel: 2 }));
    assert!(matches!(refused(vec![1, 97], 5, 1), Refused::Bad(error) if error.to_string().contains("97")));
    assert!(matches!(refused(vec![], 5, 1), Refused::Bad(_)));
    let mut odd = request(vec![1], 5, 1);
    odd.options.sampling.temperature = -1.0;
    assert!(matches!(service.submit(odd), Err(Refused::Bad(_))));

    let ask = || service.submit(request(vec![1; 10], 80, 1));
    let held = hold(&service);
    let mut taken: Vec<_> = (0..3).map(|_| ask().expect("two places and one to wait")).collect();
    let Err(Refused::QueueFull { retry_after, .. }) = ask() else { panic!("it is full") };
    assert!(retry_after >= Duration::from_secs(1));
    drop(held);
    // Two would have places, but keys and values of one fit.
    while service.stats().finished < 3 {
        assert!(service.stats().planned_bytes <= 51_200 && service.stats().running <= 1);
        std::thread::yield_now();
    }
    for ticket in &mut taken {
        let (texts, _) = texts(ticket, 1);
        assert_eq!(texts[0].ids.len(), 80);
    }
    ask().expect("there is room again");
}

#[test]
fn the_context_ends_a_text() {
    let service = service(model(Kind::Full, "f32"), ServiceOptions { context: NonZeroUsize::new(40), ..options(2, 1) });
    let (found, _) = texts(&mut service.submit(request(vec![1; 38], usize::MAX, 1)).expect("it fits"), 1);
    assert_eq!((found[0].ids.len(), found[0].reason), (3, FinishReason::Length));
    let (found, usage) = texts(&mut service.submit(request(vec![1; 38], 0, 1)).expect("it fits"), 1);
    assert_eq!((found[0].ids.len(), usage.prompt_tokens), (0, 38));
}

/// A long prompt keeps the others waiting for a piece at a time.
#[test]
fn a_long_prompt_does_not_stall_the_others() {
    let service = service(model(Kind::Endless, "f32"), options(4, 4));
    let mut writes = service.submit(request(vec![1; 5], ENDLESS, 1)).expect("it is free");
    for _ in 0..20 {
        let Some(Event::Token { .. } | Event::Started { .. }) = writes.wait_next() else { panic!("it goes on") };
    }
    let mut long = service.submit(request(prompt(&mut Random::new(1), 900), 1, 1)).expect("there is room");
    let (_, usage) = texts(&mut long, 1);
    assert_eq!(usage.cached_tokens, 0);
    drop(writes);
    until_idle(&service);
    let stats = service.stats();
    // Each of the 15 pieces came with a token of the other text: no step was without.
    assert!(stats.generated_tokens > stats.steps, "{stats:?}");
}

#[test]
fn at_the_end_those_that_run_finish_or_hear_of_it() {
    let service = service(model(Kind::Full, "f32"), options(1, 3));
    let mut runs = service.submit(request(vec![1; 5], 300, 1)).expect("it is free");
    let mut waits = service.submit(request(vec![1; 5], 300, 1)).expect("there is room");
    service.shutdown(Duration::from_secs(600));
    assert!(!service.is_running());
    for ticket in [&mut runs, &mut waits] {
        let (texts, _) = texts(ticket, 1);
        assert_eq!(texts[0].ids.len(), 300);
    }

    let service = self::service(model(Kind::Endless, "f32"), options(1, 3));
    let mut runs = service.submit(request(vec![1; 5], ENDLESS, 1)).expect("it is free");
    let waits = service.submit(request(vec![1; 5], ENDLESS, 1)).expect("there is room");
    runs.wait_next();
    service.shutdown(Duration::ZERO);
    for mut ticket in [runs, waits] {
        let mut last = None;
        while let Some(event) = ticket.wait_next() {
            last = Some(event);
        }
        assert!(matches!(last, Some(Event::Failed { .. })), "{last:?}");
    }
    assert!(service.run(|_| 1).blocking_recv().is_err());
    assert!(matches!(service.submit(request(vec![1], 1, 1)), Err(Refused::ShuttingDown)));
    // A service that is dropped ends, too.
    let service = self::service(model(Kind::Endless, "f32"), options(1, 3));
    let mut runs = service.submit(request(vec![1; 5], ENDLESS, 1)).expect("it is free");
    drop(service);
    while runs.wait_next().is_some() {}
}

#[test]
fn a_job_that_panics_takes_nothing_with_it() {
    let service = service(model(Kind::Full, "f32"), options(1, 3));
    let layers = service.run(|llama| llama.config.layers.len()).blocking_recv();
    assert_eq!(layers, Ok(2));
    assert!(service.run(|_| -> usize { panic!("a job's own") }).blocking_recv().is_err());
    texts(&mut service.submit(request(vec![1; 5], 3, 1)).expect("it goes on"), 1);
}
