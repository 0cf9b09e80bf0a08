//! What is hidden in a haystack.

use std::{fmt, num::NonZeroUsize, path::PathBuf};

use rand_chacha::{ChaCha12Rng, rand_core::Rng};
use thiserror::Error;

use super::FillerTokens;

/// What is hidden, and asked for at the end. All of it is token ids, drawn by chance, so that any model can be asked,
/// whatever its vocabulary, and with no instruction.
///
/// A *cue* is a sequence of tokens that occurs exactly twice: where it is planted, and where it is asked. What stood
/// behind it the first time must follow again. The tokens within one cue differ.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Task {
    /// One fact: the single retrieval of NeedleBench (Li et al. 2024, arXiv:2407.11963), which is the needle in a
    /// haystack of Kamradt 2023. The cue is the key; the last value is the answer:
    ///
    /// ```text
    /// BOS  filler  key value  filler  key  [value]
    /// ```
    Single {
        /// Tokens of the key.
        key: NonZeroUsize,
        /// Tokens of the value.
        value: NonZeroUsize,
        /// Share of the filler that is before the needle, from 0 to 1.
        depth: f64,
    },
    /// Several facts, each of which is needed for the next: the Ancestral Trace Challenge of NeedleBench. `is` is one
    /// token, drawn like the keys; the cues are each key but the last, with `is`. The relations stand at places drawn by
    /// chance, and so in any order; each right answer is the next question:
    ///
    /// ```text
    /// BOS  filler  key1 is key2  filler  key0 is key1  filler  key0 is  [key1]  is  [key2]
    /// ```
    Chain {
        /// Tokens of each key.
        key: NonZeroUsize,
        /// Relations, and so answers.
        hops: NonZeroUsize,
    },
}

/// Why there is no such haystack. Each message is one line.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum HaystackError {
    #[error("{length} tokens do not hold {task}: that takes {shortest} at least")]
    TooShort { length: usize, task: Task, shortest: usize },
    #[error("a depth of {0} is no share of the haystack: give a number from 0 to 1")]
    Depth(f64),
    #[error(
        "the vocabulary has {usable} tokens that keys could be made of, too few for {task}: give a key of another length, or \
         fewer hops"
    )]
    Vocabulary { usable: usize, task: Task },
    #[error("in {DRAWS} draws no {task} was found that the filler does not have: make the key longer")]
    Ambiguous { task: Task },
    #[error("{length} tokens do not hold the question: with the chat template, that takes {shortest} at least")]
    NoRoom { length: usize, shortest: usize },
    #[error("the text of the haystack has the words of all passwords that could be hidden in it: give another text")]
    NoFact,
    #[error("the text of the haystack has no tokens: give one that has")]
    NoText,
    #[error(
        "{}: no tokenizer.json in the folder that would make the haystack's text ids: add it, or leave the text out",
        folder.display()
    )]
    NoTokenizer { folder: PathBuf },
}

/// How often keys are drawn again that are elsewhere in the haystack.
pub(super) const DRAWS: usize = 1000;

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = |number: NonZeroUsize, what| match number.get() {
            1 => format!("1 {what}"),
            many => format!("{many} {what}s"),
        };
        match *self {
            Self::Single { key, value, .. } => {
                let key = count(key, "token");
                write!(f, "a key of {key} and a value of {value}, each twice")
            }
            Self::Chain { key, hops } => {
                let (key, hops) = (count(key, "token"), count(hops, "hop"));
                write!(f, "a chain of {hops} with keys of {key}")
            }
        }
    }
}

impl Task {
    /// Fewest tokens that are read: those of a haystack without filler, with so many in front of it.
    pub fn shortest(&self, front: usize) -> usize {
        let tokens = match *self {
            Self::Single { key, value, .. } => 2 * (key.get() + value.get()),
            Self::Chain { key, hops } => {
                let relations = hops.get() * (2 * key.get() + 1);
                relations + key.get() + hops.get() * (key.get() + 1)
            }
        };
        front + tokens - 1
    }

    /// How many tokens of filler make up the length.
    ///
    /// # Errors
    /// [`HaystackError::TooShort`].
    pub fn room(&self, length: usize, front: usize) -> Result<usize, HaystackError> {
        let (task, shortest) = (*self, self.shortest(front));
        length.checked_sub(shortest).ok_or(HaystackError::TooShort { length, task, shortest })
    }

    /// Whether such haystacks can be made.
    ///
    /// # Errors
    /// All but [`HaystackError::Ambiguous`], which shows only when one is made.
    pub fn check(&self, length: usize, filler: &FillerTokens) -> Result<(), HaystackError> {
        self.room(length, filler.front.len())?;
        let (task, usable) = (*self, filler.usable.len());
        let enough = match *self {
            Self::Single { depth, .. } if !(0.0..=1.0).contains(&depth) => {
                return Err(HaystackError::Depth(depth));
            }
            Self::Single { key, .. } => usable > key.get(),
            Self::Chain { key, hops } => {
                let rest = usable.saturating_sub(1); // without `is`
                let keys = (0..key.get()).fold(1_usize, |keys, drawn| keys.saturating_mul(rest.saturating_sub(drawn)));
                keys > hops.get()
            }
        };
        match enough {
            true => Ok(()),
            false => Err(HaystackError::Vocabulary { usable, task }),
        }
    }

    /// What is planted, in the order in which it is asked.
    pub(super) fn needles(&self, usable: &[u32], rng: &mut ChaCha12Rng) -> Vec<Needle> {
        match *self {
            Self::Single { key, value, .. } => vec![Needle {
                cue: distinct(rng, usable, key, None),
                answer: (0..value.get()).map(|_| pick(rng, usable)).collect(),
            }],
            Self::Chain { key, hops } => {
                let is = pick(rng, usable);
                let mut keys: Vec<Vec<u32>> = Vec::with_capacity(hops.get() + 1);
                while keys.len() <= hops.get() {
                    let new = distinct(rng, usable, key, Some(is));
                    if !keys.contains(&new) {
                        keys.push(new);
                    }
                }
                let needle =
                    |pair: &[Vec<u32>]| Needle { cue: [&pair[0][..], &[is]].concat(), answer: pair[1].clone() };
                keys.windows(2).map(needle).collect()
            }
        }
    }

    /// How many tokens of filler are before each of the needles.
    pub(super) fn places(&self, needles: usize, filler: usize, rng: &mut ChaCha12Rng) -> Vec<usize> {
        match *self {
            Self::Single { depth, .. } => vec![(depth * filler as f64).round() as usize],
            Self::Chain { .. } => (0..needles).map(|_| below(rng, filler + 1)).collect(),
        }
    }
}

/// What is planted, and asked for.
pub(super) struct Needle {
    pub cue: Vec<u32>,
    pub answer: Vec<u32>,
}

/// A number from 0 to `n - 1`; the bias, `n / 2^64`, is nothing.
pub(super) fn below(rng: &mut ChaCha12Rng, n: usize) -> usize {
    ((u128::from(rng.next_u64()) * n as u128) >> 64) as usize
}

fn pick(rng: &mut ChaCha12Rng, ids: &[u32]) -> u32 {
    ids[below(rng, ids.len())]
}

/// So many different ids, without this one.
fn distinct(rng: &mut ChaCha12Rng, usable: &[u32], count: NonZeroUsize, without: Option<u32>) -> Vec<u32> {
    let mut ids = Vec::with_capacity(count.get());
    while ids.len() < count.get() {
        let id = pick(rng, usable);
        if Some(id) != without && !ids.contains(&id) {
            ids.push(id);
        }
    }
    ids
}
