//! Which part of the text is read when.

use rand_chacha::{
    ChaCha12Rng,
    rand_core::{Rng, SeedableRng},
};

/// The order in which a training text is read: every epoch cuts it into runs of `context + 1` tokens at another offset,
/// and reads each once, shuffled. The last token of a run is only predicted, so the next run begins with it.
///
/// The order follows from the seed alone: there is no state that a checkpoint would have to keep but the step.
#[derive(Clone, Debug)]
pub struct Order {
    tokens: usize,
    context: usize,
    seed: u64,
    /// The epoch that was asked for last, and its runs.
    epoch: Option<(usize, Vec<usize>)>,
}

impl Order {
    /// For a text of `tokens` tokens, at least `context + 1`.
    pub fn new(tokens: usize, context: usize, seed: u64) -> Self {
        Self {
            tokens,
            context,
            seed,
            epoch: None,
        }
    }

    /// Runs in one epoch, at least one.
    pub fn per_epoch(&self) -> usize {
        // The largest offset costs one run, where there is room for any.
        ((self.tokens - 1) / self.context).saturating_sub(1).max(1)
    }

    /// Where the run with this number begins; it is `context + 1` tokens long.
    pub fn start(&mut self, number: usize) -> usize {
        let (epoch, index) = (number / self.per_epoch(), number % self.per_epoch());
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
        let runs = self.per_epoch();
        let room = self.tokens - 1 - runs * self.context;
        let offset = below(&mut rng, room + 1);
        let mut starts: Vec<usize> = (0..runs).map(|run| offset + run * self.context).collect();
        // Fisher and Yates' shuffle, as Durstenfeld 1964 wrote it (doi 10.1145/364520.364540).
        for last in (1..starts.len()).rev() {
            starts.swap(last, below(&mut rng, last + 1));
        }
        starts
    }
}

/// A number from `0..n`. The bias of the remainder is below `n / 2^64`.
fn below(rng: &mut ChaCha12Rng, n: usize) -> usize {
    (rng.next_u64() % n as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_reads_every_run_once_and_stays_inside() {
        for tokens in [2, 3, 9, 10, 11, 100, 1001] {
            for context in [1, 2, 5, 8].into_iter().filter(|&c| c < tokens) {
                let mut order = Order::new(tokens, context, 3);
                let runs = order.per_epoch();
                for epoch in 0..4 {
                    let mut starts: Vec<_> = (0..runs)
                        .map(|run| order.start(epoch * runs + run))
                        .collect();
                    starts.sort_unstable();
                    assert!(starts.windows(2).all(|pair| pair[1] - pair[0] == context));
                    assert!(starts[runs - 1] + context < tokens, "{tokens} {context}");
                }
                // All but two runs' worth of the text is read in every epoch.
                assert!((runs + 2) * context + 1 > tokens - 1);
            }
        }
    }

    #[test]
    fn it_can_be_asked_in_any_order_and_depends_on_the_seed() {
        let starts = |seed, numbers: &mut dyn Iterator<Item = usize>| {
            let mut order = Order::new(5000, 16, seed);
            numbers
                .map(|number| order.start(number))
                .collect::<Vec<_>>()
        };
        let forward = starts(1, &mut (0..900));
        let mut backward = starts(1, &mut (0..900).rev());
        backward.reverse();
        assert_eq!(forward, backward);
        assert_ne!(forward, starts(2, &mut (0..900)));
        assert_ne!(forward[..300], forward[310..610]);
    }
}
