//! Lanes join, leave, fork and go back between any two steps: each computes what it computes alone.

use std::num::NonZeroUsize;

use glass_attention::{NextTokens, Sequences, Unobserved};
use glass_config::{DynamicScaling, LinearScaling, LlamaConfig, LongropeScaling, RopeScaling};
use glass_generate::{Lane, Llama, Next, PrefillOptions, step};
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
pub struct Text {
    pub lane: Lane,
    pub cache: CacheConfig,
    /// What was pushed.
    pub ids: Vec<u32>,
    /// Tokens of each pass that read them.
    pub passes: Vec<usize>,
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

    pub fn fork(&mut self) -> Self {
        Self { lane: self.lane.fork(), cache: self.cache, ids: self.ids.clone(), passes: self.passes.clone() }
    }

    /// Whether it could go back.
    pub fn truncate(&mut self, len: usize) -> bool {
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
pub struct Counts {
    rows: usize,
    pub shared: usize,
    forks: usize,
    went_back: usize,
    refused: usize,
}

/// One step of all lanes, each compared with its single run.
pub fn compare(llama: &Llama, texts: &mut [Text], counts: &mut Counts) {
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
