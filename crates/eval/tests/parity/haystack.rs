//! Haystacks, and what counts as found in them; no model is needed.

use std::{collections::BTreeSet, num::NonZeroUsize};

use glass_eval::{FillerTokens, Guess, Haystack, HaystackError, NeedleScore, NeedleTest, Task};
use proptest::prelude::*;

fn n(number: usize) -> NonZeroUsize {
    NonZeroUsize::new(number).unwrap()
}

fn single(key: usize, value: usize, depth: f64) -> Task {
    let [key, value] = [key, value].map(n);
    Task::Single { key, value, depth }
}

fn chain(key: usize, hops: usize) -> Task {
    let [key, hops] = [key, hops].map(n);
    Task::Chain { key, hops }
}

/// Ids 3 to 3 + `usable` - 1 behind BOS = 1.
fn filler(usable: u32) -> FillerTokens {
    FillerTokens { front: vec![1], usable: (3..3 + usable).collect(), text: None }
}

fn haystack(task: Task, length: usize, filler: &FillerTokens) -> Haystack {
    Haystack::new(task, length, filler, 7, 0).unwrap()
}

/// Where `tokens` stand in `ids`.
fn places(ids: &[u32], tokens: &[u32]) -> Vec<usize> {
    let all = ids.windows(tokens.len()).enumerate();
    all.filter(|(_, window)| *window == tokens).map(|(place, _)| place).collect()
}

/// Reads with nothing but its eyes: looks for the only other place of the last `cue` tokens, and says what follows there.
/// Beyond the beginning of an answer it looks for what it has said of that, too.
fn perfect_reader(haystack: &Haystack, cue: usize) -> Vec<Guess> {
    let mut guesses = Vec::new();
    for answer in &haystack.answers {
        for place in answer.clone() {
            let read = &haystack.ids[..place];
            let asked = &read[answer.start - cue..];
            let there = places(read, asked);
            let id = match there[..] {
                [first, question] if question + asked.len() == place => read[first + asked.len()],
                _ => panic!("{there:?} for {asked:?} in {read:?}"),
            };
            guesses.push(Guess { id, nll: 0.0 });
        }
    }
    guesses
}

fn found(haystack: &Haystack, guesses: &[Guess]) -> (f64, f64) {
    let mut score = NeedleScore::default();
    score.add(haystack, guesses);
    (score.found().unwrap(), score.tokens_right().unwrap())
}

proptest! {
    #[test]
    fn a_key_and_its_value_stand_where_they_must(
        key in 1_usize..6,
        value in 1_usize..6,
        depth in 0.0..=1.0,
        room in 0_usize..200,
        usable in 8_u32..100,
        seed: u64,
        trial in 0_u64..1000,
    ) {
        let (task, filler) = (single(key, value, depth), filler(usable));
        let length = task.shortest(1) + room;
        let haystack = Haystack::new(task, length, &filler, seed, trial).unwrap();
        let ids = &haystack.ids;
        prop_assert_eq!(ids.len(), length + 1);
        prop_assert_eq!(haystack.read(), &ids[..length]);
        prop_assert_eq!(ids[0], 1);
        prop_assert!(ids[1..].iter().all(|id| filler.usable.contains(id)));
        prop_assert_eq!(haystack.answers.len(), 1);
        prop_assert_eq!(&haystack.answers[0], &(length + 1 - value..length + 1));

        let before = (depth * room as f64).round() as usize;
        let asked = length + 1 - value - key;
        let cue = &ids[asked..asked + key];
        prop_assert_eq!(places(ids, cue), vec![1 + before, asked]);
        let planted = 1 + before + key;
        prop_assert_eq!(&ids[planted..planted + value], &ids[asked + key..]);
        prop_assert_eq!(cue.iter().collect::<BTreeSet<_>>().len(), key);
        prop_assert_eq!(found(&haystack, &perfect_reader(&haystack, key)), (1.0, 1.0));
    }

    #[test]
    fn a_chain_can_be_followed(
        key in 1_usize..5,
        hops in 1_usize..6,
        room in 0_usize..200,
        usable in 8_u32..100,
        seed: u64,
    ) {
        let (task, filler) = (chain(key, hops), filler(usable));
        let length = task.shortest(1) + room;
        let haystack = Haystack::new(task, length, &filler, seed, 3).unwrap();
        let ids = &haystack.ids;
        prop_assert_eq!(ids.len(), length + 1);
        prop_assert_eq!(haystack.answers.len(), hops);
        prop_assert_eq!(haystack.answers[hops - 1].end, length + 1);
        // Each answer is the next question, with the one token between that is the same everywhere.
        let is = ids[haystack.answers[0].start - 1];
        let mut keys = vec![&ids[haystack.answers[0].start - 1 - key..haystack.answers[0].start - 1]];
        for answer in &haystack.answers {
            prop_assert_eq!(answer.len(), key);
            prop_assert_eq!(ids[answer.start - 1], is);
            keys.push(&ids[answer.clone()]);
        }
        for pair in haystack.answers.windows(2) {
            prop_assert_eq!(pair[0].end + 1, pair[1].start);
        }
        prop_assert_eq!(keys.iter().collect::<BTreeSet<_>>().len(), hops + 1);
        for pair in keys.windows(2) {
            let relation = [pair[0], &[is], pair[1]].concat();
            prop_assert_eq!(places(ids, &relation).len(), 2);
            prop_assert_eq!(places(ids, &relation[..=key]).len(), 2);
        }
        prop_assert_eq!(found(&haystack, &perfect_reader(&haystack, key + 1)), (1.0, 1.0));
    }
}

#[test]
fn the_needle_moves_through_one_haystack() {
    let filler = filler(500);
    let length = 300;
    let mut fillers = BTreeSet::new();
    let mut last = 0;
    for percent in 0..=100 {
        let haystack = haystack(single(4, 3, f64::from(percent) / 100.0), length, &filler);
        let mut ids = haystack.ids;
        let needle = ids.split_off(length + 1 - 7);
        let place = places(&ids, &needle)[0];
        assert!(place >= last, "{percent}: {place} after {last}");
        assert_eq!(place == 1, percent == 0);
        last = place;
        ids.drain(place..place + 7);
        fillers.insert((needle, ids));
    }
    // From the very beginning to the very end, and nothing else moved.
    assert_eq!(last, length + 1 - 14);
    assert_eq!(fillers.len(), 1);
}

#[test]
fn seeds_and_trials_and_nothing_else_decide() {
    let filler = filler(60);
    let make = |task, length, seed, trial| Haystack::new(task, length, &filler, seed, trial).unwrap();
    for task in [single(2, 2, 0.5), chain(2, 3)] {
        let first = make(task, 100, 0, 0);
        assert_eq!(make(task, 100, 0, 0), first);
        assert_ne!(make(task, 100, 1, 0), first);
        assert_ne!(make(task, 100, 0, 1), first);
        assert_ne!(make(task, 101, 0, 0).ids[..50], first.ids[..50]);
    }
}

#[test]
fn relations_stand_in_any_order() {
    let filler = filler(60);
    let mut orders = BTreeSet::new();
    for trial in 0..200 {
        let haystack = Haystack::new(chain(2, 3), 200, &filler, 0, trial).unwrap();
        let cue = |answer: &std::ops::Range<usize>| &haystack.ids[answer.start - 3..answer.start];
        let first = |answer| places(&haystack.ids, cue(answer))[0];
        let at: Vec<usize> = haystack.answers.iter().map(first).collect();
        let mut order = vec![0, 1, 2];
        order.sort_by_key(|&hop| at[hop]);
        orders.insert(order);
    }
    assert_eq!(orders.len(), 6);
}

#[test]
fn a_text_fills_the_haystack_in_its_order() {
    let text: Vec<u32> = (100..150).collect();
    let filler = FillerTokens { text: Some(text.clone()), ..filler(60) };
    let mut starts = BTreeSet::new();
    for trial in 0..20 {
        let task = single(4, 4, 0.3);
        let haystack = Haystack::new(task, 200, &filler, 0, trial).unwrap();
        let filler: Vec<u32> = haystack.ids.into_iter().filter(|id| *id >= 100).collect();
        assert_eq!(filler.len(), 200 - task.shortest(1));
        let start = filler[0] as usize - 100;
        let around = text.iter().cycle().skip(start).take(filler.len());
        assert!(filler.iter().eq(around));
        starts.insert(start);
    }
    assert!(starts.len() > 10, "{starts:?}");
}

#[test]
fn what_cannot_be_made_is_refused() {
    let new = |task, length, filler: &FillerTokens| Haystack::new(task, length, filler, 0, 0).map(drop);
    let short = |length, task, shortest| Err(HaystackError::TooShort { length, task, shortest });
    // 1 in front, twice 4 and 3; of those the last is not read.
    let task = single(4, 3, 0.0);
    assert_eq!(new(task, 14, &filler(60)), Ok(()));
    assert_eq!(new(task, 13, &filler(60)), short(13, task, 14));
    // Two relations of 2 * 3 + 1; then 3 + 1 + 3 + 1 + 3.
    let task = chain(3, 2);
    assert_eq!(new(task, 25, &filler(60)), Ok(()));
    assert_eq!(new(task, 24, &filler(60)), short(24, task, 25));
    for depth in [-0.1, 1.1, f64::NAN] {
        let error = new(single(1, 1, depth), 50, &filler(60)).unwrap_err();
        assert!(matches!(error, HaystackError::Depth(_)));
    }
    for (task, usable) in [(single(4, 1, 0.5), 4), (chain(1, 3), 4), (chain(4, 1), 4)] {
        let error = new(task, 50, &filler(usable)).unwrap_err();
        assert_eq!(error, HaystackError::Vocabulary { usable: 4, task });
        assert_eq!(new(task, 50, &filler(usable + 1)), Ok(()));
    }
    // No single token is missing in a text that has all.
    let all = FillerTokens { text: Some((3..63).collect()), ..filler(60) };
    let task = single(1, 1, 0.5);
    let error = new(task, 200, &all).unwrap_err();
    assert_eq!(error, HaystackError::Ambiguous { task });
    assert!(error.to_string().contains("make the key longer"), "{error}");
    assert_eq!(new(single(2, 1, 0.5), 200, &all), Ok(()));

    let test =
        NeedleTest { tasks: vec![single(4, 3, 0.0), chain(3, 2)], lengths: vec![n(25), n(20)], trials: n(1), seed: 0 };
    let error = test.check(&filler(60)).unwrap_err().to_string();
    for part in ["20 tokens", "2 hops", "25 at least"] {
        assert!(error.contains(part) && !error.contains('\n'), "{error}");
    }
}

#[test]
fn a_score_is_what_was_right_before_the_first_mistake() {
    let haystack = haystack(chain(2, 4), 100, &filler(60));
    let right = perfect_reader(&haystack, 3);
    for wrong in 0..8 {
        let mut guesses = right.clone();
        guesses[wrong] = Guess { id: 0, nll: 8.0 };
        let hops = (wrong / 2) as f64;
        assert_eq!(found(&haystack, &guesses), (hops / 4.0, 7.0 / 8.0));
    }
    let nothing = vec![Guess { id: 0, nll: 2.0 }; 8];
    assert_eq!(found(&haystack, &nothing), (0.0, 0.0));

    let mut score = NeedleScore::default();
    assert_eq!((score.found(), score.tokens_right(), score.mean_nll()), (None, None, None));
    score.add(&haystack, &right);
    score.add(&haystack, &nothing);
    assert_eq!(score.trials, 2);
    assert_eq!((score.found(), score.tokens_right(), score.mean_nll()), (Some(0.5), Some(0.5), Some(1.0)));
}

#[test]
fn one_wrong_token_of_a_value_is_no_value() {
    let haystack = haystack(single(2, 4, 0.5), 100, &filler(60));
    let mut guesses = perfect_reader(&haystack, 2);
    guesses[3].id = 0;
    assert_eq!(found(&haystack, &guesses), (0.0, 0.75));
}
