//! Every cache policy against its definition in float64, on every backend, for any company and any way of feeding the same
//! tokens.

mod bits;
mod company;
mod definition;
mod limits;
mod observed;
mod own;

use std::collections::HashSet;

use company::{Company, HEAD_DIM, HEADS, KV_HEADS, Member, Outcome};
use definition::Scores;
use glass_backend::{Device, Dtype, KvDtype};
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

/// A past that is long enough is shared and not copied, and whoever goes on, goes back or forks again gets what it would get
/// alone.
#[test]
fn forks_share_a_long_past() {
    for device in devices::all() {
        let windows: &[Option<usize>] = if devices::is_wgpu(&device) { &[None] } else { &[None, Some(270)] };
        for name in ["full", "ring:280", "ring:9", "sinks:3+265", "tova:6"] {
            for &window in windows {
                let mut company = Company::new(window, Scores::default(), &device);
                company.join(policy(name), (name != "tova:6").then_some(5));
                let who = format!("{name}, window {window:?} on {}", device.name());
                let check = |company: &mut Company, counts: &[usize], seed| {
                    let Outcome { off, margin } = company.check(counts, seed);
                    assert!(margin > 1e-6, "{who}: the test's numbers are too near");
                    assert!(off <= SAME, "{who}, {counts:?}: off by {off}");
                };
                check(&mut company, &[300], 5);
                company.fork(0);
                let alone = company.members[0].cache.bytes();
                company.fork(1);
                assert_eq!(company.members[2].cache.bytes(), alone, "{who}: as much in each");
                check(&mut company, &[1, 2, 3], 6);
                company.fork(2);
                check(&mut company, &[1, 0, 2, 7], 7);
                if name != "tova:6" {
                    // Behind the fork, and before it.
                    let len = company.members[3].tokens.len();
                    company.truncate(3, len - 4).expect("it can go back");
                    company.truncate(1, 299).expect("it can go back");
                    check(&mut company, &[2, 4, 1, 1], 8);
                }
                company.members.remove(0);
                check(&mut company, &[290, 1, 1], 9);
                company.fork(0);
                check(&mut company, &[1, 1, 1, 3], 10);
            }
        }
    }
}

/// A snapshot copies what is long, and its own snapshots share that; all go on and go back as if alone. What a text was said to
/// need is what it takes.
#[test]
fn snapshots_share_a_long_past() {
    let device = devices::flex();
    for (name, window, shared) in [
        ("full", None, 256),
        ("full", Some(270), 0),
        ("ring:280", None, 0),
        ("sinks:3+265", None, 0),
        ("tova:6", None, 0),
    ] {
        let mut company = Company::new(window, Scores::default(), &device);
        company.join(policy(name), None);
        let said = company.members[0].cache.bytes_of(300);
        company.members[0].cache.limit(300);
        let who = format!("{name}, window {window:?}");
        let check = |company: &mut Company, counts: &[usize], seed| {
            let Outcome { off, margin } = company.check(counts, seed);
            assert!(margin > 1e-6 && off <= SAME, "{who}, {counts:?}: off by {off}, margin {margin}");
        };
        check(&mut company, &[290], 5);
        check(&mut company, &[10], 6);
        assert_eq!(company.members[0].cache.bytes(), said, "{who}");
        company.snapshot(0);
        company.snapshot(1);
        let mut counted = HashSet::new();
        let bytes: Vec<u64> = company.members.iter().map(|member| member.cache.bytes_beside(&mut counted)).collect();
        let token = 2 * (KV_HEADS * HEAD_DIM * size_of::<f32>()) as u64;
        assert!(bytes[1] - bytes[2] == shared * token && bytes[1] <= bytes[0] + 64 * token, "{who}: {bytes:?}");
        check(&mut company, &[1, 2, 3], 7);
        if name == "full" {
            company.truncate(2, 192).expect("it can go back");
            company.truncate(1, 250).expect("it can go back");
            check(&mut company, &[2, 4, 70], 8);
            company.snapshot(2);
            check(&mut company, &[2, 4, 1, 3], 9);
        }
    }
}

/// Reserved rollback holds after a fork too: a ring's room for going back is its capacity, and not its window.
#[test]
fn forks_keep_the_room_for_going_back() {
    let device = devices::flex();
    for name in ["ring:6", "sinks:2+4"] {
        let mut company = Company::new(None, Scores::default(), &device);
        company.join(policy(name), Some(5));
        company.check(&[20], 1);
        company.fork(0);
        for round in 0..12 {
            let len = company.members[1].tokens.len();
            let outcome = company.check(&[1, 5], 2 + round);
            assert!(outcome.off <= SAME, "{name}: {outcome:?}");
            company.truncate(1, len).expect("it was promised");
            let outcome = company.check(&[0, 1], 50 + round);
            assert!(outcome.off <= SAME, "{name}: {outcome:?}");
        }
    }
}

/// Keys and values in 16 bits are off by their rounding, and take half the bytes.
#[test]
fn keys_and_values_in_16_bits_are_off_by_their_rounding() {
    for device in devices::all() {
        for dtype in [Dtype::F16, Dtype::BF16] {
            if !device.dtypes().contains(&dtype) {
                continue;
            }
            // Keys, values and probabilities are of the order of 1; the plain version rounds no others.
            let allowed = 8.0 * dtype.unit_roundoff();
            for name in ["full", "ring:9", "sinks:3+6", "tova:40"] {
                let bytes = [Dtype::F32, dtype].map(|dtype| {
                    let mut company = Company::new(None, Scores::default(), &device).with_cache_dtype(dtype.into());
                    company.join(policy(name), None);
                    for (seed, tokens) in [20, 1, 1, 7].into_iter().enumerate() {
                        let Outcome { off, .. } = company.check(&[tokens], seed as u64);
                        let rounded = dtype != Dtype::F32;
                        assert!(off <= if rounded { allowed } else { SAME }, "{name} in {dtype}: off by {off}");
                        assert!(!rounded || off > SAME / 10.0, "{name} in {dtype} is not rounded: {off}");
                    }
                    company.members[0].cache.bytes()
                });
                assert_eq!(bytes[0], 2 * bytes[1], "{name} in {dtype} on {}", device.name());
            }
        }
    }
}

/// Keys and values in 8 bits, by any policy, after any forks and truncations: off by their rounding, and the same bit for bit
/// in any company. 9 bits a number are what they take, where heads are whole groups of 32.
#[test]
fn keys_and_values_in_8_bits_are_off_by_their_rounding() {
    // Keys and values are below 3 in magnitude, so that they are off by 3 / 254 at most, and scores by about as much each.
    const ALLOWED: f64 = 0.15;
    for device in devices::all() {
        for name in ["full", "ring:9", "sinks:3+6", "tova:40"] {
            let mut company = Company::new(None, Scores::default(), &device).with_cache_dtype(KvDtype::Q8);
            company.join(policy(name), None);
            let check = |company: &mut Company, counts: &[usize], seed| {
                let off = company.check(counts, seed).off;
                assert!((SAME..ALLOWED).contains(&off), "{name} on {}, {counts:?}: off by {off}", device.name());
            };
            for (seed, tokens) in [20, 1, 1, 7].into_iter().enumerate() {
                check(&mut company, &[tokens], seed as u64);
            }
            company.fork(0);
            company.snapshot(1);
            check(&mut company, &[1, 3, 1], 10);
            check(&mut company, &[2, 1, 4], 11);
            if name == "full" {
                company.truncate(1, 25).expect("it can go back");
                check(&mut company, &[1, 3, 1], 12);
            }
            let member = &company.members[0];
            let (tokens, bytes) = (member.tokens.len(), member.cache.bytes());
            let state = (2 * KV_HEADS * KvDtype::Q8.vector_bytes(HEAD_DIM)) as u64;
            assert!(bytes >= member.cache.bytes_of(tokens) && bytes.is_multiple_of(state), "{name}: {bytes}");
        }
    }
    assert_eq!(KvDtype::Q8.vector_bytes(64), 64 * 9 / 8);
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

/// Chunks are cut behind a shared past and within it, and nothing of what was shared is rotated again.
#[test]
fn dual_chunk_attention_shares_a_long_past() {
    for device in devices::all() {
        let dual = DualChunk { chunk_size: 120, local_size: 20, original_max_position_embeddings: Some(200) };
        let mut company = Company::new(None, Scores { dual_chunk: Some(dual), ..Scores::default() }, &device);
        company.join(policy("full"), None);
        let check = |company: &mut Company, counts: &[usize], seed| {
            let off = company.check(counts, seed).off;
            assert!(off <= SAME, "{}, {counts:?}: off by {off}", device.name());
        };
        check(&mut company, &[330], 5);
        company.fork(0);
        company.snapshot(1);
        check(&mut company, &[1, 150, 3], 6);
        company.truncate(1, 290).expect("it can go back");
        check(&mut company, &[80, 40, 1], 7);
    }
}

/// A text of one chunk is read as without chunks, to the last bit; one more token is not.
#[test]
fn a_text_of_one_chunk_is_read_as_without_chunks() {
    for device in devices::all() {
        let dual = DualChunk { chunk_size: 48, local_size: 8, original_max_position_embeddings: Some(40) };
        let read = |dual_chunk| {
            let mut company = Company::new(None, Scores { dual_chunk, ..Scores::default() }, &device);
            company.join(policy("full"), None);
            let counts = [33, 1, 6, 30];
            counts.map(|count| company.feed(&[count], count as u64))
        };
        let ([in_chunks @ .., beyond], [plain @ .., plain_beyond]) = (read(Some(dual)), read(None));
        assert_eq!(in_chunks, plain, "{}", device.name());
        assert_ne!(beyond, plain_beyond, "{}", device.name());
    }
}
