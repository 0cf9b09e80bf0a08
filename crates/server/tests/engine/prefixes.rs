//! Beginnings that were read before.

use std::{num::NonZeroUsize, time::Duration};

use glass_server::engine::{Reuse, Service, ServiceOptions};
use glass_testing::Random;

use crate::models::{Kind, PIECE, Text, alone, model, prompt, request, service, texts, until_idle};

fn options(reuse: Reuse) -> ServiceOptions {
    let step_tokens = NonZeroUsize::new(PIECE).expect("not 0");
    ServiceOptions { step_tokens, reuse, ..ServiceOptions::default() }
}

/// A text, and how many tokens of its prompt were there.
fn ask(service: &Service, ids: &[u32]) -> (Text, usize) {
    let mut ticket = service.submit(request(ids.to_vec(), 9, 3)).expect("there is room");
    let (mut texts, usage) = texts(&mut ticket, 1);
    (texts.swap_remove(0), usage.cached_tokens)
}

#[test]
fn the_turns_of_many_chats_each_find_theirs() {
    for kind in [Kind::Full, Kind::Windows, Kind::Jamba, Kind::Griffin] {
        for reuse in [Reuse::Exact, Reuse::Everything] {
            let mut random = Random::new(1);
            let service = service(model(kind, "f32"), options(reuse));
            let system = prompt(&mut random, 150);
            let mut chats: Vec<Vec<u32>> = (0..5).map(|_| system.clone()).collect();
            let mut read = [0; 5];
            for turn in 0..4 {
                for (user, chat) in chats.iter_mut().enumerate() {
                    let before = chat.len();
                    let len = 20 + random.below(90);
                    chat.extend(prompt(&mut random, len));
                    let (text, cached) = ask(&service, chat);
                    let least = match (turn, user, reuse) {
                        (0, 0, _) => 0,
                        // The system's prompt, from another user.
                        (0, ..) => 150 / PIECE * PIECE,
                        (.., Reuse::Exact) => read[user] / PIECE * PIECE,
                        // The last new token was not read.
                        (.., Reuse::Everything) => before - 1,
                    };
                    assert!(
                        cached >= least && cached < chat.len(),
                        "{kind:?} {reuse:?} {turn} {user}: {cached}, {least}"
                    );
                    read[user] = chat.len();
                    chat.extend(text.ids);
                }
            }
        }
    }
}

/// One after the other and all at once: the second finds what the first has read, or waits for it.
#[test]
fn a_beginning_is_read_once() {
    for kind in [Kind::Full, Kind::Windows, Kind::Jamba, Kind::Griffin] {
        let mut random = Random::new(2);
        let service = service(model(kind, "f32"), options(Reuse::Exact));
        let system = prompt(&mut random, 5 * PIECE + 10);
        let prompts: Vec<Vec<u32>> =
            (0..8).map(|_| [system.clone(), prompt(&mut random, 2 * PIECE)].concat()).collect();
        let mut tickets: Vec<_> =
            prompts.iter().map(|ids| service.submit(request(ids.clone(), 5, 1)).expect("there is room")).collect();
        for (number, ticket) in tickets.iter_mut().enumerate() {
            let (_, usage) = texts(ticket, 1);
            let expected = if number == 0 { 0 } else { 5 * PIECE };
            assert_eq!(usage.cached_tokens, expected, "{kind:?} {number}");
        }
    }
}

/// Texts of one prompt: it is read once, and each is that of its own seed.
#[test]
fn choices_share_their_prompt() {
    let options = options(Reuse::Exact);
    for kind in [Kind::Full, Kind::Windows, Kind::Jamba, Kind::Griffin] {
        let service = service(model(kind, "q8"), options);
        let mut request = request(prompt(&mut Random::new(3), 300), 12, 40);
        request.n = 5;
        let expected = alone(service.llama(), &request, &options);
        assert_ne!(expected[0].ids, expected[1].ids);
        let (found, usage) = texts(&mut service.submit(request).expect("there is room"), 5);
        assert_eq!(found, expected);
        assert_eq!((usage.prompt_tokens, usage.cached_tokens), (300, 0));
        until_idle(&service);
        // Five pieces, and a step for each token but the first.
        assert_eq!(service.stats().steps, 5 + 11, "{kind:?}");
    }
}

#[test]
fn the_oldest_goes_first_and_memory_is_bounded() {
    let mut random = Random::new(4);
    let llama = model(Kind::Full, "f32");
    // Keys and values of 2 heads in 2 layers: 512 bytes a token.
    let three = (3 * 2 * PIECE * 512) as u64;
    let service = service(llama, ServiceOptions { cache_memory: three, ..options(Reuse::Exact) });
    let prompts: Vec<Vec<u32>> = (0..4).map(|_| prompt(&mut random, 2 * PIECE + 5)).collect();
    let cached = |index: usize| ask(&service, &prompts[index]).1;
    assert_eq!([cached(0), cached(1), cached(2)], [0, 0, 0]);
    assert_eq!(service.stats().cache_bytes, three);
    assert_eq!(cached(0), 2 * PIECE);
    assert_eq!(cached(3), 0, "it takes the place of the second");
    assert_eq!([cached(0), cached(2), cached(3)], [2 * PIECE; 3]);
    assert_eq!(cached(1), 0);
    until_idle(&service);
    assert_eq!((service.stats().cache_bytes, service.stats().cache_entries), (three, 3));
    service.shutdown(Duration::ZERO);
}
