//! The order in which a text is read.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// The order in which the sequences of a training text are read. Every epoch splits the text into sequences of
/// `context + 1` tokens at another offset, and reads each once, shuffled. The last token of a sequence is only predicted,
/// so the next sequence begins with it.
///
/// The order follows from the seed alone: a checkpoint needs no state of it but the step.
#[derive(Clone, Debug)]
pub struct SequenceOrder {
    tokens: usize,
    context: usize,
    seed: u64,
    /// The epoch read last, and the first tokens of its sequences.
    epoch: Option<(usize, Vec<usize>)>,
}

impl SequenceOrder {
    /// Orders a text of `tokens` tokens, at least `context + 1`.
    pub fn new(tokens: usize, context: usize, seed: u64) -> Self {
        Self { tokens, context, seed, epoch: None }
    }

    /// Sequences of one epoch, at least one.
    pub fn sequences_per_epoch(&self) -> usize {
        // The largest offset costs one sequence.
        ((self.tokens - 1) / self.context).saturating_sub(1).max(1)
    }

    /// The first token of sequence `number`, counted over all epochs.
    pub fn start(&mut self, number: usize) -> usize {
        let per_epoch = self.sequences_per_epoch();
        let (epoch, index) = (number / per_epoch, number % per_epoch);
        match &self.epoch {
            Some((current, starts)) if *current == epoch => starts[index],
            _ => {
                let starts = self.shuffled(epoch);
                let start = starts[index];
                self.epoch = Some((epoch, starts));
                start
            }
        }
    }

    fn shuffled(&self, epoch: usize) -> Vec<usize> {
        let mut rng = ChaCha12Rng::seed_from_u64(self.seed);
        rng.set_stream(epoch as u64);
        let sequences = self.sequences_per_epoch();
        let max_offset = self.tokens - 1 - sequences * self.context;
        let offset = random_below(&mut rng, max_offset + 1);
        let start = |sequence| offset + sequence * self.context;
        let mut starts: Vec<usize> = (0..sequences).map(start).collect();
        // Fisher-Yates shuffle: Durstenfeld 1964, doi 10.1145/364520.364540.
        for last in (1..starts.len()).rev() {
            starts.swap(last, random_below(&mut rng, last + 1));
        }
        starts
    }
}

/// A random number from `0..n`. The bias of the remainder is below `n / 2^64`.
fn random_below(rng: &mut ChaCha12Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_every_sequence_once_and_stays_inside() {
        for tokens in [2, 3, 9, 10, 11, 100, 1001] {
            for context in [1, 2, 5, 8].into_iter().filter(|&c| c < tokens) {
                let mut order = SequenceOrder::new(tokens, context, 3);
                let sequences = order.sequences_per_epoch();
                for epoch in 0..4 {
                    let mut starts: Vec<_> =
                        (0..sequences).map(|sequence| order.start(epoch * sequences + sequence)).collect();
                    starts.sort_unstable();
                    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == context));
                    assert!(starts[sequences - 1] + context < tokens, "{tokens} {context}");
                }
                // Every epoch reads all of the text but for less than two sequences.
                assert!((sequences + 2) * context + 1 > tokens - 1);
            }
        }
    }

    #[test]
    fn starts_depend_on_number_and_seed_alone() {
        let starts = |seed, numbers: &mut dyn Iterator<Item = usize>| {
            let mut order = SequenceOrder::new(5000, 16, seed);
            numbers.map(|number| order.start(number)).collect::<Vec<_>>()
        };
        let forward = starts(1, &mut (0..900));
        let mut backward = starts(1, &mut (0..900).rev());
        backward.reverse();
        assert_eq!(forward, backward);
        assert_ne!(forward, starts(2, &mut (0..900)));
        assert_ne!(forward[..300], forward[310..610]);
    }
}
