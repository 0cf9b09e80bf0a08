//! Beginnings that were read before: their keys and values, for prompts to come.

use std::collections::HashSet;

use glass_generate::{Error, Lane, Llama, PrefillOptions};

/// Lanes by what they have read. The one that nobody has begun from for longest goes first.
pub(super) struct Prefixes {
    kept: Vec<Prefix>,
    /// Bytes of all, at most.
    limit: u64,
    bytes: u64,
    /// Counts uses.
    clock: u64,
}

struct Prefix {
    ids: Vec<u32>,
    lane: Lane,
    used: u64,
}

impl Prefixes {
    pub fn new(limit: u64) -> Self {
        Self { kept: Vec::new(), limit, bytes: 0, clock: 0 }
    }

    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// What they take; what several share counts once.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many tokens of `prompt` need not be read: a multiple of `grain`, and not all, because the last token's logits are
    /// what a text begins with.
    pub fn longest(&self, prompt: &[u32], grain: usize) -> usize {
        self.best(prompt, grain).map_or(0, |(_, len)| len)
    }

    /// A lane that has read [`longest`](Self::longest) tokens of `prompt`; one that has read nothing where that is none.
    pub fn begin(&mut self, prompt: &[u32], grain: usize, llama: &Llama, new: PrefillOptions) -> Result<Lane, Error> {
        let Some((index, len)) = self.best(prompt, grain) else {
            return Lane::new(llama, new);
        };
        self.clock += 1;
        let prefix = &mut self.kept[index];
        prefix.used = self.clock;
        let mut lane = prefix.lane.snapshot();
        lane.truncate(len)?;
        Ok(lane)
    }

    fn best(&self, prompt: &[u32], grain: usize) -> Option<(usize, usize)> {
        let most = prompt.len().saturating_sub(1);
        let found = self.kept.iter().enumerate().filter_map(|(index, prefix)| {
            let common = common(&prefix.ids, prompt).min(most) / grain * grain;
            (common > 0 && prefix.lane.can_truncate(common)).then_some((index, common))
        });
        found.max_by_key(|&(_, len)| len)
    }

    /// Whether a prompt that begins with `ids` would find all of them.
    pub fn has(&self, ids: &[u32]) -> bool {
        let holds = |prefix: &Prefix| prefix.ids.starts_with(ids) && prefix.lane.can_truncate(ids.len());
        self.kept.iter().any(holds)
    }

    /// Keeps a lane that has read `ids`.
    pub fn keep(&mut self, ids: &[u32], lane: Lane) {
        // What it can go back to need not be kept beside it.
        self.kept.retain(|prefix| !(ids.starts_with(&prefix.ids) && lane.can_truncate(prefix.ids.len())));
        self.clock += 1;
        self.kept.push(Prefix { ids: ids.to_vec(), lane, used: self.clock });
        self.count();
        while self.bytes > self.limit
            && let Some(oldest) = (0..self.kept.len()).min_by_key(|&index| self.kept[index].used)
        {
            self.kept.swap_remove(oldest);
            self.count();
        }
    }

    pub fn clear(&mut self) {
        self.kept.clear();
        self.bytes = 0;
    }

    fn count(&mut self) {
        let mut counted = HashSet::new();
        self.bytes = self.kept.iter().map(|prefix| prefix.lane.bytes_beside(&mut counted)).sum();
    }
}

/// How many tokens two texts begin with alike.
pub(super) fn common(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
