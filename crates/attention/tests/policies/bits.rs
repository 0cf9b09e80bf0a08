//! What a sequence computes in company, to the bit, where one work of a kernel is the attention of all.

use glass_backend::{Dtype, KvDtype};
use glass_testing::devices;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{company::Company, definition::Scores, policies, policy, scores};

/// Every sequence has the bits that it has alone, in any company, whatever the policies and the types of keys and values: on the
/// CPU one work is the attention of all.
#[test]
fn every_sequence_has_the_bits_that_it_has_alone() {
    let device = devices::flex();
    let mut runner =
        TestRunner::new(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() });
    let types = [KvDtype::Float(Dtype::F32), KvDtype::Float(Dtype::F16), KvDtype::Float(Dtype::BF16), KvDtype::Q8];
    let rounds = prop::collection::vec(prop::collection::vec(prop_oneof![Just(0usize), Just(1), 1..40usize], 5), 1..6);
    let strategy = ((policies(20), scores()), prop::sample::select(types.to_vec()), rounds, any::<u64>());
    let outcome = runner.run(&strategy, |(((window, policies), rules), dtype, rounds, seed)| {
        let company = || {
            let mut company = Company::new(window, rules, &device).with_cache_dtype(dtype);
            (0..5).for_each(|number| company.join(policies[number % policies.len()], None));
            company
        };
        let (mut together, mut alone) = (company(), [(); 5].map(|()| company()));
        for (round, counts) in rounds.iter().enumerate() {
            let seed = seed ^ ((round as u64) << 40);
            let found = together.feed(counts, seed);
            for (member, (own, found)) in alone.iter_mut().zip(found).enumerate() {
                let mut counts = counts.clone();
                counts.iter_mut().enumerate().filter(|(other, _)| *other != member).for_each(|(_, count)| *count = 0);
                prop_assert!(own.feed(&counts, seed)[member] == found, "{window:?}, {policies:?}, {dtype:?}: {member}");
            }
        }
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
}

/// The same where a past is long enough to be shared, in pieces or at once.
#[test]
fn a_long_past_has_the_same_bits_in_company() {
    let device = devices::flex();
    for (name, dtype) in [
        ("full", KvDtype::Q8),
        ("ring:300", KvDtype::Q8),
        ("sinks:3+265", KvDtype::Q8),
        ("full", Dtype::F32.into()),
        ("ring:300", Dtype::F16.into()),
        ("sinks:3+265", Dtype::F32.into()),
    ] {
        let alone = |pieces: &[usize]| {
            let mut company = Company::new(None, Scores::default(), &device).with_cache_dtype(dtype);
            company.join(policy(name), None);
            let mut all = Vec::new();
            for (piece, &tokens) in pieces.iter().enumerate() {
                all.extend(company.feed(&[tokens], piece as u64).swap_remove(0));
            }
            all
        };
        let mut company = Company::new(None, Scores::default(), &device).with_cache_dtype(dtype);
        company.join(policy(name), None);
        company.join(policy("ring:5"), None);
        let mut together = Vec::new();
        for (piece, tokens) in [300, 1, 1, 40].into_iter().enumerate() {
            together.extend(company.feed(&[tokens, 1 + piece], piece as u64).swap_remove(0));
            if piece == 1 {
                company.snapshot(0); // it changes nothing
                company.members.pop();
            }
        }
        assert!(together == alone(&[300, 1, 1, 40]), "{name}, {dtype:?}");
    }
}
