//! Every cache policy against its definition in float64, on every backend, for any way of feeding the same tokens.

mod definition;
mod select;

use burn::tensor::{Tensor, TensorData};
use definition::{Expected, Row};
use glass_attention::{Cache, CacheError, CachePlan, CachePolicy, Call, Rope, Unobserved};
use glass_backend::{Device, Dtype, KernelMode};
use glass_config::LlamaConfig;
use proptest::{prelude::*, test_runner::TestRunner};

const HEADS: usize = 4;
const KV_HEADS: usize = 2;
const HEAD_DIM: usize = 8;

/// Values are of the order of 1 and sums are short.
const SAME: f64 = 2e-5;

fn config(window: Option<usize>) -> LlamaConfig {
    let fields = serde_json::json!({
        "model_type": "mistral", "vocab_size": 7, "hidden_size": 32, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "head_dim": HEAD_DIM,
        "max_position_embeddings": 512, "rms_norm_eps": 1e-5, "sliding_window": window,
    });
    LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config")
}

fn devices() -> Vec<Device> {
    let open = |name| Device::open(name).expect("it is built in");
    let plain = open("flex").with_kernel_mode(KernelMode::Plain);
    let mut devices = vec![open("flex"), plain, open("ndarray")];
    match Device::open("wgpu") {
        Ok(device) => devices.push(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => eprintln!("not tested on wgpu: {error}"),
    }
    devices
}

/// Numbers of about the size 1 from a seed, as many as asked for.
fn numbers(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 24) as f32 * 4.0 - 2.0
    };
    (0..count).map(|_| next()).collect()
}

struct Case {
    window: Option<usize>,
    policy: CachePolicy,
    /// Padding left of each row.
    pads: Vec<usize>,
    seq: usize,
    pieces: Vec<usize>,
    /// Tokens of another text behind each piece, in the same pass, that are taken back after it.
    drafts: Vec<usize>,
    seed: u64,
}

/// `[rows][heads][seq][head_dim]`, row-major.
struct Given([Vec<f32>; 3]);

impl Case {
    fn given(&self) -> Given {
        let rows = self.pads.len();
        let size = |heads| rows * heads * self.seq * HEAD_DIM;
        Given([
            numbers(self.seed, size(HEADS)),
            numbers(self.seed ^ 1, size(KV_HEADS)),
            numbers(self.seed ^ 2, size(KV_HEADS)),
        ])
    }

    /// What the definition makes of every row alone.
    fn expected(&self, given: &Given) -> Vec<Expected> {
        let rope = Rope::new(&config(self.window));
        let part = |values: &[f32], heads: usize, row: usize| -> Vec<Vec<Vec<f64>>> {
            let head = |head: usize| {
                let token = |token: usize| {
                    let start = ((row * heads + head) * self.seq + token) * HEAD_DIM;
                    let values = &values[start..start + HEAD_DIM];
                    values.iter().map(|&x| f64::from(x)).collect()
                };
                (self.pads[row]..self.seq).map(token).collect()
            };
            (0..heads).map(head).collect()
        };
        let [q, k, v] = &given.0;
        let rows = (0..self.pads.len()).map(|row| Row {
            q: part(q, HEADS, row),
            k: part(k, KV_HEADS, row),
            v: part(v, KV_HEADS, row),
        });
        rows.map(|row| definition::run(&row, self.policy, self.window, &rope))
            .collect()
    }

    /// What the cache makes of them together: `[rows][seq][heads][head_dim]`, and the most bytes it held.
    fn found(&self, given: &Given, device: &Device) -> (Vec<Vec<Vec<Vec<f64>>>>, u64) {
        let rows = self.pads.len();
        let plan = CachePlan {
            full: Some(self.policy),
            sliding: Some(self.policy),
        };
        let mask: Vec<Vec<bool>> = self
            .pads
            .iter()
            .map(|&pad| (0..self.seq).map(|slot| slot >= pad).collect())
            .collect();
        let mut cache = Cache::planned(&config(self.window), plan, rows, device, Dtype::F32)
            .expect("the policy fits")
            .with_attention_mask(&mask);
        // `tova` goes back without it, as long as it has dropped nothing.
        if !matches!(self.policy, CachePolicy::Tova { .. }) {
            let most = self.drafts.iter().copied().max().unwrap_or(0);
            cache = cache.with_rollback(most).expect("the policy can go back");
        }
        let mut found = vec![vec![]; rows];
        let (mut start, mut turn) = (0, 0);
        let mut bytes = 0;
        while start < self.seq {
            let len = self.pieces[turn % self.pieces.len()].min(self.seq - start);
            let drafted = match (self.policy, self.drafts.len()) {
                (_, 0) => 0,
                (CachePolicy::Tova { states }, _) if start + len + 10 > states.get() => 0,
                (_, count) => self.drafts[turn % count],
            };
            let part = |values: &[f32], heads: usize| -> Tensor<4> {
                let shape = [rows, heads, self.seq, HEAD_DIM];
                let all =
                    Tensor::<4>::from_data(TensorData::new(values.to_vec(), shape), device.burn());
                let part = all.narrow(2, start, len);
                if drafted == 0 {
                    return part;
                }
                let shape = [rows, heads, drafted, HEAD_DIM];
                let draft = numbers(start as u64, shape.iter().product());
                let draft = Tensor::<4>::from_data(TensorData::new(draft, shape), device.burn());
                Tensor::cat(vec![part, draft], 2) // [rows, heads, len + drafted, head_dim]
            };
            let [q, k, v] = &given.0;
            let pass = cache.begin(rows, len + drafted).expect("a pass");
            let mut call = Call {
                pass: &pass,
                observer: &mut Unobserved,
                layer: 0,
            };
            let k = pass.rotate(part(k, KV_HEADS));
            let mixed = cache
                .layer(0)
                .attend(part(q, HEADS), k, part(v, KV_HEADS), &mut call);
            assert_eq!(mixed.dims(), [rows, HEADS, len + drafted, HEAD_DIM]);
            cache.truncate(start + len).expect("it can go back");
            let mixed = mixed
                .narrow(2, 0, len)
                .swap_dims(1, 2)
                .into_data()
                .try_to_vec::<f32>()
                .expect("float32");
            for (row, tokens) in mixed.chunks(len * HEADS * HEAD_DIM).enumerate() {
                for token in tokens.chunks(HEADS * HEAD_DIM) {
                    let heads = token.chunks(HEAD_DIM);
                    let heads = heads.map(|head| head.iter().map(|&x| f64::from(x)).collect());
                    found[row].push(heads.collect::<Vec<Vec<f64>>>());
                }
            }
            bytes = bytes.max(cache.bytes());
            start += len;
            turn += 1;
        }
        (found, bytes)
    }

    /// The largest difference, and the least margin by which a state was dropped.
    fn check(&self, device: &Device) -> (f64, f64) {
        let given = self.given();
        let expected = self.expected(&given);
        let (found, _) = self.found(&given, device);
        let mut off: f64 = 0.0;
        for ((found, expected), &pad) in found.iter().zip(&expected).zip(&self.pads) {
            let found = found[pad..].iter().flatten().flatten();
            for (a, b) in found.zip(expected.mixed.iter().flatten().flatten()) {
                off = off.max(if a.is_nan() {
                    f64::INFINITY
                } else {
                    (a - b).abs()
                });
            }
        }
        let margin = expected
            .iter()
            .map(|row| row.margin)
            .fold(f64::INFINITY, f64::min);
        (off, margin)
    }
}

fn policies(seq: usize) -> impl Strategy<Value = (Option<usize>, CachePolicy)> {
    let n = move || prop_oneof![1..=4usize, 1..=seq + 2];
    let text = |text: String| text.parse::<CachePolicy>().expect("a policy");
    let own = prop::option::of(n());
    let any = prop_oneof![
        Just("full".to_owned()),
        Just("ring".to_owned()),
        n().prop_map(|w| format!("ring:{w}")),
        n().prop_map(|n| format!("tova:{n}")),
    ];
    let any = (own, any).prop_map(move |(own, name)| (own, text(name)));
    // Sinks on a sliding layer keep within its window.
    let sinks = (1..5usize, n(), prop::option::of(0..3usize))
        .prop_map(move |(s, w, more)| (more.map(|more| w + more), text(format!("sinks:{s}+{w}"))));
    prop_oneof![2 => any, 1 => sinks]
}

#[test]
fn every_policy_is_its_definition() {
    is_the_definition([12, 200], Just(vec![]));
}

/// What is taken back leaves no trace, on any policy, however often the ring has gone round.
#[test]
fn what_is_taken_back_was_never_there() {
    is_the_definition([6, 120], prop::collection::vec(0usize..10, 1..4));
}

/// `cases` on wgpu and on each other device.
fn is_the_definition(cases: [u32; 2], drafts: impl Strategy<Value = Vec<usize>> + Clone) {
    for device in devices() {
        let cases = cases[usize::from(!device.name().starts_with("wgpu"))];
        let mut runner = TestRunner::new(ProptestConfig {
            cases,
            failure_persistence: None,
            ..ProptestConfig::default()
        });
        let drafts = drafts.clone();
        let strategy = (1usize..28).prop_flat_map(move |seq| {
            (
                policies(seq),
                prop::collection::vec(0..seq.min(6), 1..4),
                Just(seq),
                prop::collection::vec(1usize..10, 1..4),
                drafts.clone(),
                any::<u64>(),
            )
        });
        let outcome = runner.run(&strategy, |case| {
            let ((window, policy), pads, seq, pieces, drafts, seed) = case;
            let case = Case {
                window,
                policy,
                pads,
                seq,
                pieces,
                drafts,
                seed,
            };
            let (off, margin) = case.check(&device);
            // Where two states are attended to alike up to rounding, float32 may drop the other.
            prop_assume!(margin > 1e-5);
            prop_assert!(
                off <= SAME,
                "window {:?}, {}: off by {off}",
                case.window,
                case.policy
            );
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("on {}: {error}", device.name()));
    }
}

/// The bytes of every policy once it is full do not depend on how much has gone through it, nor in what pieces.
#[test]
fn what_is_held_is_what_the_policy_says() {
    let device = Device::open("flex").expect("it is built in");
    let state = (2 * KV_HEADS * HEAD_DIM * size_of::<f32>()) as u64;
    for (name, states) in [("ring:16", 16), ("sinks:4+12", 16), ("tova:15", 16)] {
        for pieces in [vec![1], vec![7, 1], vec![64], vec![100]] {
            for seq in [40, 300] {
                let case = Case {
                    window: None,
                    policy: name.parse().expect("a policy"),
                    pads: vec![0, 0],
                    seq,
                    pieces: pieces.clone(),
                    drafts: vec![],
                    seed: 1,
                };
                let (_, bytes) = case.found(&case.given(), &device);
                assert_eq!(bytes, 2 * states * state, "{name} {pieces:?} {seq}");
            }
        }
    }
}

/// A cache of `policy` on a layer without a window of its own, after passes over so many zeros each.
fn after(policy: &str, more: Option<usize>, passes: &[usize]) -> Cache {
    let device = Device::open("flex").expect("it is built in");
    let plan: CachePlan = policy.parse().expect("a policy");
    let mut cache = Cache::planned(&config(None), plan, 1, &device, Dtype::F32).expect("it fits");
    if let Some(more) = more {
        cache = cache.with_rollback(more).expect("it can go back");
    }
    for &seq in passes {
        let pass = cache.begin(1, seq).expect("a pass");
        let zeros = |heads| Tensor::<4>::zeros([1, heads, seq, HEAD_DIM], device.burn());
        let mut call = Call {
            pass: &pass,
            observer: &mut Unobserved,
            layer: 0,
        };
        let (k, v) = (zeros(KV_HEADS), zeros(KV_HEADS));
        cache.layer(0).attend(zeros(HEADS), k, v, &mut call);
    }
    cache
}

#[test]
fn a_cache_goes_back_as_far_as_its_policy_lets_it() {
    for (policy, more, seen, to, goes) in [
        ("full", None, 30, 1, true),
        ("ring:8", None, 8, 1, true),
        ("ring:8", None, 9, 8, true),
        ("ring:8", None, 9, 7, false),
        ("ring:8", None, 9, 0, true),
        ("ring:8", Some(4), 30, 25, true),
        ("ring:8", Some(4), 30, 24, false),
        ("sinks:2+6", None, 6, 1, true),
        ("sinks:2+6", None, 30, 28, false),
        ("sinks:2+6", Some(1), 30, 28, true),
        ("tova:8", None, 9, 1, true),
        ("tova:8", None, 10, 9, false),
        ("tova:8", None, 10, 0, true),
    ] {
        let mut cache = after(policy, more, &vec![1; seen]);
        let outcome = cache.truncate(to);
        let case = format!("{policy}, {more:?} more: {seen} to {to}: {outcome:?}");
        match goes {
            true => assert_eq!((outcome, cache.seen()), (Ok(()), to), "{case}"),
            false => {
                let asked_for = to;
                let refused = CacheError::Overwritten { seen, asked_for };
                assert_eq!((outcome, cache.seen()), (Err(refused), seen), "{case}");
            }
        }
    }
}

#[test]
fn what_makes_no_sense_is_refused() {
    let mut cache = after("full", None, &[5]);
    assert_eq!(cache.truncate(5), Ok(()));
    let longer = CacheError::Longer {
        seen: 5,
        asked_for: 6,
    };
    assert_eq!(cache.truncate(6), Err(longer));
    let begun = after("ring:4", None, &[5]).with_rollback(2).err();
    assert_eq!(begun, Some(CacheError::Begun { seen: 5 }));
    let one_way = after("tova:4", None, &[]).with_rollback(2).err();
    assert_eq!(one_way, Some(CacheError::OneWay { policy: "tova" }));
}

/// Keys beyond the trained context were turned by the length of their pass: a shorter text turns them otherwise.
#[test]
fn what_was_turned_by_the_length_is_not_cut() {
    let fields = serde_json::json!({
        "model_type": "llama", "vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 4,
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    });
    let config = LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config");
    let device = Device::open("flex").expect("it is built in");
    let mut cache = Cache::new(&config, 1, &device, Dtype::F32);
    cache.begin(1, 4).expect("a pass");
    assert_eq!(cache.truncate(3), Ok(()));
    cache.begin(1, 2).expect("a pass");
    let error = cache.truncate(3).expect_err("5 positions are beyond 4");
    assert!(error.to_string().contains("rope type dynamic"), "{error}");
    assert_eq!(cache.truncate(0), Ok(()));
}
