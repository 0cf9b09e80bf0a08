//! Prints a text as it comes: the loop of a program that does more than wait for its end.
//!
//!     cargo run --release -p glass-llama --example stream

use std::{
    error::Error,
    io::{Write, stdout},
    path::Path,
};

use glass_llama::{Device, Engine, GenerateOptions, Lane, Llama, Sequence};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("weights/shakespeare-window");
    let llama = Llama::open(folder, Device::open("auto")?)?;
    let prompt = llama.tokenizer()?.encode_prompt("ROMEO:")?;
    let options = GenerateOptions {
        sampling: llama.generation_config.sampling(7),
        stop_strings: vec!["ROMEO:".to_owned()],
        ..GenerateOptions::new(400)
    };

    let mut engine = Engine::new(&llama);
    let vocab_size = llama.config.vocab_size;
    let sequence = Sequence::new(&prompt, &options, vocab_size, llama.tokenizer.as_ref())?;
    let lane = Lane::new(&llama, options.prefill)?;
    engine.add(sequence, lane)?; // more sequences may join between any two steps, or leave

    while engine.has_work() {
        let logits = engine.step()?.read()?; // one forward pass for the next tokens of all
        for (_id, event) in engine.advance(logits) {
            print!("{}", event?.text); // never half a character, never a part of a stop string
            stdout().flush()?;
        }
    }
    println!();
    Ok(())
}
