//! Loads a model and prints how it continues a prompt.
//!
//!     cargo run --release -p glass-llama --example hello -- weights/shakespeare-full "ROMEO:"

use std::{env, error::Error, ops::ControlFlow};

use glass_llama::{Device, GenerateOptions, generate, load};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let prompt = args.next().unwrap_or("ROMEO:".into());

    let llama = load(folder, Device::open("auto")?)?;
    let ids = llama.tokenizer()?.encode(&prompt, true)?;
    let options = GenerateOptions::new(200); // greedy, 200 tokens
    let generated = generate(&llama, &ids, &options, &mut |_| ControlFlow::Continue(()))?;
    println!("{prompt}{}", generated.text.unwrap_or_default());
    Ok(())
}
