//! Writes a text in which nothing can be known but what has been read: random letters, among which stretches return that
//! stood there before. A model that predicts them has learned to find what it has seen ("induction": Olsson et al. 2022,
//! arXiv:2209.11895), and nothing else.
//!
//!     cargo run --release -p glass-train --example recall_text -- 1000000 0 > recall.txt
//!
//! The arguments are the number of letters and the seed.

use std::io::Write;

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Letters of a stretch that returns: the first few say which one it is, the others follow from it.
const STRETCH: usize = 8;

/// Most letters between a stretch and its return: both are in one training sequence of 256.
const FARTHEST: usize = 248;

/// Most new letters in a row.
const NEW: usize = 16;

fn main() -> Result<(), String> {
    let arguments: Vec<u64> = std::env::args()
        .skip(1)
        .map(|argument| {
            argument
                .parse()
                .map_err(|_| format!("{argument} is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let [letters, seed] = arguments[..] else {
        return Err("give the number of letters and the seed".into());
    };
    let text = recall_text(letters as usize, seed);
    std::io::stdout()
        .write_all(&text)
        .map_err(|error| error.to_string())
}

fn recall_text(letters: usize, seed: u64) -> Vec<u8> {
    let mut rng = ChaCha12Rng::seed_from_u64(seed);
    // The bias of the remainder is below n / 2^32.
    let mut below = |n: usize| rng.next_u32() as usize % n;
    let mut text: Vec<u8> = Vec::with_capacity(letters + NEW);
    while text.len() < letters {
        let back = STRETCH + below(FARTHEST - STRETCH + 1);
        if below(2) == 0 && back <= text.len() {
            let start = text.len() - back;
            text.extend_from_within(start..start + STRETCH);
        } else {
            for _ in 0..1 + below(NEW) {
                text.push(LETTERS[below(LETTERS.len())]);
            }
        }
    }
    text.truncate(letters);
    text
}
