//! What a token takes of the heap, on the thread that computes it.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use glass_backend::Device;
use glass_bench::{Precision, SEED, Text, random_model};
use glass_config::LlamaConfig;
use glass_generate::{Sampler, SamplingConfig};

thread_local! {
    /// Pieces of memory that this thread has taken.
    static TAKEN: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static COUNTING: Counting = Counting;

fn count() {
    TAKEN.set(TAKEN.get() + 1);
}

// SAFETY: the system's allocator does the work.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count();
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// What a token takes, behind eight or some more: what most of several take, because helpers that are at other tests' work cost some.
fn of_token(family: &str, layers: usize, precision: Precision) -> usize {
    let config = format!(
        r#"{{"model_type": "{family}", "vocab_size": 1000, "hidden_size": 512, "intermediate_size": 1408,
            "num_hidden_layers": {layers}, "num_attention_heads": 8, "num_key_value_heads": 4,
            "tie_word_embeddings": true, "max_position_embeddings": 512}}"#
    );
    let config = LlamaConfig::from_json(&config, "test", &[]).unwrap();
    let llama = random_model(&config, &Device::open("flex").unwrap(), precision, SEED).unwrap();
    let mut text = Text::new(&llama, 64).unwrap();
    let mut sampler = Sampler::new(SamplingConfig::default()).unwrap();
    let mut id = sampler.sample(&mut text.logits_after(0..8).unwrap(), &[]).unwrap();
    let mut token = || {
        let before = TAKEN.get();
        id = sampler.sample(&mut text.step(id).unwrap(), &[]).unwrap();
        TAKEN.get() - before
    };
    let taken: Vec<usize> = (0..24).map(|_| token()).collect();
    let often = |count: usize| taken.iter().filter(|other| **other == count).count();
    taken.iter().copied().max_by_key(|count| often(*count)).unwrap()
}

/// Layers of decode take nothing, where the sums of the residual stream are the products'. Whoever lets a pass take more for itself says so here.
#[test]
fn no_operation_of_a_token_asks_for_memory() {
    for name in ["f32", "q8", "q4"] {
        let precision: Precision = name.parse().unwrap();
        // With biases, and with norms of queries and keys.
        for family in ["llama", "qwen2", "qwen3"] {
            let [one, four] = [1, 4].map(|layers| of_token(family, layers, precision));
            eprintln!("{family} in {name}: {one} with one layer, {four} with four");
            assert_eq!(one, four, "{family} in {name}: what more layers take");
            assert!(one <= 50, "{family} in {name}: {one} beside the layers");
        }
    }
}
