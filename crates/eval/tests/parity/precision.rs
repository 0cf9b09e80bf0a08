//! Half precision, held to what the format can do.

use glass_backend::Dtype;
use glass_generate::{Llama, LoadOptions};
use glass_testing::{devices, fixtures};

use crate::fixture;

/// A pass rounds about so often per layer: two norms, q, k, v, the rotation, the probabilities, their sum, o, the
/// residual, gate, up, their product, down, the residual again.
const ROUNDINGS_PER_LAYER: f64 = 15.0;

/// And so often beside the layers: the embedding, the last norm, the head.
const ROUNDINGS_BESIDE: f64 = 3.0;

#[test]
fn half_precision_is_off_by_its_own_rounding_and_no_more() {
    for device in devices::all() {
        for &dtype in device.dtypes().iter().filter(|&&dtype| dtype != Dtype::F32) {
            for folder in fixture::all() {
                let name = fixture::name(&folder);
                let expected = fixture::expected(&folder);
                let rows = fixture::rows(&expected["input_ids"]);
                let mask = expected.get("attention_mask").map(fixture::mask);
                let llama = fixture::load(&folder, false, &device, dtype);
                let found = fixture::forward(&llama, &rows, mask.as_deref());

                let logits = &expected["logits"].values;
                let largest = logits.iter().fold(0.0, |max: f64, x| max.max(f64::from(x.abs())));
                let layers = llama.config.layers.len() as f64;
                // Every rounding, weights included, moves the logits by up to the unit roundoff of the largest of
                // them; in the worst case all roundings go one way.
                let allowed = dtype.unit_roundoff() * (ROUNDINGS_PER_LAYER * layers + ROUNDINGS_BESIDE) * largest;
                let off = fixture::difference(&found["logits"], &expected["logits"], 1, mask.as_deref());
                assert!(
                    f64::from(off) <= allowed,
                    "{name} in {dtype} on {}: {off} off, {allowed} allowed",
                    device.name()
                );
                // And it must be half precision that was computed, not float32 under its name.
                assert!(f64::from(off) > allowed / 1e4, "{name} in {dtype}: {off} is too good");
            }
        }
    }
}

/// Matrices of a type that a device keeps and does not compute in are the numbers of that type, and nothing is rounded to it.
#[test]
fn packed_matrices_are_float32_of_the_same_numbers() {
    let Some(device) = devices::wgpu().filter(|device| device.computes(Dtype::BF16) == Dtype::F32) else {
        return;
    };
    // All of them are stored in it.
    for name in ["llama-bf16", "families/gemma2", "families/mixtral", "families/mamba"] {
        let folder = fixtures::root().join(name);
        let load = |device, precision| {
            let options = LoadOptions { device, precision, overrides: &[], progress: &mut |_, _| {} };
            Llama::load(&folder, options).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let ours = load(device.clone(), None);
        assert_eq!((ours.precision, ours.dtype), (Dtype::BF16.into(), Dtype::F32), "{name}");
        assert!(ours.warnings.iter().all(|warning| !warning.contains("f32")), "{name}: {:?}", ours.warnings);
        let theirs = load(devices::flex(), Some(Dtype::F32.into()));
        let rows: Vec<Vec<u32>> = vec![(1..30).map(|i| 7 * i % ours.config.vocab_size as u32).collect()];
        let [ours, theirs] =
            [&ours, &theirs].map(|llama| fixture::forward(llama, &rows, None)["logits"].values.clone());
        let largest = theirs.iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let off = ours.iter().zip(&theirs).fold(0.0f32, |max, (a, b)| max.max((a - b).abs()));
        assert!(ours.len() == theirs.len() && off < 1e-4 * largest, "{name}: {off} of {largest}");
    }
}
