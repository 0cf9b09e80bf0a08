//! Weights larger than a binding.

use std::num::NonZeroUsize;

use glass_attention::{Sequences, Unobserved};
use glass_backend::{Dtype, WeightError};
use glass_generate::{Error, Lane, Llama, PrefillOptions, step};
use glass_kv_cache::CacheConfig;
use glass_testing::devices;

use crate::fixture;

#[test]
fn a_low_limit_splits_matrices_and_changes_nothing() {
    for device in devices::all() {
        for name in ["llama-tied", "llama-gqa", "qwen2-bias"] {
            let folder = fixture::root().join(name);
            let expected = fixture::expected(&folder);
            let rows = fixture::rows(&expected["input_ids"]);
            // Rows of 48 and 96 float32: a vocabulary of 128 falls into 19 parts of 7 and one rest.
            let small = device.clone().with_max_binding(7 * 96 * 4);
            let llama = fixture::load(&folder, false, &small, Dtype::F32);
            let whole = fixture::load(&folder, false, &device, Dtype::F32);
            // A pass is bound by the limit too, to seven tokens: they are fed in chunks.
            let options =
                PrefillOptions { prefill_chunk: const { NonZeroUsize::new(7).unwrap() }, ..PrefillOptions::default() };
            let text = &rows[0][..20];
            let mut lane = Lane::new(&llama, options).expect("a lane");
            lane.push(text, text.len());
            let mut found = vec![];
            while lane.unread() > 0 {
                let logits = step(&llama, [&mut lane]).expect("a pass").read();
                found.extend(logits.expect("logits").into_values());
            }
            let expected = &fixture::forward(&whole, &[text.to_vec()], None)["logits"];
            assert_eq!(found.len(), expected.values.len());
            let pairs = found.iter().zip(&expected.values);
            let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            assert!(off <= 2e-5, "{name} on {}: {off} off", device.name());
        }
    }
}

#[test]
fn a_row_that_cannot_be_bound_is_an_error() {
    let device = devices::flex().with_max_binding(100);
    let error =
        Llama::open(&fixture::root().join("llama-gqa"), device).err().expect("48 float32 do not fit into 100 bytes");
    assert!(
        matches!(&error, Error::Weight(WeightError::RowTooLarge { name, .. }) if name == "model.embed_tokens.weight"),
        "{error}"
    );
}

#[test]
fn a_pass_or_a_cache_over_the_limit_is_an_error() {
    let folder = fixture::root().join("llama-gqa");
    let small = devices::flex().with_max_binding(96 * 4 * 8);
    let llama = fixture::load(&folder, false, &small, Dtype::F32);
    let pass = |tokens| {
        let ids = fixture::ids(&llama, &[vec![1; tokens]]);
        let whole = Sequences::WHOLE;
        llama.model.forward(ids, whole, &mut Unobserved)
    };
    assert!(pass(8).is_ok());
    let error = pass(9).expect_err("9 x 96 float32 do not fit").to_string();
    assert!(error.contains("3456 bytes") && error.contains("3072"), "{error}");
    // 2 heads of 16 float32 are 128 bytes per position: 24 positions fit.
    let cache = llama.cache(CacheConfig::default()).expect("a cache");
    assert!(cache.check(24).is_ok());
    let error = cache.check(25).expect_err("too long").to_string();
    assert!(error.contains("25 positions"), "{error}");
}
