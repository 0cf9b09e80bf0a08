use std::ops::Range;

/// The ids of a text, and which of its bytes each stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    ids: Vec<u32>,
    /// Bytes of the text up to and with each token; never falling.
    ends: Vec<usize>,
}

impl Encoded {
    /// `tokens` are ids and where in the text the tokenizer says that each ends.
    pub(super) fn new(tokens: Vec<(u32, usize)>, text_bytes: usize) -> Self {
        let (ids, mut ends): (Vec<u32>, Vec<usize>) = tokens.into_iter().unzip();
        // What a post-processor puts at the end "ends" at 0.
        for i in 1..ends.len() {
            ends[i] = ends[i].max(ends[i - 1]);
        }
        if let Some(last) = ends.last_mut() {
            *last = text_bytes;
        }
        Self { ids, ends }
    }

    pub fn ids(&self) -> &[u32] {
        &self.ids
    }

    pub fn into_ids(self) -> Vec<u32> {
        self.ids
    }

    /// How many UTF-8 bytes of the text these tokens stand for. Every byte belongs to one token: what the tokenizer
    /// drops, to the next token or else the last; a character that several tokens spell, to the first of them; none to
    /// an added BOS or EOS.
    ///
    /// Positions beyond the last token stand for nothing.
    pub fn bytes(&self, tokens: Range<usize>) -> usize {
        let before = |token: usize| match token.min(self.ends.len()) {
            0 => 0,
            some => self.ends[some - 1],
        };
        before(tokens.end).saturating_sub(before(tokens.start))
    }

    /// Leaves the first `tokens` tokens and their bytes.
    pub fn truncate(&mut self, tokens: usize) {
        self.ids.truncate(tokens);
        self.ends.truncate(tokens);
    }
}
