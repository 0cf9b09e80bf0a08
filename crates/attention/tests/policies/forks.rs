//! Forks and snapshots share a long past, and each goes on as if alone.

use std::collections::HashSet;

use glass_testing::devices;

use crate::{
    SAME,
    company::{Company, HEAD_DIM, KV_HEADS, Outcome},
    definition::Scores,
    policy,
};

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
