//! Continues several prompts at once, and prints each token as it comes. One pass reads the next tokens of all texts; the
//! last one joins while the others are being written.
//!
//!     cargo run --release -p glass-llama --example stream -- weights/shakespeare-full "ROMEO:" "JULIET:"

use std::{env, error::Error};

use glass_llama::{
    Device, Engine, GenerateOptions, Llama, SamplingConfig, Sequence, generate::Lane, load,
};

/// A text that follows a prompt, and its place in the passes of the engine.
fn text<'m>(llama: &'m Llama, prompt: &str) -> Result<(Sequence<'m>, Lane), Box<dyn Error>> {
    let options = GenerateOptions {
        sampling: SamplingConfig {
            temperature: 0.8,
            ..SamplingConfig::default()
        },
        ..GenerateOptions::new(40)
    };
    let tokenizer = llama.tokenizer()?;
    let ids = tokenizer.encode(prompt, true)?;
    let sequence = Sequence::new(&ids, &options, llama.config.vocab_size, Some(tokenizer))?;
    Ok((sequence, Lane::new(llama, options.prefill)?))
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let mut prompts: Vec<String> = args.collect();
    if prompts.is_empty() {
        prompts = ["ROMEO:", "JULIET:", "KING"].map(str::to_owned).to_vec();
    }

    let llama = load(folder, Device::open("auto")?)?;
    let mut late = prompts.pop();
    let mut engine = Engine::new(&llama);
    for prompt in prompts {
        let (sequence, lane) = text(&llama, &prompt)?;
        println!("{:?} {prompt}", engine.add(sequence, lane)?);
    }
    for step in 0.. {
        if (step == 10 || !engine.has_work())
            && let Some(prompt) = late.take()
        {
            let (sequence, lane) = text(&llama, &prompt)?;
            println!("{:?} {prompt}", engine.add(sequence, lane)?);
        }
        if !engine.has_work() {
            break;
        }
        let logits = engine.step()?.read()?;
        for (id, event) in engine.advance(logits) {
            let event = event?;
            println!("{id:?} {:?}", event.text);
            if let Some(reason) = event.finish
                && let Some((sequence, _)) = engine.remove(id)
            {
                println!(
                    "{id:?} ends ({reason:?}) after {} tokens",
                    sequence.generated().len()
                );
            }
        }
    }
    Ok(())
}
