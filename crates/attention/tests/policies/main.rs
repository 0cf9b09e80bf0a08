//! Every cache policy against its definition in float64, on every backend, for any company and any way of feeding the same
//! tokens.

mod bits;
mod chunks;
mod company;
mod definition;
mod forks;
mod limits;
mod observed;
mod own;
mod rounded;

use company::{Company, HEAD_DIM, HEADS, KV_HEADS, Member};
use definition::Scores;
use glass_backend::Device;
use glass_config::DualChunk;
use glass_kv_cache::CachePolicy;
use glass_testing::devices;
use proptest::{prelude::*, test_runner::TestRunner};

/// Values are of the order of 1 and sums are short.
const SAME: f64 = 2e-5;

fn policy(name: &str) -> CachePolicy {
    name.parse().expect("a policy")
}

/// The window of a layer, and a policy that fits it, for texts of about `seq` tokens.
fn policies(seq: usize) -> impl Strategy<Value = (Option<usize>, Vec<CachePolicy>)> {
    let n = move || prop_oneof![1..=4usize, 1..=seq + 2];
    let any = prop_oneof![
        Just("full".to_owned()),
        Just("ring".to_owned()),
        n().prop_map(|w| format!("ring:{w}")),
        n().prop_map(|n| format!("tova:{n}")),
        (1..5usize, n()).prop_map(|(s, w)| format!("sinks:{s}+{w}")),
    ];
    (prop::option::of(n()), prop::collection::vec(any, 1..4)).prop_map(|(window, names)| {
        let mut policies: Vec<_> = names.iter().map(|name| policy(name)).collect();
        // The last tokens of StreamingLLM keep within the layer's window.
        policies.retain(|policy| match policy {
            CachePolicy::StreamingLlm { window: last, .. } => window.is_none_or(|window| last.get() <= window),
            _ => true,
        });
        if policies.is_empty() {
            policies.push(CachePolicy::Full);
        }
        (window, policies)
    })
}

fn scores() -> impl Strategy<Value = Scores> {
    let sinks = prop::option::of(prop::array::uniform4(-2f32..2.0));
    (prop::option::of(1f64..4.0), sinks).prop_map(|(soft_cap, sinks)| Scores { soft_cap, sinks, dual_chunk: None })
}

/// Chunks of 1 to 9 tokens, whose borders texts of 20 cross often.
fn dual_chunk() -> impl Strategy<Value = DualChunk> {
    (1..10usize, 0..7usize, prop::option::of(1..30usize)).prop_map(|(chunk, local_size, original)| DualChunk {
        chunk_size: chunk + local_size,
        local_size,
        original_max_position_embeddings: original,
    })
}

/// What happens to the company between two passes.
#[derive(Clone, Debug)]
enum Event {
    Join(usize),
    Leave(usize),
    Fork(usize),
    Snapshot(usize),
    /// Goes back by so many tokens, if the cache can.
    Truncate(usize, usize),
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        (0..9usize).prop_map(Event::Join),
        (0..9usize).prop_map(Event::Leave),
        (0..9usize).prop_map(Event::Fork),
        (0..9usize).prop_map(Event::Snapshot),
        (0..9usize, 0..9usize).prop_map(|(member, by)| Event::Truncate(member, by)),
    ]
}

/// Sequences that join, leave, fork and go back between any two passes each get what they would get alone.
#[test]
fn every_sequence_is_its_definition_in_any_company() {
    for device in devices::all() {
        let cases = if devices::is_wgpu(&device) { 12 } else { 150 };
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let counts = prop::collection::vec(prop_oneof![Just(0usize), Just(1), 1..9usize], 5);
        let rounds = prop::collection::vec((counts, prop::collection::vec(event(), 0..3)), 1..7);
        let rules = prop_oneof![2 => Just(Scores::default()), 1 => scores()];
        let layer = prop_oneof![
            3 => (policies(20), rules).boxed(),
            1 => (scores(), dual_chunk())
                .prop_map(|(rules, dual)| {
                    ((None, vec![CachePolicy::Full]), Scores { dual_chunk: Some(dual), ..rules })
                })
                .boxed(),
        ];
        let strategy = (layer, prop::option::of(0..9usize), rounds, any::<u64>());
        let outcome = runner.run(&strategy, |(((window, policies), rules), rollback, rounds, seed)| {
            let mut company = Company::new(window, rules, &device);
            let join = |company: &mut Company, policy: CachePolicy| {
                company.join(policy, rollback.filter(|_| !matches!(policy, CachePolicy::Tova { .. })));
            };
            for &policy in &policies {
                join(&mut company, policy);
            }
            for (round, (counts, events)) in rounds.into_iter().enumerate() {
                let counts = &counts[..company.members.len().min(counts.len())];
                let outcome = company.check(counts, seed ^ ((round as u64) << 40));
                // Where two states are attended to alike up to rounding, float32 may drop the other.
                prop_assume!(outcome.margin > 1e-5);
                prop_assert!(outcome.off <= SAME, "window {window:?}, {policies:?}, {rules:?}: {outcome:?}");
                for event in events {
                    let some = |number: usize| number % company.members.len();
                    match event {
                        Event::Join(number) if company.members.len() < 5 => {
                            join(&mut company, policies[number % policies.len()]);
                        }
                        Event::Fork(number) if company.members.len() < 5 => company.fork(some(number)),
                        Event::Snapshot(number) if company.members.len() < 5 => company.snapshot(some(number)),
                        Event::Leave(number) if company.members.len() > 1 => drop(company.members.remove(some(number))),
                        Event::Truncate(number, by) => {
                            let member = some(number);
                            let Member { ref tokens, policy, furthest, .. } = company.members[member];
                            let len = tokens.len().saturating_sub(by);
                            let back = company.truncate(member, len);
                            let one_way = matches!(policy, CachePolicy::Tova { .. });
                            let promised = !one_way && rollback.is_some_and(|rollback| furthest - len <= rollback);
                            prop_assert!(back.is_ok() || !promised, "{back:?}: back by {by} of {rollback:?}");
                        }
                        _ => {}
                    }
                }
            }
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("on {}: {error}", device.name()));
    }
}

/// The bytes of a policy that is full do not depend on how much was read, nor in what chunks.
#[test]
fn bytes_are_those_of_the_policy() {
    let device: Device = devices::flex();
    let state = (2 * KV_HEADS * HEAD_DIM * size_of::<f32>()) as u64;
    for (name, states) in [("ring:16", 16), ("sinks:4+12", 16), ("tova:15", 16)] {
        for chunks in [vec![1], vec![7, 1], vec![64], vec![100]] {
            for seq in [40, 300] {
                let mut company = Company::new(None, Scores::default(), &device);
                company.join(policy(name), None);
                let (mut bytes, mut read) = (0, 0);
                for &chunk in chunks.iter().cycle() {
                    company.feed(&[chunk.min(seq - read)], 1);
                    read += chunk.min(seq - read);
                    bytes = bytes.max(company.members[0].cache.bytes());
                    if read == seq {
                        break;
                    }
                }
                assert_eq!(bytes, states * state, "{name} {chunks:?} {seq}");
            }
        }
    }
}
