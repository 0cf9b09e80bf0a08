//! A sampler of one's own: of the tokens that are at least a quarter as probable as the best, the least probable. No chance,
//! and yet hardly a text repeats itself.
//!
//!     cargo run --release -p glass-llama --example sampler -- weights/shakespeare-full "ROMEO:"

use std::{env, error::Error};

use glass_llama::{
    Device, PrefillOptions,
    generate::{Lane, Next, step},
    load,
    text::StreamingDetokenizer,
};

/// `logits` `[vocab_size]`; differences of logits are logarithms of ratios of probabilities.
fn choose(logits: &[f32]) -> u32 {
    let best = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let good = logits.iter().enumerate();
    let good = good.filter(|(_, logit)| **logit >= best - 4_f32.ln());
    let least = good.min_by(|a, b| a.1.total_cmp(b.1));
    least.map_or(0, |(id, _)| id as u32)
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let prompt = args.next().unwrap_or("ROMEO:".into());

    let llama = load(folder, Device::open("auto")?)?;
    let tokenizer = llama.tokenizer()?;
    let ids = tokenizer.encode(&prompt, true)?;
    let mut detokenizer = StreamingDetokenizer::new(tokenizer, &ids, true)?;
    let mut lane = Lane::new(&llama, PrefillOptions::default())?;
    lane.push(&ids, 1); // logits behind the last token alone
    print!("{prompt}");
    let mut left = 200;
    while left > 0 {
        // A long prompt is read in several steps, of which only the last has a row of logits.
        let mut logits = step(&llama, [&mut lane])?.read()?;
        for (_, next) in logits.rows() {
            if let Next::Logits(row) = next {
                let id = choose(row);
                print!("{}", detokenizer.push(id)?);
                lane.push(&[id], 1);
                left -= 1;
            }
        }
    }
    println!("{}", detokenizer.finish()?);
    Ok(())
}
