//! Layers on several devices.

use std::num::NonZeroUsize;

use glass_backend::{Device, Dtype, KernelMode, Weights};
use glass_causal_lm::LlamaForCausalLM;
use glass_generate::{Lane, Llama, PrefillOptions, read_whole, step};
use glass_kv_cache::CacheConfig;
use glass_testing::{RandomWeights, devices};

use crate::random_model::{self, tokens};

const SEED: u64 = 11;

/// The model of [`random_model::llama`], layer `n` on `layers[n]`, everything else on `main`.
fn spread(windows: &[Option<usize>], main: &Device, layers: &[Device]) -> Llama {
    let config = random_model::config(windows);
    let mut source = RandomWeights(SEED);
    let weights = Weights::new(&mut source, main, Dtype::F32).with_layer_devices(layers);
    let model = LlamaForCausalLM::load(weights, &config).expect("every tensor is there");
    for (layer, device) in layers.iter().enumerate() {
        assert_eq!(model.layer_device(layer).name(), device.name());
    }
    Llama::new(model, &config, main, Dtype::F32)
}

/// Whole texts in one pass.
fn whole(llama: &Llama, texts: &[&[u32]]) -> Vec<f32> {
    let output = read_whole(llama, texts, 0).expect("a pass");
    output.read().expect("logits").into_values()
}

/// Two texts in company: a chunked prompt each, then token by token. The logits of all tokens, one text after the other.
fn in_steps(llama: &Llama, texts: &[&[u32]]) -> Vec<Vec<f32>> {
    let options =
        PrefillOptions { cache: CacheConfig::default(), prefill_chunk: const { NonZeroUsize::new(5).unwrap() } };
    let lane = |_: &&[u32]| Lane::new(llama, options).expect("the policies fit");
    let mut lanes: Vec<Lane> = texts.iter().map(lane).collect();
    let mut found = vec![vec![]; texts.len()];
    let prompts = |text: &[u32]| text.len() - 4;
    for (lane, text) in lanes.iter_mut().zip(texts) {
        lane.push(&text[..prompts(text)], prompts(text));
    }
    for next in 0..=4 {
        while lanes.iter().any(|lane| lane.unread() > 0) {
            let read: Vec<usize> = lanes.iter().map(Lane::unread).collect();
            let logits = step(llama, &mut lanes).expect("a pass").read();
            let mut values = logits.expect("logits").into_values().into_iter();
            let rows = read.iter().zip(&lanes).map(|(before, lane)| before - lane.unread());
            for (found, rows) in found.iter_mut().zip(rows.collect::<Vec<_>>()) {
                found.extend(values.by_ref().take(rows * llama.config.vocab_size));
            }
        }
        for (lane, text) in lanes.iter_mut().zip(texts) {
            if let Some(&id) = text[prompts(text)..].get(next) {
                lane.push(&[id], 1);
            }
        }
    }
    found
}

fn assert_close(found: &[f32], expected: &[f32], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    let pairs = found.iter().zip(expected);
    let off = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(off <= 1e-4, "{what}: {off} off");
}

/// Wherever its layers are, a model computes the same: windows, masks, angles and caches go along.
#[test]
fn layers_on_several_devices_compute_the_same() {
    let ndarray = Device::open("ndarray").expect("it is built in");
    let flex = devices::flex();
    let plain = flex.clone().with_kernel_mode(KernelMode::Plain);
    let windows = [None, Some(6), None, Some(6), Some(3)];
    let one = random_model::llama(&random_model::config(&windows), SEED, &plain);
    let (long, short) = (tokens(23, 1), tokens(23, 2));
    let texts = [&long[..], &short];
    let steps = [&long[..], &short[..14]];
    let expected = whole(&one, &texts);
    for (main, layers) in [
        (&flex, vec![flex.clone(), ndarray.clone(), plain.clone(), ndarray.clone()]),
        (&ndarray, vec![flex.clone(), flex.clone(), ndarray.clone(), flex.clone(), flex.clone()]),
    ] {
        let llama = spread(&windows, main, &layers);
        let main = main.name();
        assert_close(&whole(&llama, &texts), &expected, &format!("whole, {main}"));
        let (found, expected) = (in_steps(&llama, &steps), in_steps(&one, &steps));
        for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
            assert_close(found, expected, &format!("in steps, {main}, text {number}"));
        }
    }
}

/// A device's limit holds for its own layers.
#[test]
fn a_cache_is_bound_by_the_devices_of_its_layers() {
    // Keys of one token: 2 heads of 8 float32.
    let small = devices::flex().with_max_binding(2 * 8 * 4 * 20);
    let flex = devices::flex();
    for (layers, limit) in
        [([small.clone(), flex.clone()], Some(20)), ([flex.clone(), small], None), ([flex.clone(), flex.clone()], None)]
    {
        // The second layer keeps six.
        let llama = spread(&[None, Some(6)], &flex, &layers);
        let cache = llama.cache(CacheConfig::default()).expect("a cache");
        assert!(cache.check(20).is_ok());
        assert_eq!(cache.check(21).is_err(), limit == Some(20));
    }
}
