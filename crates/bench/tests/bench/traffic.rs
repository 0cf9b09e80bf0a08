//! What models ask of a graphics adapter, where there is one.

use crate::formats;
use glass_backend::{Device, Dtype, TrafficCounter};
use glass_bench::{Counts, SEED, Task, TaskTraffic, random_model, traffic};
use glass_config::LlamaConfig;
use glass_generate::{Engine, GenerateOptions, Lane, Llama, SamplingConfig, Sequence};

/// The shape of stories260K: five layers of a plain Llama.
pub const STORIES: &str = r#"{"model_type": "llama", "vocab_size": 512, "hidden_size": 64, "intermediate_size": 172,
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
        // Where the adapter has not been yet, a token brings no more.
        let new = traffic(&llama, Task { depth: 31, prompt: 20, new_tokens: 0 }).unwrap().unwrap().token;
        assert_eq!(new, first.token, "a position that is new");
        let Counts { launches, submissions, uploads, bytes_read, waits } = first.token;
        assert!(launches <= most.launches && submissions <= most.submissions && uploads <= most.uploads, "{first:?}");
        assert_eq!((bytes_read, waits), (most.bytes_read, most.waits), "{first:?}");
        assert_eq!(later.token, first.token, "tokens are alike, wherever they stand");
        assert!(first.prefill.bytes_read == most.bytes_read && first.prefill.waits == 1, "{first:?}");
        chosen_tokens_ask_for_little(&llama);
    }
    formats::no_format_asks_for_more(&gpu);
}

/// Every token of texts that go through all positions from 20 to 320, behind none that anybody was at: its id goes up, 4 bytes,
/// and 20 by which it is drawn; 12 come down. Windows are full behind 64, and rings go round.
fn chosen_tokens_ask_for_little(llama: &Llama) {
    let drawn = SamplingConfig { temperature: 0.8, top_k: 40, top_p: 0.95, min_p: 0.01, ..SamplingConfig::default() };
    let draws = llama.device.kernel_set().draws();
    for (sampling, is_drawn) in [(SamplingConfig::default(), false), (drawn, true)] {
        let options = GenerateOptions { sampling, ..GenerateOptions::new(300) };
        let prompt: Vec<u32> = (0..20).collect();
        let mut lane = Lane::new(llama, options.prefill).unwrap();
        lane.reserve(320, 320).unwrap();
        let mut engine = Engine::new(llama);
        let sequence = Sequence::new(&prompt, &options, llama.config.vocab_size, None).unwrap();
        let text = engine.add(sequence, lane).unwrap();
        // A prompt, and the first token, whose kernels are compiled.
        let mut step = |counter: Option<&mut TrafficCounter>| {
            let read = engine.step().unwrap().read().unwrap();
            let counts = counter.map(|counter| Counts::from(counter.take()));
            engine.advance(read).into_iter().for_each(|(_, event)| drop(event.unwrap()));
            (counts, engine.is_working(text))
        };
        for _ in 0..2 {
            step(None);
        }
        let mut counter = TrafficCounter::start(&llama.device).unwrap();
        let (mut tokens, mut works) = (0, true);
        while works {
            let (counts, goes_on) = step(Some(&mut counter));
            let Counts { uploads, bytes_read, waits, submissions, .. } = counts.unwrap();
            let most = match (is_drawn, draws) {
                (true, true) => (2, 12),
                (true, false) => (1, 4 * llama.config.vocab_size as u64),
                (false, _) => (1, 12),
            };
            assert_eq!((uploads, bytes_read, waits), (most.0, most.1, 1), "token {tokens}, drawn: {is_drawn}");
            assert!(submissions <= 2, "token {tokens}: {submissions}");
            (tokens, works) = (tokens + 1, goes_on);
        }
        assert_eq!(tokens, 298);
    }
}
