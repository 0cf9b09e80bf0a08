//! Keys and values in fewer bits: off by their rounding.

use glass_backend::{Dtype, KvDtype};
use glass_testing::devices;

use crate::{
    SAME,
    company::{Company, HEAD_DIM, KV_HEADS, Outcome},
    definition::Scores,
    policy,
};

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
