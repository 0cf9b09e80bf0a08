use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::testing::random;

mod definition;

use definition::{Inputs, Shape, defined};

fn check(shape: Shape, visible: &Visible, sees: impl Fn(usize, usize, usize) -> bool) {
    let inputs = Inputs::new(shape);
    let (defined, bounds) = defined(&inputs, sees);
    for isa in Isa::all() {
        let out = inputs.attend(isa, visible);
        for (at, ((out, defined), bound)) in out.iter().zip(&defined).zip(&bounds).enumerate() {
            let off = (f64::from(*out) - defined).abs();
            assert!(
                off <= *bound,
                "{isa:?} {shape:?} at {at}: {out} for {defined}, bound {bound}"
            );
        }
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let head_dim = prop_oneof![Just(2), Just(8), Just(24), Just(64), Just(80), Just(100)];
    (
        0..3_usize,
        1..4_usize,
        prop_oneof![1..5_usize, Just(8)],
        1..40_usize,
        1..150_usize,
        head_dim,
    )
        .prop_map(|(batch, kv_heads, groups, queries, keys, head_dim)| Shape {
            batch,
            kv_heads,
            groups,
            queries,
            keys,
            head_dim,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn causal_with_and_without_a_window(shape in shapes(), past in 0..130_usize, window in 0..200_usize) {
        let shape = Shape { keys: past + shape.queries, ..shape };
        let window = (window > 0).then_some(window);
        let visible = Visible::causal(past, shape.queries, window, 0..shape.keys);
        check(shape, &visible, |_, query, key| {
            let query = past + query;
            key <= query && window.is_none_or(|window| query - key < window)
        });
    }

    #[test]
    fn padded_rows_and_queries_that_see_nothing(shape in shapes(), pads in prop::array::uniform3(0..60_usize)) {
        let shape = Shape { keys: shape.queries, ..shape };
        let visible = Visible::new(shape.batch, shape.queries, shape.keys, |row, query| {
            Some(pads[row].min(query + 1)..query + 1)
        });
        check(shape, &visible, |row, query, key| (pads[row]..=query).contains(&key));
    }

    #[test]
    fn any_mask(shape in shapes(), seed in any::<u64>(), dense in -1.0..1.0_f32, alike in any::<bool>()) {
        let rows = if alike { 1 } else { shape.batch };
        let masked: Vec<bool> =
            random(rows * shape.queries * shape.keys, seed).into_iter().map(|x| x > dense).collect();
        let visible = Visible::unmasked(rows, shape.queries, shape.keys, &masked);
        check(shape, &visible, |row, query, key| {
            !masked[((row % rows.max(1)) * shape.queries + query) * shape.keys + key]
        });
    }

    #[test]
    fn one_query_over_a_ring(shape in shapes(), gap in 0..150_usize, len in 0..40_usize) {
        // Left padding that the ring still holds, around its seam or not.
        let shape = Shape { queries: 1, ..shape };
        let gap = gap % shape.keys..(gap % shape.keys + len).min(shape.keys);
        let visible = Visible::new(1, 1, shape.keys, |_, _| [gap.end..shape.keys, 0..gap.start]);
        check(shape, &visible, |_, _, key| !gap.contains(&key));
    }
}

/// Long enough for shares of keys and for several threads.
const LONG: [Shape; 4] = [
    Shape {
        batch: 1,
        kv_heads: 1,
        groups: 1,
        queries: 1,
        keys: 5000,
        head_dim: 64,
    },
    Shape {
        batch: 2,
        kv_heads: 2,
        groups: 2,
        queries: 2,
        keys: 2500,
        head_dim: 80,
    },
    Shape {
        batch: 1,
        kv_heads: 1,
        groups: 8,
        queries: 3,
        keys: 3000,
        head_dim: 24,
    },
    Shape {
        batch: 1,
        kv_heads: 2,
        groups: 71,
        queries: 30,
        keys: 600,
        head_dim: 64,
    },
];

#[test]
fn many_keys() {
    for shape in LONG {
        let past = shape.keys - shape.queries;
        let visible = Visible::causal(past, shape.queries, None, 0..shape.keys);
        check(shape, &visible, |_, query, key| key <= past + query);
    }
}

#[test]
fn one_thread_computes_what_many_do() {
    let on = |threads| {
        rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap()
    };
    let (one, many) = (on(1), on(5));
    for shape in LONG {
        let inputs = Inputs::<f32>::new(shape);
        let visible = Visible::causal(
            shape.keys - shape.queries,
            shape.queries,
            Some(2000),
            0..shape.keys,
        );
        for isa in Isa::all() {
            let attend = || inputs.attend(isa, &visible);
            assert!(
                one.install(attend) == many.install(attend),
                "{isa:?} {shape:?}"
            );
        }
    }
}

#[test]
fn halves_are_what_they_stand_for() {
    fn check<T: Float + Default>(widen: fn(T) -> f32) {
        for (groups, queries) in [(2, 1), (3, 30)] {
            let shape = Shape {
                batch: 2,
                kv_heads: 2,
                groups,
                queries,
                keys: 100,
                head_dim: 24,
            };
            let halves = Inputs::<T>::new(shape);
            let visible = Visible::causal(70, queries, Some(65), 0..100);
            let wide = |from: &[T]| from.iter().map(|x| widen(*x)).collect();
            let (k, v) = (wide(&halves.k), wide(&halves.v));
            let floats = Inputs {
                shape,
                q: halves.q.clone(),
                k,
                v,
            };
            for isa in Isa::all() {
                assert!(
                    halves.attend(isa, &visible) == floats.attend(isa, &visible),
                    "{isa:?}"
                );
            }
        }
    }
    check::<f16>(f16::to_f32);
    check::<bf16>(bf16::to_f32);
}

#[test]
fn nan_reaches_the_queries_that_see_it() {
    for groups in [1, 8] {
        let shape = Shape {
            batch: 1,
            kv_heads: 1,
            groups,
            queries: 4,
            keys: 80,
            head_dim: 8,
        };
        let visible = Visible::causal(76, 4, Some(70), 0..80);
        let row = groups * 8;
        let (mut bad_key, mut bad_value) = (Inputs::<f32>::new(shape), Inputs::<f32>::new(shape));
        bad_key.k[8 * 78] = f32::NAN;
        bad_value.v[8 * 78] = f32::NAN;
        for isa in Isa::all() {
            let out = bad_key.attend(isa, &visible);
            assert!(
                out[..2 * row].iter().all(|x| x.is_finite()),
                "{isa:?} {groups}"
            );
            assert!(
                out[2 * row..].iter().all(|x| x.is_nan()),
                "{isa:?} {groups}"
            );
            let out = bad_value.attend(isa, &visible);
            assert!(
                out[2 * row..].iter().step_by(8).all(|x| x.is_nan()),
                "{isa:?} {groups}"
            );
        }
    }
}
