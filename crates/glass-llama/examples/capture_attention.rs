//! Prints which characters a head attends to. An observer looks into the one forward pass that there is.
//!
//!     cargo run --release -p glass-llama --example capture_attention

use std::{error::Error, path::Path};

use glass_llama::{
    Device, Llama,
    attention::{Observer, Sequences},
    burn::tensor::Tensor,
};

const TEXT: &str = "To be, or not to";
const LAYER: usize = 2;
const HEAD: usize = 0;

/// Keeps the attention of one layer.
#[derive(Default)]
struct Capture(Option<Tensor<4>>);

impl Observer for Capture {
    fn wants_attention(&self) -> bool {
        true
    }

    /// `probabilities` `[batch, heads, queries, keys]`
    fn attention(&mut self, layer: usize, probabilities: Tensor<4>) {
        if layer == LAYER {
            self.0 = Some(probabilities);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("weights/shakespeare-full");
    let llama = Llama::open(folder, Device::open("auto")?)?;
    let ids = llama.tokenizer()?.encode_prompt(TEXT)?; // a token for each character

    let mut capture = Capture::default();
    let row = llama.ids(&[&ids])?; // [1, seq]
    llama.model.hidden(row, Sequences::WHOLE, &mut capture)?;

    let probabilities = capture.0.ok_or("there is no such layer")?; // [1, heads, seq, seq]
    let head = probabilities.narrow(1, HEAD, 1); // [1, 1, seq, seq]
    let percent = (head * 100.0).into_data().try_to_vec::<f32>()?;

    println!("Layer {LAYER}, head {HEAD}: percent of attention, a row for each query");
    let keys: String = TEXT.chars().map(|key| format!("{key:>4}")).collect();
    println!("   {keys}");
    for (query, row) in TEXT.chars().zip(percent.chunks(ids.len())) {
        let cells: String = row
            .iter()
            .map(|percent| format!("{percent:>4.0}"))
            .collect();
        println!("{query:>3}{cells}");
    }
    Ok(())
}
