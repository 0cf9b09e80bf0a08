//! Sequences join, leave, fork and go back between any two steps: each computes what it computes alone.

use std::{num::NonZeroUsize, ops::ControlFlow};

use glass_attention::{NextTokens, Sequences, Unobserved};
use glass_backend::Device;
use glass_config::{DynamicScaling, LinearScaling, LlamaConfig, LongropeScaling, RopeScaling};
use glass_generate::{
    Engine, GenerateOptions, Lane, Llama, Next, PrefillOptions, SamplingConfig, Sequence, SequenceId, generate, step,
};
use glass_kv_cache::{CacheConfig, KvCache};
use glass_testing::devices;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{fixture, random_model};

/// Two ways of one sum differ by rounding; logits here are of the order of 1.
const SAME: f32 = 5e-5;

const POLICIES: [&str; 6] = ["full", "ring", "ring:4", "sinks:2+5", "tova:7", "full"];

/// Longest text: beyond what the model was trained with, where that is 20.
const LONGEST: usize = 56;

/// What happens to a lane, by the number of its place.
#[derive(Clone, Debug)]
enum Event {
    Join { policy: usize, tokens: usize, chunk: usize, rollback: usize },
    Leave(usize),
    Fork(usize),
    Truncate(usize, usize),
    Push(usize, usize),
    Step,
}

fn event() -> impl Strategy<Value = Event> {
    let place = 0usize..8;
    prop_oneof![
        3 => (0..POLICIES.len(), 1usize..24, 1usize..9, 0usize..4).prop_map(
            |(policy, tokens, chunk, rollback)| Event::Join { policy, tokens, chunk, rollback }
        ),
        1 => place.clone().prop_map(Event::Leave),
        2 => place.clone().prop_map(Event::Fork),
        2 => (place.clone(), 0usize..12).prop_map(|(place, back)| Event::Truncate(place, back)),
        4 => (place, 1usize..5).prop_map(|(place, tokens)| Event::Push(place, tokens)),
        6 => Just(Event::Step),
    ]
}

/// A lane, and how it came to be.
struct Text {
    lane: Lane,
    cache: CacheConfig,
    /// What was pushed.
    ids: Vec<u32>,
    /// Tokens of each pass that read them.
    passes: Vec<usize>,
}

impl Text {
    fn join(llama: &Llama, policy: usize, chunk: usize, rollback: usize) -> Self {
        let prefill_chunk = NonZeroUsize::new(chunk).expect("not zero");
        let with = |cache| {
            let options = PrefillOptions { cache, prefill_chunk };
            Some((cache, Lane::new(llama, options).ok()?))
        };
        // Where a policy does not fit the model, what the config asks for does.
        let policy = POLICIES[policy].parse().expect("a policy");
        let (cache, mut lane) = with(policy).or_else(|| with(CacheConfig::default())).expect("a lane");
        let reserved = lane.reserve_rollback(rollback);
        assert!(reserved.is_ok() || cache.to_string().starts_with("tova"));
        Self { lane, cache, ids: vec![], passes: vec![] }
    }

    /// Asks for the logits of everything that is unread.
    fn push(&mut self, ids: &[u32]) {
        let room = LONGEST.saturating_sub(self.ids.len()).min(ids.len());
        self.ids.extend_from_slice(&ids[..room]);
        self.lane.push(&ids[..room], self.lane.unread() + room);
    }

    fn fork(&mut self) -> Self {
        Self { lane: self.lane.fork(), cache: self.cache, ids: self.ids.clone(), passes: self.passes.clone() }
    }

    /// Whether it could go back.
    fn truncate(&mut self, len: usize) -> bool {
        if self.lane.truncate(len).is_err() {
            return false;
        }
        self.ids.truncate(len);
        let mut left = len;
        self.passes.retain_mut(|pass| {
            *pass = left.min(*pass);
            left -= *pass;
            *pass > 0
        });
        true
    }

    /// The logits `[tokens, vocab_size]` of its last pass, by the model alone.
    fn alone(&self, llama: &Llama) -> Vec<f32> {
        let mut cache = llama.cache(self.cache).expect("a cache");
        let (mut start, mut last) = (0, vec![]);
        for &tokens in &self.passes {
            let ids = &self.ids[start..start + tokens];
            last = pass(llama, &mut cache, ids);
            start += tokens;
        }
        last
    }
}

fn pass(llama: &Llama, cache: &mut KvCache, ids: &[u32]) -> Vec<f32> {
    let next = NextTokens { cache, tokens: ids.len() };
    let logits =
        llama.model.forward(fixture::ids(llama, &[ids.to_vec()]), Sequences::Next(&mut [next]), &mut Unobserved);
    fixture::host(logits.expect("a pass")).values
}

/// How often something was tried, so that a test does not pass because nothing was.
#[derive(Default)]
struct Counts {
    rows: usize,
    shared: usize,
    forks: usize,
    went_back: usize,
    refused: usize,
}

/// One step of all lanes, each compared with its single run.
fn compare(llama: &Llama, texts: &mut [Text], counts: &mut Counts) {
    let before: Vec<usize> = texts.iter().map(|text| text.lane.len()).collect();
    let output = step(llama, texts.iter_mut().map(|text| &mut text.lane)).expect("a step");
    let mut logits = output.read().expect("logits");
    let mut found: Vec<Vec<f32>> = vec![vec![]; texts.len()];
    for (lane, next) in logits.rows() {
        match next {
            Next::Logits(row) => found[lane].extend_from_slice(row),
            Next::Chosen(chosen) => panic!("nobody asked for {chosen:?}"),
        }
    }
    counts.shared += usize::from(found.iter().filter(|rows| !rows.is_empty()).count() > 1);
    for ((text, before), found) in texts.iter_mut().zip(before).zip(found) {
        let tokens = text.lane.len() - before;
        assert_eq!(found.len(), tokens * llama.config.vocab_size);
        if tokens == 0 {
            continue;
        }
        text.passes.push(tokens);
        counts.rows += tokens;
        let expected = text.alone(llama);
        let pairs = found.iter().zip(&expected);
        let off = pairs.fold(0.0, |off: f32, (a, b)| {
            let here = (a - b).abs();
            if here.is_nan() { f32::INFINITY } else { off.max(here) }
        });
        let who = format!("{} after {:?}", text.cache, text.passes);
        assert!(off <= SAME, "{who}: {off}");
    }
}

fn run(llama: &Llama, events: &[Event], seed: u64, counts: &mut Counts) {
    let ids = random_model::tokens(4096, seed);
    let mut ids = ids.chunks(32);
    let mut more = |count| &ids.next().expect("enough")[..count];
    let mut texts: Vec<Text> = vec![];
    for event in events {
        let place = |place: &usize| place % texts.len().max(1);
        match event {
            Event::Join { policy, tokens, chunk, rollback } if texts.len() < 6 => {
                let mut text = Text::join(llama, *policy, *chunk, *rollback);
                text.push(more(*tokens));
                texts.push(text);
            }
            Event::Step if texts.iter().any(|text| text.lane.unread() > 0) => {
                compare(llama, &mut texts, counts);
            }
            Event::Join { .. } | Event::Step => {}
            _ if texts.is_empty() => {}
            Event::Leave(at) => drop(texts.remove(place(at))),
            Event::Fork(at) => {
                let at = place(at);
                let fork = texts[at].fork();
                texts.push(fork);
                counts.forks += 1;
            }
            Event::Truncate(at, back) => {
                let at = place(at);
                let len = texts[at].lane.len().saturating_sub(*back);
                let went = texts[at].truncate(len);
                counts.went_back += usize::from(went);
                counts.refused += usize::from(!went);
            }
            Event::Push(at, tokens) => {
                let at = place(at);
                texts[at].push(more(*tokens));
            }
        }
    }
    while texts.iter().any(|text| text.lane.unread() > 0) {
        compare(llama, &mut texts, counts);
    }
}

/// A model of these layers that was trained with 20 positions, as far as its RoPE minds.
fn config(windows: &[Option<usize>], rope: usize) -> LlamaConfig {
    let mut config = random_model::config(windows);
    let trained = 20;
    let factors = || vec![1.0, 1.5, 2.5, 4.0];
    config.ropes[0].scaling = match rope {
        0 => RopeScaling::Default,
        1 => RopeScaling::Linear(LinearScaling { factor: 4.0 }),
        2 => {
            config.max_position_embeddings = trained;
            RopeScaling::Dynamic(DynamicScaling { factor: 4.0, max_position_embeddings: trained })
        }
        _ => RopeScaling::Longrope(LongropeScaling {
            short_factor: factors(),
            long_factor: factors().into_iter().map(|factor| 3.0 * factor).collect(),
            factor: 4.0,
            original_max_position_embeddings: trained,
            attention_factor: Some(1.1),
        }),
    };
    config
}

#[test]
fn lanes_in_any_company_compute_what_they_compute_alone() {
    let mut counts = Counts::default();
    for device in devices::all() {
        let cases = match device.name() {
            "flex" => 60,
            _ if devices::is_wgpu(&device) => 3,
            _ => 20,
        };
        let strategy = (
            prop::collection::vec(prop::option::of(1usize..14), 1..4),
            0usize..4,
            prop::collection::vec(event(), 10..40),
            any::<u64>(),
        );
        let mut runner = TestRunner::new(ProptestConfig {
            cases,
            failure_persistence: None,
            max_shrink_iters: 200,
            ..ProptestConfig::default()
        });
        let counted = std::cell::RefCell::new(&mut counts);
        runner
            .run(&strategy, |(windows, rope, events, seed)| {
                let llama = random_model::llama(&config(&windows, rope), seed, &device);
                run(&llama, &events, seed, *counted.borrow_mut());
                Ok(())
            })
            .unwrap_or_else(|error| panic!("on {}: {error}", device.name()));
    }
    let Counts { rows, shared, forks, went_back, refused } = counts;
    assert!(rows > 2000 && shared > 200 && forks > 100, "{rows} {shared} {forks}");
    assert!(went_back > 100 && refused > 5, "{went_back} {refused}");
}

/// Long enough that what is forked is shared and not copied.
#[test]
fn long_forks_share_their_past() {
    let device = devices::flex();
    for (windows, policy) in [
        (&[None, None][..], "full"),
        (&[Some(300), None], "ring"),
        (&[None, None], "sinks:4+290"),
        (&[Some(300), Some(9)], "ring:270"),
    ] {
        let mut config = random_model::config(windows);
        config.max_position_embeddings = 2048;
        let llama = random_model::llama(&config, 3, &device);
        let options = PrefillOptions { cache: policy.parse().expect("a policy"), ..PrefillOptions::default() };
        let ids = random_model::tokens(700, 8);
        let mut counts = Counts::default();
        let mut first = Text {
            lane: Lane::new(&llama, options).expect("a lane"),
            cache: options.cache,
            ids: vec![],
            passes: vec![],
        };
        let push = |text: &mut Text, ids: &[u32]| {
            text.ids.extend_from_slice(ids);
            text.lane.push(ids, ids.len());
        };
        push(&mut first, &ids[..600]);
        let mut texts = vec![first];
        while texts[0].lane.unread() > 0 {
            compare(&llama, &mut texts, &mut counts);
        }
        // Forks of a fork, each on a way of its own; one goes back to where they parted.
        for turn in 0..12usize {
            if turn % 4 == 0 {
                let at = turn / 4 % texts.len();
                let fork = texts[at].fork();
                texts.push(fork);
            }
            if turn == 9 {
                assert!(texts[1].truncate(600) || policy != "full");
            }
            for (number, text) in texts.iter_mut().enumerate() {
                let start = 600 + (7 * turn + 13 * number) % 90;
                push(text, &ids[start..=start + turn % 3]);
            }
            compare(&llama, &mut texts, &mut counts);
        }
        assert!(texts.len() == 4 && counts.shared >= 12, "{}", counts.shared);
    }
}

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
            found[number].push(event.expect("a token").id);
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
