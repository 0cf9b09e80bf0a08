//! One answer as it grows: thoughts first, where the model has some, then text and calls.

use glass_generate::TokenLogprobs;

use crate::{
    reasoning::Thoughts,
    tools::{Part, Reader},
};

/// An answer to a request.
#[derive(Default)]
pub struct Choice {
    /// Until the answer begins.
    pub thoughts: Option<Thoughts>,
    pub reasoning_tokens: usize,
    pub reader: Option<Reader>,
    pub calls: usize,
    /// Those of tokens whose text is not final yet.
    pub logprobs: Vec<TokenLogprobs>,
    /// All ids, where it matters which stop string ended them.
    pub ids: Vec<u32>,
    pub over: bool,
}

impl Choice {
    pub fn takes_apart(&self) -> bool {
        self.thoughts.is_some() || self.reader.is_some()
    }

    /// Reads a token: its text, and its name if it is a special one.
    pub fn think(&mut self, text: String, special: Option<&str>, parts: &mut Vec<Part>) {
        let Some(thoughts) = &mut self.thoughts else {
            return self.answer(text, special, parts);
        };
        let within = thoughts.is_within();
        let mut found = Vec::new();
        thoughts.push(&text, &mut found);
        let mark = special.filter(|special| thoughts.reads(special));
        if let Some(mark) = mark {
            thoughts.push(mark, &mut found);
        }
        self.reasoning_tokens += usize::from(within);
        if within || thoughts.hides() {
            self.logprobs.clear();
        }
        let special = special.filter(|_| mark.is_none() && !thoughts.is_within());
        if thoughts.is_over() || special.is_some() {
            self.end_thoughts(&mut found);
        }
        self.take_over(found, parts);
        self.answer(String::new(), special, parts);
    }

    pub fn end_thoughts(&mut self, found: &mut Vec<Part>) {
        if let Some(thoughts) = self.thoughts.take() {
            thoughts.finish(found);
        }
    }

    /// What is no thought is the answer's.
    pub fn take_over(&mut self, found: Vec<Part>, parts: &mut Vec<Part>) {
        for part in found {
            match part {
                Part::Text(text) => self.answer(text, None, parts),
                thought => parts.push(thought),
            }
        }
    }

    /// Reads more of the answer itself.
    fn answer(&mut self, text: String, special: Option<&str>, parts: &mut Vec<Part>) {
        match &mut self.reader {
            Some(reader) => {
                reader.push(&text, parts);
                if let Some(special) = special.filter(|special| reader.reads(special)) {
                    reader.push(special, parts);
                }
            }
            None if text.is_empty() => {}
            None => parts.push(Part::Text(text)),
        }
    }
}
