//! How far a cache goes back, and what it refuses.

use burn::tensor::{Int, Tensor};
use glass_attention::{ForwardContext, NextTokens, Padding, Rope, Sequences, Unobserved};
use glass_backend::{Device, Dtype, KvDtype};
use glass_config::LlamaConfig;
use glass_kv_cache::{CacheConfig, CacheError, KvCache};
use glass_testing::devices;

use crate::{
    company::{Company, HEAD_DIM, KV_HEADS, config},
    definition::Scores,
    policy,
};

/// A sequence of `policy` on a layer without a window of its own, after passes over so many tokens each.
fn after(name: &str, rollback: Option<usize>, passes: &[usize]) -> Company {
    let mut company = Company::new(None, Scores::default(), &devices::flex());
    company.join(policy(name), rollback);
    for &tokens in passes {
        company.feed(&[tokens], 1);
    }
    company
}

#[test]
fn truncate_goes_back_as_far_as_the_policy_lets_it() {
    for (name, rollback, len, to, goes) in [
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
        let mut company = after(name, rollback, &vec![1; len]);
        let cache = &mut company.members[0].cache;
        let outcome = cache.truncate(to);
        let case = format!("{name}, {rollback:?} more: {len} to {to}: {outcome:?}");
        if goes {
            assert_eq!((outcome, cache.len()), (Ok(()), to), "{case}");
        } else {
            let refused = CacheError::Overwritten { len, asked_for: to };
            assert_eq!((outcome, cache.len()), (Err(refused), len), "{case}");
        }
    }
}

#[test]
fn truncate_and_rollback_refuse_what_makes_no_sense() {
    let mut company = after("full", None, &[5]);
    let cache = &mut company.members[0].cache;
    assert_eq!(cache.truncate(5), Ok(()));
    assert_eq!(cache.truncate(6), Err(CacheError::Longer { len: 5, asked_for: 6 }));
    let mut begun = after("ring:4", None, &[5]);
    assert_eq!(begun.members[0].cache.reserve_rollback(2), Err(CacheError::Begun { len: 5 }));
    let mut one_way = after("tova:4", None, &[]);
    assert_eq!(one_way.members[0].cache.reserve_rollback(2), Err(CacheError::OneWay { policy: "tova" }));
}

fn begin<'a>(
    config: &LlamaConfig,
    shape: [usize; 2],
    sequences: &mut Sequences<'_>,
    device: &Device,
    observer: &'a mut Unobserved,
) -> Result<ForwardContext<'a>, CacheError> {
    ForwardContext::new(&Rope::all(config), config.hidden_size, shape, sequences, device, observer)
}

fn next<'a>(cache: &'a mut KvCache, tokens: usize) -> [NextTokens<'a>; 1] {
    [NextTokens { cache, tokens }]
}

/// Keys beyond the trained context were rotated by the length of their text then: a shorter text rotates them otherwise.
#[test]
fn truncate_refuses_keys_that_were_rotated_by_the_length() {
    let fields = serde_json::json!({
        "model_type": "llama", "vocab_size": 7, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1,
        "num_attention_heads": 1, "num_key_value_heads": 1, "max_position_embeddings": 4,
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0},
    });
    let config = LlamaConfig::from_json(&fields.to_string(), "test", &[]).expect("a config");
    let device = devices::flex();
    let mut cache = KvCache::new(&config, CacheConfig::default(), |_| &device, Dtype::F32).expect("a cache");
    let read = |cache: &mut KvCache, tokens| {
        begin(&config, [1, tokens], &mut Sequences::Next(&mut next(cache, tokens)), &device, &mut Unobserved).map(drop)
    };
    read(&mut cache, 4).expect("a pass");
    assert_eq!(cache.truncate(3), Ok(()));
    read(&mut cache, 2).expect("a pass");
    let error = cache.truncate(3).expect_err("5 positions are beyond 4");
    assert!(error.to_string().contains("rope type dynamic"), "{error}");
    assert_eq!(cache.truncate(0), Ok(()));
}

/// A pass that cannot be made leaves every cache as it was.
#[test]
fn a_pass_that_does_not_fit_changes_nothing() {
    let config = config(None);
    // Keys of one token: 2 heads of 8 float32.
    let small = devices::flex().with_max_binding((KV_HEADS * HEAD_DIM * 4 * 30) as u64);
    let new = |name: &str| {
        let policies = CacheConfig { full: Some(policy(name)), sliding: None, dtype: None };
        KvCache::new(&config, policies, |_| &small, Dtype::F32).expect("the policy fits")
    };
    let (mut ring, mut full) = (new("ring:9"), new("full"));
    let mut both = |shape: [usize; 2], tokens: [usize; 2]| {
        let mut next =
            [NextTokens { cache: &mut ring, tokens: tokens[0] }, NextTokens { cache: &mut full, tokens: tokens[1] }];
        let ropes = Rope::all(&config);
        let mut sequences = Sequences::Next(&mut next);
        let begun = ForwardContext::new(&ropes, 1, shape, &mut sequences, &small, &mut Unobserved).map(drop);
        (begun, ring.len(), full.len())
    };
    assert_eq!(both([1, 40], [20, 20]), (Ok(()), 20, 20));
    let (error, ring, full) = both([1, 31], [20, 11]);
    assert!(matches!(error, Err(CacheError::TooLarge { positions: 31, .. })), "{error:?}");
    assert_eq!((ring, full), (20, 20));
    assert_eq!(both([1, 5], [2, 2]), (Err(CacheError::Tokens { given: 4, row: 5 }), 20, 20));
    assert_eq!(both([2, 2], [2, 2]), (Err(CacheError::Tokens { given: 4, row: 4 }), 20, 20));
    assert_eq!(both([1, 2], [2, 0]), (Err(CacheError::Empty), 20, 20));
    assert_eq!(both([1, 20], [10, 10]), (Ok(()), 30, 30));
}

/// An adapter attends to 8 bits as float32, which has to fit its bindings too.
#[test]
fn eight_bits_are_bound_as_what_they_stand_for() {
    let small = devices::flex().with_max_binding((KV_HEADS * HEAD_DIM * 4 * 30) as u64);
    for (dtype, most) in [(KvDtype::Q8, 30), (Dtype::F32.into(), 30), (Dtype::F16.into(), 60)] {
        let cache = KvCache::new(&config(None), CacheConfig::default(), |_| &small, dtype).expect("it fits");
        assert_eq!((cache.check(most), cache.check(most + 1).is_err()), (Ok(()), true), "{dtype}");
    }
}

#[test]
fn a_pass_refuses_what_the_device_cannot_bind_and_masks_of_other_rows() {
    let config = config(None);
    let small = devices::flex().with_max_binding(1 << 12);
    let whole = |padding| Sequences::Whole { padding, dropouts: Default::default() };
    let error = begin(&config, [2, 9], &mut whole(None), &small, &mut Unobserved).err();
    assert!(matches!(error, Some(CacheError::PassTooLarge { seq: 9, .. })), "{error:?}");
    let mask = [vec![true; 4], vec![false, true, true, true], vec![true; 4]];
    let error = begin(&config, [2, 4], &mut whole(Padding::from_mask(&mask)), &devices::flex(), &mut Unobserved).err();
    assert_eq!(error, Some(CacheError::Rows { padding: 3, batch: 2 }));
    let empty = Tensor::<2, Int>::zeros([1, 0], devices::flex().burn()).dims();
    let error = begin(&config, empty, &mut whole(None), &devices::flex(), &mut Unobserved).err();
    assert_eq!(error, Some(CacheError::Empty));
}
