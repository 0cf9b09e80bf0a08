//! Prints which tokens the last token of a text attends to, layer by layer.
//!
//!     cargo run --release -p glass-llama --example capture_attention -- weights/shakespeare-full "ROMEO: I am RO"

use std::{env, error::Error};

use glass_llama::{
    Device,
    attention::{Observer, Sequences},
    burn::tensor::Tensor,
    load,
};

/// The attention of the last token in each layer, the mean over its heads: `[keys]`.
#[derive(Default)]
struct LastToken {
    layers: Vec<Vec<f32>>,
}

impl Observer for LastToken {
    fn wants_attention(&self) -> bool {
        true
    }

    fn attention(&mut self, _layer: usize, probabilities: Tensor<4>) {
        let [_, _, seq, keys] = probabilities.dims(); // [batch, heads, seq, keys]
        let last = probabilities.narrow(2, seq - 1, 1); // [1, heads, 1, keys]
        let mean = last.mean_dim(1).reshape([keys]); // [keys]
        let mean = mean.into_data().iter::<f32>().collect();
        self.layers.push(mean);
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let folder = args.next().unwrap_or("weights/shakespeare-full".into());
    let text = args.next().unwrap_or("ROMEO: I am RO".into());

    let llama = load(folder, Device::open("auto")?)?;
    let tokenizer = llama.tokenizer()?;
    let ids = tokenizer.encode(&text, true)?;
    let mut observer = LastToken::default();
    // The whole text in one pass, of which nothing is kept.
    let tensor = llama.ids(&[&ids])?; // [1, seq]
    llama
        .model
        .hidden(tensor, Sequences::WHOLE, &mut observer)?;

    let token = |position: usize| tokenizer.token(ids[position]).unwrap_or_default();
    println!("{:?} attends to", token(ids.len() - 1));
    for (number, probabilities) in observer.layers.iter().enumerate() {
        let mut positions: Vec<usize> = (0..probabilities.len()).collect();
        positions.sort_by(|&a, &b| probabilities[b].total_cmp(&probabilities[a]));
        print!("layer {number}:");
        for &position in positions.iter().take(5) {
            let percent = 100.0 * probabilities[position];
            print!("  {percent:.0}% {:?} at {position}", token(position));
        }
        println!();
    }
    Ok(())
}
