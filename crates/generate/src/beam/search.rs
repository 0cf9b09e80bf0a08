//! Which sequences go on, which are finished, and when it is over.

use super::{
    BeamOptions, EarlyStopping,
    candidates::{self, Beam, Candidate},
};
use crate::{FinishReason, Hypothesis, Sampler, SamplingError, hypothesis::score};

/// The state between two passes.
pub struct Search<'a> {
    options: &'a BeamOptions,
    rules: Sampler,
    prompt: &'a [u32],
    /// The best first; the only one at the beginning is the prompt.
    running: Vec<Running>,
    /// The best first, as many as there are beams at most.
    finished: Vec<Hypothesis>,
    /// New tokens of each running sequence.
    length: usize,
    searched: usize,
}

#[derive(Clone, Debug)]
struct Running {
    ids: Vec<u32>,
    log_prob: f64,
}

impl<'a> Search<'a> {
    pub fn new(options: &'a BeamOptions, rules: Sampler, prompt: &'a [u32]) -> Self {
        let ids = Vec::new();
        let log_prob = 0.0;
        Self {
            options,
            rules,
            prompt,
            running: vec![Running { ids, log_prob }],
            finished: Vec::new(),
            length: 0,
            searched: 0,
        }
    }

    /// Takes the logits of every running sequence, `[running, vocab_size]`, and returns which of them each of those that run
    /// on has gone on from.
    ///
    /// Of the best candidates, those that end finish if they are among the best `num_beams`; the best `num_beams` of those
    /// that do not end run on. An end-of-sequence token on every beam leaves as many others, so that no beam is lost.
    pub fn step(&mut self, logits: &[f32]) -> Result<Vec<usize>, SamplingError> {
        let beams = self.options.num_beams.get();
        let count = beams * (1 + self.options.eos_ids.len()).max(2);
        let candidates = self.candidates(logits, count)?;
        self.length += 1;
        self.searched += self.running.len();
        let (mut running, mut parents) = (Vec::new(), Vec::new());
        for (rank, candidate) in candidates.into_iter().enumerate() {
            let reason = self.ends(candidate.id);
            if reason.is_none() && running.len() < beams {
                parents.push(candidate.beam);
                running.push(self.extended(candidate));
            } else if let Some(reason) = reason.filter(|_| rank < beams) {
                let Running { ids, log_prob } = self.extended(candidate);
                let finished = self.hypothesis(ids, log_prob, reason);
                self.finished.push(finished);
            }
        }
        // Stable: of equals the one that was there before.
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
        self.finished.truncate(beams);
        self.running = running;
        Ok(parents)
    }

    fn candidates(&self, logits: &[f32], count: usize) -> Result<Vec<Candidate>, SamplingError> {
        let looks_back = self.options.rules.looks_back();
        let rows = logits.chunks(logits.len() / self.running.len());
        let beams: Vec<_> = rows
            .zip(&self.running)
            .map(|(logits, running)| Beam {
                logits,
                log_prob: running.log_prob,
                previous: looks_back.then(|| [self.prompt, &running.ids].concat()),
            })
            .collect();
        candidates::best(&beams, &self.rules, count)
    }

    fn ends(&self, id: u32) -> Option<FinishReason> {
        match self.options.eos_ids.contains(&id) {
            true => Some(FinishReason::Eos),
            false => (self.length >= self.options.max_new_tokens).then_some(FinishReason::Length),
        }
    }

    fn extended(&self, candidate: Candidate) -> Running {
        Running { ids: [&self.running[candidate.beam].ids[..], &[candidate.id]].concat(), log_prob: candidate.log_prob }
    }

    fn hypothesis(&self, ids: Vec<u32>, log_prob: f64, reason: FinishReason) -> Hypothesis {
        Hypothesis {
            score: score(log_prob, ids.len(), self.options.length_penalty),
            text: None,
            finish_reason: reason,
            ids,
            log_prob,
        }
    }

    pub fn is_over(&self) -> bool {
        let options = self.options;
        let Some(best) = self.running.first() else {
            return true;
        };
        if self.length >= options.max_new_tokens {
            return true;
        }
        let Some(worst) = self.finished.get(options.num_beams.get() - 1) else {
            return false;
        };
        let length = match options.early_stopping {
            EarlyStopping::AtOnce => return true,
            EarlyStopping::Never if options.length_penalty > 0.0 => options.max_new_tokens,
            EarlyStopping::Never | EarlyStopping::Hopeless => self.length,
        };
        score(best.log_prob, length, options.length_penalty) <= worst.score
    }

    /// The prompt and what each running sequence has behind it.
    pub fn texts(&self) -> impl Iterator<Item = Vec<u32>> {
        self.running.iter().map(|running| [self.prompt, &running.ids].concat())
    }

    /// Tokens that were chosen between, in all beams.
    pub fn searched(&self) -> usize {
        self.searched
    }

    /// Ends those that are running, because it was broken off or no token was allowed.
    pub fn end(&mut self, reason: FinishReason) {
        for Running { ids, log_prob } in std::mem::take(&mut self.running) {
            let ended = self.hypothesis(ids, log_prob, reason);
            self.finished.push(ended);
        }
        self.finished.sort_by(|a, b| b.score.total_cmp(&a.score));
    }

    /// The finished sequences, the best first.
    pub fn into_best(mut self) -> Vec<Hypothesis> {
        self.finished.truncate(self.options.num_return_sequences.get());
        self.finished
    }
}
