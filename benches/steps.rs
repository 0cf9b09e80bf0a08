//! Whole steps of whole models: how fast a prompt is read, and how fast text comes.
//!
//!     cargo bench -p glass-benches --bench steps                        every device, the small shape
//!     cargo bench -p glass-benches --bench steps -- llama-40M flex      one shape, chosen devices
//!
//! Devices take turns (A B A B), so that a machine that slows down slows all of them; the ratio is to the first one.

use std::{env, iter, ops::ControlFlow, process::ExitCode};

use glass_backend::{Device, Dtype};
use glass_bench::{SEED, SHAPES, random_model};
use glass_benches::best_and_median;
use glass_config::LlamaConfig;
use glass_generate::{GenerateOptions, Llama, generate};

const ROUNDS: usize = 5;
const NEW_TOKENS: usize = 32;

/// A shape that every device measures in seconds, software Vulkan too; beside those of `glass bench --preset`.
const SMALL: &str = r#"{"model_type": "mistral", "vocab_size": 512, "hidden_size": 128, "intermediate_size": 352,
    "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2, "sliding_window": 64,
    "tie_word_embeddings": true, "max_position_embeddings": 4096}"#;

/// Names, configs, and tokens of the prompt.
fn shapes() -> impl Iterator<Item = (&'static str, &'static str, usize)> {
    let known = SHAPES.iter().map(|shape| (shape.name, shape.config, 512));
    iter::once(("small", SMALL, 128)).chain(known)
}

struct Row {
    llama: Llama,
    prefill: Vec<f64>,
    decode: Vec<f64>,
}

fn main() -> ExitCode {
    // Cargo passes `--bench`.
    let args: Vec<String> = env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let wanted = args.first().map_or("small", String::as_str);
    let Some((name, config, prompt)) = shapes().find(|(name, ..)| *name == wanted) else {
        let names: Vec<_> = shapes().map(|(name, ..)| name).collect();
        eprintln!("no shape is called {wanted:?}: use {}", names.join(", "));
        return ExitCode::FAILURE;
    };
    let config = match LlamaConfig::from_json(config, name, &[]) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    };
    let devices = match args.get(1..) {
        Some(devices) if !devices.is_empty() => devices.to_vec(),
        _ => ["flex", "ndarray", "wgpu"].map(str::to_owned).to_vec(),
    };

    println!(
        "{name}, f32, prompt of {prompt}, {NEW_TOKENS} new tokens, best and median of {ROUNDS} rounds"
    );
    let mut rows = Vec::new();
    for device in devices {
        let made = Device::open(&device)
            .map_err(|error| error.to_string())
            .and_then(|device| {
                random_model(&config, &device, Dtype::F32.into(), SEED)
                    .map_err(|error| error.to_string())
            });
        match made {
            Ok(llama) => rows.push(Row {
                llama,
                prefill: vec![],
                decode: vec![],
            }),
            Err(error) => println!("{device:<8} {error}"),
        }
    }
    for round in 0..=ROUNDS {
        for row in &mut rows {
            match measure(&row.llama, prompt) {
                // The first round compiles kernels and touches memory.
                Ok(_) if round == 0 => {}
                Ok((prefill, decode)) => {
                    row.prefill.push(prefill);
                    row.decode.push(decode);
                }
                Err(error) => println!("{:<8} {error}", row.llama.device.name()),
            }
        }
    }
    println!("device     prefill t/s (median)    ratio     decode t/s (median)    ratio");
    let mut base = None;
    for row in &mut rows {
        let (Some(prefill), Some(decode)) = (
            best_and_median(&mut row.prefill),
            best_and_median(&mut row.decode),
        ) else {
            continue;
        };
        let (p, d) = *base.get_or_insert((prefill.1, decode.1));
        println!(
            "{:<8} {:>11.1} {:>10.1} {:>8.3} {:>13.1} {:>10.1} {:>8.3}",
            row.llama.device.name(),
            prefill.0,
            prefill.1,
            prefill.1 / p,
            decode.0,
            decode.1,
            decode.1 / d
        );
    }
    ExitCode::SUCCESS
}

/// Tokens per second of the prompt and of the text.
fn measure(llama: &Llama, prompt: usize) -> Result<(f64, f64), String> {
    let vocab = llama.config.vocab_size as u32;
    let ids: Vec<u32> = (0..prompt as u32)
        .map(|i| i.wrapping_mul(7919) % vocab)
        .collect();
    let options = GenerateOptions::new(NEW_TOKENS);
    // Every step ends with its logits on the host, so that nothing is still running when the clock is read.
    let out = generate(llama, &ids, &options, &mut |_| ControlFlow::Continue(()))
        .map_err(|error| error.to_string())?;
    let rates = out
        .prefill_tokens_per_second()
        .zip(out.decode_tokens_per_second());
    rates.ok_or_else(|| "nothing was generated".to_owned())
}
