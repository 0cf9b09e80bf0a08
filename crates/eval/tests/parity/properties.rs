//! Any way of feeding the same ids gives the same logits; the window means what it says.

use glass_attention::{NextTokens, Sequences, Unobserved};
use glass_generate::Llama;
use glass_kv_cache::{CacheConfig, KvCache};
use glass_testing::devices;
use proptest::{prelude::*, test_runner::TestRunner};

use crate::{fixture, random_model};

/// Two ways of one sum differ by rounding; logits here are of the order of 1.
pub const SAME: f32 = 5e-5;

/// Logits `[seq, vocab]` of each text, when all are fed together in pieces of these lengths (the last one repeats), each with
/// a cache of its own.
pub fn in_pieces(llama: &Llama, texts: &[Vec<u32>], pieces: &[usize]) -> Vec<Vec<Vec<f32>>> {
    in_pieces_with(CacheConfig::default(), llama, texts, pieces)
}

/// The same with other caches.
pub fn in_pieces_with(config: CacheConfig, llama: &Llama, texts: &[Vec<u32>], pieces: &[usize]) -> Vec<Vec<Vec<f32>>> {
    let cache = |_: &Vec<u32>| llama.cache(config).expect("a cache");
    let mut caches: Vec<KvCache> = texts.iter().map(cache).collect();
    let mut logits: Vec<Vec<Vec<f32>>> = vec![vec![]; texts.len()];
    let mut turn = 0;
    while logits.iter().zip(texts).any(|(row, text)| row.len() < text.len()) {
        let piece = pieces[turn.min(pieces.len() - 1)].max(1);
        turn += 1;
        let (mut ids, mut next, mut lengths) = (vec![], vec![], vec![]);
        for (text, cache) in texts.iter().zip(&mut caches) {
            let read = cache.len()..text.len().min(cache.len() + piece);
            let tokens = read.len();
            lengths.push(tokens);
            ids.extend_from_slice(&text[read]);
            if tokens > 0 {
                next.push(NextTokens { cache, tokens });
            }
        }
        let out = llama.model.forward(fixture::ids(llama, &[ids]), Sequences::Next(&mut next), &mut Unobserved);
        let out = fixture::host(out.expect("a pass"));
        let mut rows = out.values.chunks(out.shape[2]).map(<[f32]>::to_vec);
        for (row, tokens) in logits.iter_mut().zip(lengths) {
            row.extend(rows.by_ref().take(tokens));
        }
    }
    logits
}

/// Logits `[batch, seq, vocab]` of one pass without a cache, every score at once.
pub fn whole(llama: &Llama, rows: &[Vec<u32>], mask: Option<&[Vec<bool>]>) -> Vec<Vec<Vec<f32>>> {
    let out = &fixture::forward(llama, rows, mask)["logits"];
    let (seq, vocab) = (out.shape[1], out.shape[2]);
    out.values.chunks(seq * vocab).map(|row| row.chunks(vocab).map(<[f32]>::to_vec).collect()).collect()
}

/// The largest difference of two rows of logits.
pub fn apart(a: &[Vec<f32>], b: &[Vec<f32>]) -> f32 {
    assert_eq!(a.len(), b.len());
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    pairs.map(|(a, b)| (a - b).abs()).fold(0.0, |max, d| if d.is_nan() { f32::INFINITY } else { max.max(d) })
}

/// Random models, texts, windows and splits, as many as a backend's speed allows.
#[test]
fn chunked_and_cached_and_padded_equal_whole() {
    for device in devices::all() {
        let cases = if devices::is_wgpu(&device) { 12 } else { 60 };
        let mut runner =
            TestRunner::new(ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() });
        let strategy = (
            prop::collection::vec(prop::option::of(1usize..20), 1..4),
            1usize..24,
            prop::collection::vec(1usize..9, 1..4),
            prop::collection::vec(0usize..6, 1..4),
            any::<u64>(),
        );
        runner
            .run(&strategy, |(windows, seq, pieces, pads, seed)| {
                let llama = random_model::llama(&random_model::config(&windows), seed, &device);
                // Row r has `pads[r]` places of padding on its left, of ids that must not matter.
                let rows: Vec<Vec<u32>> = (0..pads.len()).map(|r| random_model::tokens(seq, seed ^ r as u64)).collect();
                let mask: Vec<Vec<bool>> =
                    pads.iter().map(|&pad| (0..seq).map(|slot| slot >= pad.min(seq - 1)).collect()).collect();
                let padded = whole(&llama, &rows, Some(&mask));
                let texts: Vec<Vec<u32>> =
                    rows.iter().zip(&pads).map(|(row, &pad)| row[pad.min(seq - 1)..].to_vec()).collect();
                let together = in_pieces(&llama, &texts, &pieces);
                for (r, text) in texts.iter().enumerate() {
                    let alone = [text.clone()];
                    let expected = whole(&llama, &alone, None).swap_remove(0);
                    let pieces_alone = in_pieces(&llama, &alone, &pieces).swap_remove(0);
                    prop_assert!(apart(&pieces_alone, &expected) <= SAME, "in pieces, row {r}");
                    prop_assert!(apart(&together[r], &expected) <= SAME, "together, row {r}");
                    prop_assert!(apart(&padded[r][seq - text.len()..], &expected) <= SAME, "padded, row {r}");
                }
                Ok(())
            })
            .unwrap_or_else(|error| panic!("on {}: {error}", device.name()));
    }
}

/// Windows and lengths around every edge: as long as the window, one less, one more, twice round the ring and one more;
/// and for one length, windows around it and far above.
fn edges() -> impl Iterator<Item = (usize, usize)> {
    let around = |w: usize| [w - 1, w, w + 1, 2 * w, 2 * w + 1].map(|seq| (w, seq));
    let windows = [1, 2, 3, 7].into_iter().flat_map(around);
    let lengths = [9, 10, 11, 40].map(|w| (w, 10));
    windows.chain(lengths).filter(|(_, seq)| *seq > 0)
}

/// Mask over everything == ring, token by token, in pieces, and in company == blocks == rows padded to one length.
#[test]
fn every_window_by_ring_and_by_blocks_equals_its_mask() {
    for device in devices::all() {
        for (w, seq) in edges() {
            let config = random_model::config(&[Some(w), None, Some(w)]);
            let llama = random_model::llama(&config, w as u64, &device);
            let rows = [random_model::tokens(seq, 5)];
            let masked = whole(&llama, &rows, None).swap_remove(0);
            let same = |what: &str, found: &[Vec<f32>], expected: &[Vec<f32>]| {
                let off = apart(found, expected);
                let device = device.name();
                assert!(off <= SAME, "{device}: W {w} seq {seq} {what}: {off}");
            };
            for pieces in [&[1][..], &[seq], &[w], &[3, 1], &[w + 1]] {
                let ring = in_pieces(&llama, &rows, pieces).swap_remove(0);
                same(&format!("{pieces:?}"), &ring, &masked);
            }
            // Rows of which the first places are padding: each gives what its tokens give alone.
            let pads: Vec<usize> = [0, 1, w].map(|pad| pad.min(seq - 1)).to_vec();
            let padded: Vec<Vec<u32>> =
                pads.iter().map(|&pad| [&vec![0; pad], &rows[0][..seq - pad]].concat()).collect();
            let mask: Vec<Vec<bool>> = pads.iter().map(|&pad| (0..seq).map(|slot| slot >= pad).collect()).collect();
            let padded = whole(&llama, &padded, Some(&mask));
            let texts: Vec<Vec<u32>> = pads.iter().map(|&pad| rows[0][..seq - pad].to_vec()).collect();
            let together = in_pieces(&llama, &texts, &[2, 1]);
            for ((padded, together), &pad) in padded.iter().zip(&together).zip(&pads) {
                same("padded", &padded[pad..], &masked[..seq - pad]);
                same("together", together, &masked[..seq - pad]);
            }
            if devices::is_wgpu(&device) {
                continue; // the cutting into blocks is the same code on every backend
            }
            // What a pass over so many tokens binds at least, which is less than their scores: eight queries to a block.
            let small = device.clone().with_max_binding((seq * 48 * 4) as u64);
            let llama = random_model::llama(&config, w as u64, &small);
            same("blocks", &whole(&llama, &rows, None)[0], &masked);
        }
    }
}

#[test]
fn a_window_as_long_as_the_text_is_full_attention() {
    for device in devices::all() {
        let seq = 11;
        let rows = [random_model::tokens(seq, 8)];
        let full = random_model::llama(&random_model::config(&[None, None]), 3, &device);
        let full = whole(&full, &rows, None).swap_remove(0);
        for (w, same) in [(seq - 2, false), (seq, true), (seq + 9, true)] {
            let config = random_model::config(&[Some(w), Some(w)]);
            let llama = random_model::llama(&config, 3, &device);
            let off = apart(&whole(&llama, &rows, None)[0], &full);
            assert_eq!(off <= SAME, same, "{}: W {w}: {off}", device.name());
        }
    }
}

/// A token changes the outputs within `layers * (W - 1)` positions behind it, and none beyond.
#[test]
fn what_is_out_of_reach_changes_nothing() {
    let (layers, seq, changed) = (2, 16, 4);
    for device in devices::all() {
        for w in [1, 2, 3, 7] {
            let config = random_model::config(&vec![Some(w); layers]);
            let llama = random_model::llama(&config, 21, &device);
            let row = random_model::tokens(seq, 9);
            let mut other = row.clone();
            other[changed] = (other[changed] + 1) % 50;
            for pieces in [&[4][..], &[seq], &[1]] {
                let a = in_pieces(&llama, std::slice::from_ref(&row), pieces).swap_remove(0);
                let b = in_pieces(&llama, std::slice::from_ref(&other), pieces).swap_remove(0);
                for position in 0..seq {
                    let same = a[position] == b[position];
                    let within = (changed..=changed + layers * (w - 1)).contains(&position);
                    let device = device.name();
                    assert_eq!(same, !within, "{device}: W {w}, position {position}");
                }
            }
        }
    }
}

#[test]
fn a_ring_is_as_large_as_its_window_however_long_the_text() {
    let device = devices::flex();
    let config = random_model::config(&[Some(6), Some(6)]);
    let llama = random_model::llama(&config, 2, &device);
    let mut cache = llama.cache(CacheConfig::default()).expect("a cache");
    let mut sizes = vec![];
    for id in random_model::tokens(60, 1) {
        let next = NextTokens { cache: &mut cache, tokens: 1 };
        let step =
            llama.model.forward(fixture::ids(&llama, &[vec![id]]), Sequences::Next(&mut [next]), &mut Unobserved);
        step.expect("a step");
        sizes.push(cache.bytes());
    }
    // 2 layers, keys and values, 2 heads of 8 float32, 6 positions.
    assert!(sizes.iter().all(|&bytes| bytes == 2 * 2 * 2 * 8 * 4 * 6), "{sizes:?}");
}

#[test]
fn tokens_that_no_sequence_has_are_an_error() {
    let device = devices::flex();
    let llama = random_model::llama(&random_model::config(&[None]), 2, &device);
    let mut cache = llama.cache(CacheConfig::default()).expect("a cache");
    let next = NextTokens { cache: &mut cache, tokens: 1 };
    let error = llama.model.forward(fixture::ids(&llama, &[vec![1, 2]]), Sequences::Next(&mut [next]), &mut Unobserved);
    assert_eq!(
        error.expect_err("two tokens for one").to_string(),
        "the sequences have 1 next tokens together, but the pass has 2"
    );
    assert!(cache.is_empty());
}
