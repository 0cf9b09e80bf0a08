//! Continues a text.
//!
//!     cargo run --release -p glass-llama --example hello

use std::{error::Error, ops::ControlFlow, path::Path};

use glass_llama::{Device, GenerateOptions, Llama, Progress, generate};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("weights/shakespeare-window");
    let llama = Llama::open(folder, Device::open("auto")?)?;
    let prompt = llama.tokenizer()?.encode_prompt("ROMEO:")?;
    let options = GenerateOptions {
        sampling: llama.generation_config.sampling(7), // with this seed
        eos_ids: llama.eos_ids(),
        ..GenerateOptions::new(120) // tokens at most
    };
    let goes_on = &mut |_: Progress<'_>| ControlFlow::Continue(());
    let generated = generate(&llama, &prompt, &options, goes_on)?;
    println!("ROMEO:{}", generated.text.unwrap_or_default());
    Ok(())
}
