//! How probable a prompt was.

use std::num::NonZeroUsize;

use glass_generate::TokenLogprobs;
use glass_server::engine::{Event, ServiceOptions, Ticket};
use glass_testing::Random;

use crate::models::{Kind, PIECE, hold, model, prompt, request, service, until_idle};

/// What was told of a prompt, before any token; and the tokens.
fn told(ticket: &mut Ticket) -> (Vec<TokenLogprobs>, Vec<u32>) {
    let (mut told, mut ids) = (Vec::new(), Vec::new());
    while let Some(event) = ticket.wait_next() {
        match event {
            Event::Prompt(more) => {
                assert!(ids.is_empty(), "tokens come behind it");
                told.extend(more);
            }
            Event::Token { id, .. } => ids.extend(id),
            Event::Started { cached_tokens } => assert_eq!(cached_tokens, 0),
            Event::Finished { .. } => {}
            Event::Failed { reason, .. } => panic!("{reason}"),
        }
    }
    (told, ids)
}

/// Every token but the first, bit for bit the same in any company, whatever is kept of its beginning.
#[test]
fn a_prompt_is_told_as_if_it_were_alone() {
    let [parallel, step_tokens] = [10, PIECE].map(|n| NonZeroUsize::new(n).expect("not 0"));
    for (kind, precision) in [(Kind::Full, "f32"), (Kind::Windows, "q8"), (Kind::Experts, "bf16")] {
        let service =
            service(model(kind, precision), ServiceOptions { parallel, step_tokens, ..ServiceOptions::default() });
        let mut random = Random::new(1);
        for length in [2, 20, 3 * PIECE + 7] {
            let ids = prompt(&mut random, length);
            let plain = request(ids.clone(), 5, 1);
            let mut asks = plain.clone();
            asks.prompt_logprobs = Some(2);
            let (alone, new) = told(&mut service.submit(asks.clone()).expect("it is free"));
            let following: Vec<u32> = alone.iter().map(|told| told.id).collect();
            assert_eq!(following, ids[1..]);
            assert!(alone.iter().all(|told| told.top.len() == 2 && told.top[0].1 >= told.logprob));
            assert_eq!(told(&mut service.submit(plain).expect("it is free")), (vec![], new.clone()));

            let held = hold(&service);
            let mut others: Vec<Ticket> = (0..8)
                .map(|number| {
                    service.submit(request(prompt(&mut random, 3 + 20 * number), 40, 7)).expect("there is room")
                })
                .collect();
            let mut ticket = service.submit(asks).expect("there is room");
            drop(held);
            assert_eq!(told(&mut ticket), (alone, new), "{kind:?} {precision} {length}");
            others.iter_mut().for_each(|other| assert_eq!(told(other).1.len(), 40));
        }
        until_idle(&service);
        assert_eq!(service.stats().failed, 0);
    }
}
