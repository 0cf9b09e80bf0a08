//! Weights larger than a binding.

use glass_backend::{Dtype, WeightError};
use glass_generate::{Error, Llama, LoadOptions};
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
            // The limit is about weights; the pass itself has the device's own.
            let llama = Llama {
                device: device.clone(),
                ..llama
            };
            let (a, b) = (
                fixture::forward(&llama, &rows, None),
                fixture::forward(&whole, &rows, None),
            );
            for key in ["hidden.embed", "logits"] {
                let off = fixture::difference(&a[key], &b[key], 1, None);
                assert!(
                    off <= 2e-5,
                    "{name} on {}: {key} is {off} off",
                    device.name()
                );
            }
        }
    }
}

#[test]
fn a_row_that_cannot_be_bound_is_an_error() {
    let device = devices::flex().with_max_binding(100);
    let error = Llama::load(
        &fixture::root().join("llama-gqa"),
        LoadOptions {
            device,
            dtype: Dtype::F32,
            quantize: None,
            widened: false,
            overrides: &[],
            progress: &mut |_, _| {},
        },
    )
    .err()
    .expect("48 float32 do not fit into 100 bytes");
    assert!(
        matches!(&error, Error::Weight(WeightError::RowTooLarge { name, .. }) if name == "model.embed_tokens.weight"),
        "{error}"
    );
}

#[test]
fn a_pass_or_a_cache_over_the_limit_is_an_error() {
    let folder = fixture::root().join("llama-gqa");
    let llama = fixture::load(&folder, false, &devices::flex(), Dtype::F32);
    let small = Llama {
        device: devices::flex().with_max_binding(96 * 4 * 8),
        ..llama
    };
    let mut cache = small.cache(1);
    assert!(cache.begin(1, 8).is_ok());
    let error = cache
        .begin(1, 9)
        .err()
        .expect("9 x 96 float32 do not fit")
        .to_string();
    assert!(
        error.contains("3456 bytes") && error.contains("3072"),
        "{error}"
    );
    // 2 heads of 16 float32 are 128 bytes per position: 24 positions fit.
    assert!(small.cache(1).check(24).is_ok());
    let error = small.cache(1).check(25).expect_err("too long").to_string();
    assert!(error.contains("25 positions"), "{error}");
}
