//! What models ask of a graphics adapter, where there is one.

use glass_backend::{Device, Dtype};
use glass_bench::{Counts, SEED, Task, TaskTraffic, random_model, traffic};
use glass_config::LlamaConfig;
use glass_generate::Llama;

/// The shape of stories260K: five layers of a plain Llama.
const STORIES: &str = r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 172,
    "num_hidden_layers": 5, "num_attention_heads": 8, "num_key_value_heads": 4, "tie_word_embeddings": true,
    "max_position_embeddings": 512}"#;
/// That of the built-in model: four layers with a window.
const BUILT_IN: &str = include_str!("../../../../weights/shakespeare-window/config.json");

fn model(config: &str, device: &Device) -> Llama {
    let config = LlamaConfig::from_json(config, "test", &[]).unwrap();
    random_model(&config, device, Dtype::F32.into(), SEED).unwrap()
}

fn adapter() -> Option<Device> {
    match Device::open("wgpu") {
        Ok(device) => Some(device),
        Err(error) if std::env::var_os("GLASS_REQUIRE_WGPU").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("not tested on wgpu: {error}");
            None
        }
    }
}

/// Counted twice, behind texts of two lengths: the second time everything is compiled and tuned.
fn counted(llama: &Llama) -> [TaskTraffic; 2] {
    let task = |depth| Task { depth, prompt: 20, new_tokens: 0 };
    traffic(llama, task(0)).unwrap();
    [0, 7].map(|depth| {
        traffic(llama, task(depth)).unwrap();
        traffic(llama, task(depth)).unwrap().unwrap()
    })
}

#[test]
fn a_cpu_is_asked_for_nothing() {
    let llama = model(STORIES, &Device::open("flex").unwrap());
    assert_eq!(traffic(&llama, Task { depth: 0, prompt: 3, new_tokens: 1 }).unwrap(), None);
}

/// Whoever adds a launch to a token says so here. GPUs have six in each layer, and beside them the embedding and the head, which
/// norms. One test, because what it counts is the process's.
#[test]
fn no_token_asks_for_more_than_this() {
    let Some(device) = adapter() else {
        return;
    };
    let gpu = device.clone().with_gpu_kernels();
    for (config, device, layers, most) in [
        (STORIES, &gpu, 5, Counts { launches: 32, submissions: 2, uploads: 1, bytes_read: 4 * 512, waits: 1 }),
        (STORIES, &device, 5, Counts { launches: 43, submissions: 2, uploads: 1, bytes_read: 4 * 512, waits: 1 }),
        (BUILT_IN, &device, 4, Counts { launches: 35, submissions: 2, uploads: 1, bytes_read: 4 * 66, waits: 1 }),
    ] {
        let llama = model(config, device);
        assert_eq!((llama.config.layers.len(), 4 * llama.config.vocab_size as u64), (layers, most.bytes_read));
        let [first, later] = counted(&llama);
        // Where the adapter has not been yet, rotation and attention bring their numbers: once for all layers that are alike.
        let new = traffic(&llama, Task { depth: 31, prompt: 20, new_tokens: 0 }).unwrap().unwrap().token;
        assert!(new.uploads <= most.uploads + 2, "{new:?}");
        let Counts { launches, submissions, uploads, bytes_read, waits } = first.token;
        assert!(launches <= most.launches && submissions <= most.submissions && uploads <= most.uploads, "{first:?}");
        assert_eq!((bytes_read, waits), (most.bytes_read, most.waits), "{first:?}");
        assert_eq!(later.token, first.token, "tokens are alike, wherever they stand");
        assert!(first.prefill.bytes_read == most.bytes_read && first.prefill.waits == 1, "{first:?}");
    }
}
