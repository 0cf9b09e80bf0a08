//! Writes a text that can only be predicted by recall: the models of docs/recall.md are trained on it.
//!
//!     cargo run --release -p glass-train --example recall_text -- 3000000 > recall.txt
//!
//! Random names of three to eight letters repeat, a few at a time, with random letters between them. The first letters
//! identify a name and the rest follows, but only for a model that attends to an earlier occurrence: an "induction head"
//! (Olsson et al. 2022, arXiv:2209.11895). The number of names varies along the text, and with it the distance to the last
//! occurrence: short distances teach the copying, long ones the reach.

use std::{env, process::ExitCode};

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// The alphabet: Korean syllables without a final consonant, from the first on.
const ALPHABET: u32 = 256;
/// Letters of a section; the number of names is constant within one.
const SECTION: usize = 1024;

fn main() -> ExitCode {
    let Some(letters) = env::args().nth(1).and_then(|count| count.parse().ok()) else {
        eprintln!("give the number of letters to write, for instance 3000000");
        return ExitCode::FAILURE;
    };
    let mut random = Random(ChaCha12Rng::seed_from_u64(20_261_120));
    let mut text: Vec<char> = Vec::with_capacity(letters + SECTION);
    while text.len() < letters {
        let mut names: Vec<Vec<char>> = (0..1 << random.between(0, 3))
            .map(|_| random.name())
            .collect();
        let end = text.len() + SECTION;
        while text.len() < end {
            let chosen = random.between(0, names.len() - 1);
            match random.between(1, 4) {
                1 => {
                    let length = random.between(1, 4);
                    text.extend((0..length).map(|_| random.letter()));
                }
                _ => text.extend(&names[chosen]),
            }
            // Names are replaced: memorizing the text does not help with the next one.
            if random.between(1, 8) == 1 {
                names[chosen] = random.name();
            }
        }
    }
    print!("{}", text[..letters].iter().collect::<String>());
    ExitCode::SUCCESS
}

struct Random(ChaCha12Rng);

impl Random {
    /// Both ends included.
    fn between(&mut self, first: usize, last: usize) -> usize {
        first + self.0.next_u64() as usize % (last - first + 1)
    }

    fn letter(&mut self) -> char {
        let number = self.between(0, ALPHABET as usize - 1) as u32;
        char::from_u32(0xAC00 + 28 * number).unwrap_or('가')
    }

    fn name(&mut self) -> Vec<char> {
        (0..self.between(3, 8)).map(|_| self.letter()).collect()
    }
}
