//! Writes a text in which nothing can be known but what has been read: what the models of docs/recall.md learn from.
//!
//!     cargo run --release --workspace --example recall_text -- 3000000 > recall.txt
//!
//! Names of three to eight letters, drawn by chance, are told again and again, a few at a time, with other letters between
//! them. The first letters of a name say which one it is and the rest follows, but only for who finds where it was told
//! before: an "induction head" (Olsson et al. 2022, arXiv:2209.11895). How many names are about varies along the text, and
//! with it how far back the last telling is: near ones teach the trick, far ones the distance.

use std::{env, process::ExitCode};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// Letters: the Korean syllables without a final consonant, from the first on.
const LETTERS: u32 = 256;
/// Letters of a stretch in which equally many names are about.
const STRETCH: usize = 1024;

fn main() -> ExitCode {
    let Some(letters) = env::args().nth(1).and_then(|count| count.parse().ok()) else {
        eprintln!("say how many letters to write, for instance 3000000");
        return ExitCode::FAILURE;
    };
    let mut draw = Draw(ChaCha12Rng::seed_from_u64(20_261_120));
    let mut text: Vec<char> = Vec::with_capacity(letters + STRETCH);
    while text.len() < letters {
        let mut names: Vec<Vec<char>> = (0..1 << draw.between(0, 3)).map(|_| draw.name()).collect();
        let end = text.len() + STRETCH;
        while text.len() < end {
            let chosen = draw.between(0, names.len() - 1);
            match draw.between(1, 4) {
                1 => text.extend(
                    (0..draw.between(1, 4))
                        .map(|_| draw.letter())
                        .collect::<Vec<_>>(),
                ),
                _ => text.extend(&names[chosen]),
            }
            // Names are forgotten: whoever learned the text by heart would not know the next one.
            if draw.between(1, 8) == 1 {
                names[chosen] = draw.name();
            }
        }
    }
    print!("{}", text[..letters].iter().collect::<String>());
    ExitCode::SUCCESS
}

struct Draw(ChaCha12Rng);

impl Draw {
    /// Both ends included.
    fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.0.next_u64() as usize % (last - first + 1)
    }

    fn letter(&mut self) -> char {
        let number = self.between(0, LETTERS as usize - 1) as u32;
        char::from_u32(0xAC00 + 28 * number).unwrap_or('가')
    }

    fn name(&mut self) -> Vec<char> {
        (0..self.between(3, 8)).map(|_| self.letter()).collect()
    }
}
