use std::ops::Range;

/// The ids of a text, and the bytes that each one stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    ids: Vec<u32>,
    /// The end of each token in the text, in bytes; never decreasing.
    ends: Vec<usize>,
}

impl Encoded {
    /// `tokens`: ids, each with its end in the text as the tokenizer gives it.
    pub(super) fn new(tokens: Vec<(u32, usize)>, text_bytes: usize) -> Self {
        let (ids, mut ends): (Vec<u32>, Vec<usize>) = tokens.into_iter().unzip();
        // A token that a post-processor appends "ends" at 0.
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

    /// The number of UTF-8 bytes that these tokens stand for. Every byte belongs to one token: dropped ones to the next
    /// token, or else the last; a character of several tokens to the first of them. An added BOS or EOS has none, nor has
    /// an index beyond the last token.
    pub fn bytes(&self, tokens: Range<usize>) -> usize {
        let before = |token: usize| match token.min(self.ends.len()) {
            0 => 0,
            count => self.ends[count - 1],
        };
        before(tokens.end).saturating_sub(before(tokens.start))
    }

    /// Keeps the first `tokens` tokens.
    pub fn truncate(&mut self, tokens: usize) {
        self.ids.truncate(tokens);
        self.ends.truncate(tokens);
    }
}
