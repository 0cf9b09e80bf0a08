use half::{bf16, f16};
use proptest::prelude::*;

use super::*;
use crate::{
    float::Float,
    testing::{assert_same_on_any_threads, random},
};

mod definition;

use definition::{Inputs, Rounded, Shape};

fn check(inputs: &Inputs<f32>) {
    let (defined, bounds) = inputs.defined();
    for isa in Isa::all() {
        let out = inputs.attend(isa);
        for (at, ((out, defined), bound)) in out.iter().zip(&defined).zip(&bounds).enumerate() {
            let off = (f64::from(*out) - defined).abs();
            let shape = inputs.shape;
            assert!(off <= *bound, "{isa:?} {shape:?} at {at}: {out} for {defined}, bound {bound}");
        }
    }
}

/// The last `keys` positions up to the queries' own.
fn causal(first_query: usize, queries: usize, keys: usize, window: Option<usize>) -> (usize, KeyMask) {
    let first = first_query + queries - keys;
    let mask = KeyMask { positions: KeyPositions::Run { first }, first_key: 0, window };
    (keys, mask)
}

fn shapes() -> impl Strategy<Value = Shape> {
    let head_dim = prop_oneof![Just(2), Just(8), Just(24), Just(64), Just(80), Just(100)];
    let groups = prop_oneof![1..5_usize, Just(8)];
    (0..3_usize, 1..4_usize, groups, 1..40_usize, head_dim)
        .prop_map(|(batch, kv_heads, groups, queries, head_dim)| Shape { batch, kv_heads, groups, queries, head_dim })
}

/// A run or a ring, near the queries or far from them, with or without a window; some of its keys, or all, may be unseen.
fn segments(first_query: usize, queries: usize) -> impl Strategy<Value = (usize, KeyMask)> {
    let window = prop_oneof![Just(None), (1..200_usize).prop_map(Some)];
    (any::<bool>(), 1..150_usize, 0..200_usize, 0..300_usize, window).prop_map(
        move |(ring, keys, back, first_key, window)| {
            let end = first_query + queries + 3;
            let positions = if ring {
                KeyPositions::Ring { end: end.saturating_sub(back % 9), len: keys }
            } else {
                KeyPositions::Run { first: end.saturating_sub(back) }
            };
            let mask = KeyMask { positions, first_key: if first_key > 150 { 0 } else { first_key }, window };
            (keys, mask)
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn causal_attention_is_the_definition(shape in shapes(), past in 0..130_usize, window in 0..200_usize) {
        let window = (window > 0).then_some(window);
        let segment = causal(past, shape.queries, past + shape.queries, window);
        check(&Inputs::new(shape, past, &[segment]));
    }

    #[test]
    fn one_query_over_a_ring_is_the_definition(
        shape in shapes(),
        len in 1..150_usize,
        query in 0..400_usize,
        first_key in 0..30_usize,
    ) {
        let shape = Shape { queries: 1, ..shape };
        let positions = KeyPositions::Ring { end: query + 1, len };
        let mask = KeyMask { positions, first_key, window: Some(len) };
        check(&Inputs::new(shape, query, &[(len, mask)]));
    }

    #[test]
    fn segments_caps_and_sinks_are_the_definition(
        (shape, first_query, segments) in (shapes(), 0..300_usize).prop_flat_map(|(shape, first)| {
            let segments = prop::collection::vec(segments(first, shape.queries), 1..4);
            (Just(shape), Just(first), segments)
        }),
        soft_cap in prop_oneof![Just(None), (0.5..60.0_f32).prop_map(Some)],
        sink in prop_oneof![Just(None), (-9.0..9.0_f32).prop_map(Some)],
    ) {
        let mut inputs = Inputs::new(shape, first_query, &segments);
        inputs.soft_cap = soft_cap;
        inputs.sinks = sink.map(|sink| (0..shape.heads()).map(|head| sink + head as f32).collect());
        check(&inputs);
    }

    #[test]
    fn texts_together_have_the_bits_of_each_alone(
        of_all in shapes(),
        texts in prop::collection::vec(
            (1..60_usize, 0..300_usize)
                .prop_flat_map(|(queries, first)| {
                    let segments = prop::collection::vec(segments(first, queries), 1..4);
                    (Just(queries), Just(first), segments)
                }),
            1..9,
        ),
        with_sinks in any::<bool>(),
    ) {
        let sinks = with_sinks.then(|| random(of_all.heads(), 7));
        let text = |(queries, first, segments): &(usize, usize, Vec<_>)| {
            Inputs { sinks: sinks.clone(), ..Inputs::<f32>::new(Shape { queries: *queries, ..of_all }, *first, segments) }
        };
        let texts: Vec<Inputs<f32>> = texts.iter().map(text).collect();
        for isa in Isa::all() {
            for (text, out) in texts.iter().zip(Inputs::attend_together(&texts, isa)) {
                prop_assert!(same_bits(&out, &text.attend(isa)), "{isa:?} {:?}", text.shape);
            }
        }
    }
}

fn same_bits(a: &[f32], b: &[f32]) -> bool {
    a.iter().map(|x| x.to_bits()).eq(b.iter().map(|x| x.to_bits()))
}

/// Long enough for chunks of keys and for several threads; keys of each.
const LONG: [(Shape, usize); 4] = [
    (Shape { batch: 1, kv_heads: 1, groups: 1, queries: 1, head_dim: 64 }, 5000),
    (Shape { batch: 2, kv_heads: 2, groups: 2, queries: 2, head_dim: 80 }, 2500),
    (Shape { batch: 1, kv_heads: 1, groups: 8, queries: 3, head_dim: 24 }, 3000),
    (Shape { batch: 1, kv_heads: 2, groups: 71, queries: 30, head_dim: 64 }, 600),
];

#[test]
fn many_keys_are_the_definition() {
    for (shape, keys) in LONG {
        let first_query = keys - shape.queries;
        let segment = causal(first_query, shape.queries, keys, None);
        check(&Inputs::new(shape, first_query, &[segment]));
    }
}

#[test]
fn threads_do_not_change_the_result() {
    for (shape, keys) in LONG {
        let first_query = keys - shape.queries;
        let segment = causal(first_query, shape.queries, keys, Some(2000));
        let inputs = Inputs::<f32>::new(shape, first_query, &[segment]);
        for isa in Isa::all() {
            assert_same_on_any_threads(&format!("{isa:?} {shape:?}"), || inputs.attend(isa));
        }
    }
}

/// Keys of one text in several chunks, queries of another in several tiles.
#[test]
fn nor_do_other_texts_on_any_threads() {
    let texts = [(1, 5), (1, 2500), (30, 600), (3, 1500), (1, 1)].map(|(queries, keys)| {
        let shape = Shape { batch: 1, kv_heads: 2, groups: 3, queries, head_dim: 24 };
        Inputs::<f32>::new(shape, keys - queries, &[causal(keys - queries, queries, keys, Some(2000))])
    });
    for isa in Isa::all() {
        let alone: Vec<f32> = texts.iter().flat_map(|text| text.attend(isa)).collect();
        let together = || Inputs::attend_together(&texts, isa).concat();
        assert!(same_bits(&together(), &alone), "{isa:?}");
        assert_same_on_any_threads(&format!("{isa:?}, together"), together);
    }
}

/// A cache cut in two, as a forked sequence has it, up to the rounding of where its keys are cut into blocks.
#[test]
fn two_segments_are_the_one_they_make() {
    for (groups, queries) in [(1, 1), (3, 1), (4, 20)] {
        let shape = Shape { batch: 1, kv_heads: 2, groups, queries, head_dim: 16 };
        let (first_query, window) = (190, Some(150));
        let segment = causal(first_query, queries, 190 + queries, window);
        let whole = Inputs::<f32>::new(shape, first_query, &[segment]);
        for cut in [64, 100, 150] {
            let mut halves = whole.clone();
            let tail = 190 + queries - cut;
            let of = |keys: usize, from: usize| {
                let held = &whole.segments[0];
                let part = |all: &[f32]| -> Vec<f32> {
                    let heads = all.chunks((held.keys + 3) * 16);
                    heads.flat_map(|head| head[from * 16..(from + keys + 3) * 16].to_vec()).collect()
                };
                let mut part = definition::Held { keys, k: part(&held.k), v: part(&held.v), ..held.clone() };
                part.mask.positions = KeyPositions::Run { first: from };
                part
            };
            halves.segments = vec![of(cut, 0), of(tail, cut)];
            check(&halves);
            for isa in Isa::all() {
                for (one, two) in whole.attend(isa).iter().zip(halves.attend(isa)) {
                    assert!((one - two).abs() < 1e-5, "{isa:?} {groups} {cut}: {one} {two}");
                }
            }
        }
    }
}

#[test]
fn halves_are_what_they_stand_for() {
    fn check<T: Float + Default>(widen: fn(T) -> f32) {
        for (groups, queries) in [(2, 1), (3, 30)] {
            let shape = Shape { batch: 2, kv_heads: 2, groups, queries, head_dim: 24 };
            let segment = causal(100 - queries, queries, 100, Some(65));
            let halves = Inputs::<T>::new(shape, 100 - queries, &[segment]);
            let wide = |from: &[T]| from.iter().map(|x| widen(*x)).collect();
            let held = &halves.segments[0];
            let floats = Inputs {
                shape,
                first_query: halves.first_query,
                soft_cap: None,
                sinks: None,
                segments: vec![definition::Held {
                    keys: held.keys,
                    mask: held.mask,
                    q: held.q.clone(),
                    k: wide(&held.k),
                    v: wide(&held.v),
                }],
            };
            for isa in Isa::all() {
                assert!(halves.attend(isa) == floats.attend(isa), "{isa:?}");
            }
        }
    }
    check::<f16>(f16::to_f32);
    check::<bf16>(bf16::to_f32);
}

#[test]
fn nan_reaches_the_queries_that_see_it() {
    for groups in [1, 8] {
        let shape = Shape { batch: 1, kv_heads: 1, groups, queries: 4, head_dim: 8 };
        let row = groups * 8;
        let inputs = Inputs::<f32>::new(shape, 76, &[causal(76, 4, 80, Some(70))]);
        let (mut bad_key, mut bad_value) = (inputs.clone(), inputs);
        bad_key.segments[0].k[8 * 78] = f32::NAN;
        bad_value.segments[0].v[8 * 78] = f32::NAN;
        for isa in Isa::all() {
            let out = bad_key.attend(isa);
            assert!(out[..2 * row].iter().all(|x| x.is_finite()), "{isa:?} {groups}");
            assert!(out[2 * row..].iter().all(|x| x.is_nan()), "{isa:?} {groups}");
            let out = bad_value.attend(isa);
            let mut of_value = out[2 * row..].iter().step_by(8);
            assert!(of_value.all(|x| x.is_nan()), "{isa:?} {groups}");
        }
    }
}

#[test]
fn queries_that_see_nothing_get_zeros() {
    let shape = Shape { batch: 1, kv_heads: 1, groups: 2, queries: 3, head_dim: 8 };
    let mut inputs = Inputs::<f32>::new(shape, 5, &[causal(50, 3, 4, None)]);
    for sinks in [None, Some(random(2, 1))] {
        inputs.sinks = sinks;
        for isa in Isa::all() {
            assert_eq!(inputs.attend(isa), [0.0; 48], "{isa:?}");
        }
    }
}

#[test]
fn eight_bits_are_what_they_stand_for() {
    for (groups, queries, keys) in [(1, 1, 70), (3, 1, 100), (4, 1, 65), (3, 30, 100), (2, 1, 2500)] {
        for head_dim in [8, 24, 64, 80, 128] {
            let shape = Shape { batch: 2, kv_heads: 2, groups, queries, head_dim };
            let segment = causal(keys - queries, queries, keys, Some(2000));
            let inputs = Inputs::<f32>::new(shape, keys - queries, &[segment]);
            for isa in Isa::all() {
                let (out, numbers) = inputs.attend_rounded(isa);
                assert!(out == numbers.attend(isa), "{isa:?} {shape:?}");
            }
        }
    }
}

#[test]
fn vectors_in_8_bits_are_within_half_a_scale() {
    for head_dim in [1, 8, 32, 33, 64, 80] {
        let mut x = random(50 * head_dim, 3);
        for (i, x) in x.iter_mut().enumerate() {
            *x *= 2f32.powi((i / 40 % 60) as i32 - 30);
        }
        let rounded = Rounded::new(&x, head_dim);
        let vectors = x.chunks(head_dim).flat_map(|vector| vector.chunks(32)).zip(&rounded.scales);
        let numbers = rounded.numbers(head_dim);
        let mut numbers = numbers.iter();
        for (x, scale) in vectors {
            assert_eq!(*scale, x.iter().fold(0.0_f32, |max, x| max.max(x.abs())) / 127.0);
            for x in x {
                let off = f64::from(*x) - f64::from(*numbers.next().unwrap());
                assert!(off.abs() <= f64::from(*scale) / 2.0 * (1.0 + 2f64.powi(-15)), "{x} is off by {off}");
            }
        }
    }
    for bad in [f32::NAN, f32::INFINITY] {
        let mut x = vec![1.0; 64];
        x[3] = bad;
        let numbers = Rounded::new(&x, 64).numbers(64);
        assert!(numbers[..32].iter().all(|x| x.is_nan()) && numbers[32..].iter().all(|x| (x - 1.0).abs() < 1e-6));
    }
}
