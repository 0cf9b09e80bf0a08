//! Texts that say something once, somewhere, and ask for it at the end.

use std::ops::Range;

use rand_chacha::{ChaCha12Rng, rand_core::SeedableRng};

use super::{
    FillerTokens, HaystackError, Task,
    task::{DRAWS, Needle},
};

/// A text, and where the answers in it stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Haystack {
    /// One more than are read: the last is only predicted.
    pub ids: Vec<u32>,
    /// One after the other, the last at the end.
    pub answers: Vec<Range<usize>>,
}

impl Haystack {
    /// A haystack of which `length` tokens are read, what is in front and all of the last answer but its last token
    /// included: the model has `length` tokens before it when it predicts the last one.
    ///
    /// `seed` and `trial` decide everything that is drawn. A needle is put at all depths into the same haystack: key, value
    /// and filler do not depend on the depth, except that filler which happens to complete a second cue is another then.
    ///
    /// # Errors
    /// Whatever [`Task::check`] says; no cue that the filler lacks.
    pub fn new(task: Task, length: usize, filler: &FillerTokens, seed: u64, trial: u64) -> Result<Self, HaystackError> {
        task.check(length, filler)?;
        let room = task.room(length, filler.front.len())?;
        let hops = match task {
            Task::Single { .. } => 0,
            Task::Chain { hops, .. } => hops.get(),
        };
        // Filler has a stream of its own, so that it stays as it is when keys are drawn again.
        let [mut drawn, filler_rng] = [0, 1].map(|stream| {
            let mut words = [0; 32];
            let numbers = [seed, trial, length as u64, hops as u64];
            for (word, number) in words.chunks_mut(8).zip(numbers) {
                word.copy_from_slice(&number.to_le_bytes());
            }
            let mut rng = ChaCha12Rng::from_seed(words);
            rng.set_stream(stream);
            rng
        });
        for _ in 0..DRAWS {
            let needles = task.needles(&filler.usable, &mut drawn);
            let places = task.places(needles.len(), room, &mut drawn);
            let haystack = Self::of(&needles, &places, room, filler, filler_rng.clone());
            let once = |needle: &Needle| haystack.occurrences(&needle.cue) == 2;
            if needles.iter().all(once) {
                return Ok(haystack);
            }
        }
        Err(HaystackError::Ambiguous { task })
    }

    fn of(needles: &[Needle], places: &[usize], room: usize, filler: &FillerTokens, rng: ChaCha12Rng) -> Self {
        let mut planted: Vec<(usize, &Needle)> = places.iter().copied().zip(needles).collect();
        planted.sort_by_key(|&(place, _)| place);
        let mut planted = planted.into_iter().peekable();

        let mut ids = filler.front.clone();
        let mut stream = filler.stream(rng);
        for place in 0..=room {
            while let Some((_, needle)) = planted.next_if(|&(at, _)| at == place) {
                ids.extend_from_slice(&needle.cue);
                ids.extend_from_slice(&needle.answer);
            }
            if place < room {
                stream.push(&mut ids, |ids| needles.iter().any(|needle| ids.ends_with(&needle.cue)));
            }
        }
        let mut answers = Vec::with_capacity(needles.len());
        for (hop, needle) in needles.iter().enumerate() {
            // In a chain the last answer is the key, and only `is` must be asked.
            let there = if hop == 0 { 0 } else { needle.cue.len() - 1 };
            ids.extend_from_slice(&needle.cue[there..]);
            answers.push(ids.len()..ids.len() + needle.answer.len());
            ids.extend_from_slice(&needle.answer);
        }
        Self { ids, answers }
    }

    /// What is read: all but the last token.
    pub fn read(&self) -> &[u32] {
        &self.ids[..self.ids.len() - 1]
    }

    fn occurrences(&self, cue: &[u32]) -> usize {
        let places = self.ids.windows(cue.len());
        places.filter(|tokens| *tokens == cue).count()
    }
}
