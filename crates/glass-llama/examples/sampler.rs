//! A sampler of one's own: Mirostat 2.0 (Basu et al. 2021, arXiv:2007.14966).
//!
//!     cargo run --release -p glass-llama --example sampler
//!
//! The *surprise* of a token is -log2 of its probability, in bits. Mirostat keeps that of the text near a target: it cuts off
//! the tokens that would surprise more than a limit, draws one of the others, and moves the limit by how that one missed the
//! target.

use std::{
    error::Error,
    f64::consts::LN_2,
    io::{Write, stdout},
    path::Path,
};

use glass_llama::{
    Device, Lane, Llama, PrefillOptions, Sampler, SamplingConfig,
    generate::{sampling::log_sum_exp, step},
    text::StreamingDetokenizer,
};

const TARGET: f64 = 1.5;
const LEARNING_RATE: f64 = 0.1;
const TOKENS: usize = 400;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("weights/shakespeare-window");
    let llama = Llama::open(folder, Device::open("auto")?)?;
    let tokenizer = llama.tokenizer()?;
    let prompt = tokenizer.encode_prompt("ROMEO:")?;
    let mut text = StreamingDetokenizer::new(tokenizer, &prompt, true)?;
    // What is left is drawn by chance alone.
    let mut draw = Sampler::new(SamplingConfig {
        temperature: 1.0,
        seed: 1,
        ..SamplingConfig::default()
    })?;

    let mut lane = Lane::new(&llama, PrefillOptions::default())?;
    lane.push(&prompt, 1); // the logits behind the last of them
    let (mut limit, mut total) = (2.0 * TARGET, 0.0);
    for _ in 0..TOKENS {
        let mut logits = Vec::new();
        while lane.unread() > 0 {
            logits = step(&llama, [&mut lane])?.read()?.into_values(); // [vocab_size]; a long prompt takes several steps
        }
        let log_sum = log_sum_exp(&logits);
        let surprise = |&logit: &f32| (log_sum - f64::from(logit)) / LN_2;
        let surprises: Vec<f64> = logits.iter().map(surprise).collect();

        // The most probable token stays in any case.
        let least = surprises.iter().copied().fold(f64::INFINITY, f64::min);
        for (logit, &surprise) in logits.iter_mut().zip(&surprises) {
            if surprise > limit.max(least) {
                *logit = f32::NEG_INFINITY;
            }
        }
        let id = draw.sample(&mut logits, &[])?;
        limit -= LEARNING_RATE * (surprises[id as usize] - TARGET);
        total += surprises[id as usize];

        print!("{}", text.push(id)?);
        stdout().flush()?;
        lane.push(&[id], 1);
    }
    println!("{}", text.finish()?);
    let mean = total / TOKENS as f64;
    println!("\n{mean:.2} bits of surprise per token; the target was {TARGET}");
    Ok(())
}
