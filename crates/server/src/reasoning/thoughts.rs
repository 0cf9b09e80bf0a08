//! An answer as it grows: thoughts, and what is none.

use super::{HARMONY, Marks, harmony::Harmony};
use crate::tools::{Part, kept};

/// Takes the thoughts at the beginning of an answer apart from the rest.
#[derive(Clone, Debug)]
pub struct Thoughts {
    marks: Marks,
    state: State,
    /// What was read and not yet understood.
    held: String,
    /// Where thoughts are messages, what reads them: all of the answer.
    harmony: Option<Harmony>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing came yet but space and a part of the opening mark.
    Before,
    /// Thoughts; the first of them, or more.
    Within { first: bool },
    /// Space between the closing mark and the answer.
    Behind,
    /// Thoughts are left in the text, and the marks around them.
    Aloud,
    /// The answer.
    Over,
}

impl Thoughts {
    /// Of an answer that follows this prompt; `aloud`: thoughts are left in it.
    pub fn new(marks: Marks, prompt: &str, aloud: bool) -> Self {
        let is_open = marks.is_open(prompt);
        let state = match is_open {
            _ if aloud => State::Aloud,
            true => State::Within { first: true },
            false => State::Before,
        };
        let harmony = (marks == HARMONY).then(|| Harmony::new(prompt, aloud));
        Self { marks, state, held: String::new(), harmony }
    }

    /// Calls are taken apart as well, where thoughts are messages and some may come.
    pub fn with_calls(self, calls: bool) -> Self {
        Self { harmony: self.harmony.map(|harmony| harmony.with_calls(calls)), ..self }
    }

    /// Whether calls are taken apart as well.
    pub fn has_calls(&self) -> bool {
        self.harmony.is_some()
    }

    /// Whether the answer has begun.
    pub fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// Whether what comes next is a thought.
    pub fn is_within(&self) -> bool {
        match &self.harmony {
            Some(harmony) => harmony.hides(),
            None => matches!(self.state, State::Within { .. }),
        }
    }

    /// Whether what was read last is no part of the answer.
    pub fn hides(&self) -> bool {
        self.is_within() || self.state == State::Behind
    }

    /// Whether this special token, which no text has, means something here.
    pub fn reads(&self, special: &str) -> bool {
        match &self.harmony {
            Some(_) => Harmony::reads(special),
            None => !self.is_over() && (special == self.marks.open || special == self.marks.close),
        }
    }

    /// Reads more of the answer.
    pub fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        if let Some(harmony) = &mut self.harmony {
            return harmony.push(text, parts);
        }
        self.held.push_str(text);
        while self.step(parts) {}
    }

    /// The answer has ended: what was held back is what it seemed to be.
    pub fn finish(self, parts: &mut Vec<Part>) {
        if let Some(harmony) = self.harmony {
            return harmony.finish(parts);
        }
        let part = match self.state {
            State::Before | State::Over | State::Aloud => Part::Text(self.held),
            State::Within { .. } => Part::Reasoning(self.held.trim_end().to_owned()),
            State::Behind => return,
        };
        put(parts, part);
    }

    /// Understands some of what is held; false: it takes more text to go on.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        let Marks { open, close } = self.marks;
        match self.state {
            State::Before => {
                let text = self.held.trim_start();
                if let Some(rest) = text.strip_prefix(open) {
                    self.held = rest.to_owned();
                    self.state = State::Within { first: true };
                    return true;
                }
                if open.starts_with(text) {
                    return false;
                }
                self.state = State::Over;
                true
            }
            State::Within { first } => {
                if first {
                    self.held = self.held.trim_start().to_owned();
                }
                if let Some(at) = self.held.find(close) {
                    put(parts, Part::Reasoning(self.held[..at].trim_end().to_owned()));
                    self.held.drain(..at + close.len());
                    self.state = State::Behind;
                    return true;
                }
                let end = self.held.len() - kept(&self.held, close);
                // Space before the closing mark is no thought.
                let end = self.held[..end].trim_end().len();
                let text: String = self.held.drain(..end).collect();
                self.state = State::Within { first: first && text.is_empty() };
                put(parts, Part::Reasoning(text));
                false
            }
            State::Behind => {
                self.held = self.held.trim_start().to_owned();
                if self.held.is_empty() {
                    return false;
                }
                self.state = State::Over;
                true
            }
            State::Over | State::Aloud => {
                put(parts, Part::Text(std::mem::take(&mut self.held)));
                false
            }
        }
    }
}

/// Empty parts are none.
fn put(parts: &mut Vec<Part>, part: Part) {
    match &part {
        Part::Text(text) | Part::Reasoning(text) if text.is_empty() => {}
        _ => parts.push(part),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reasoning::MARKS;

    const THINK: Marks = MARKS[0];

    /// Thoughts and answer of a text that comes in pieces of so many characters.
    fn read(text: &str, prompt: &str, size: usize) -> (String, String) {
        let mut thoughts = Thoughts::new(THINK, prompt, false);
        let (mut parts, letters) = (Vec::new(), text.chars().collect::<Vec<_>>());
        for piece in letters.chunks(size) {
            thoughts.push(&piece.iter().collect::<String>(), &mut parts);
        }
        thoughts.finish(&mut parts);
        let (mut reasoning, mut answer) = (String::new(), String::new());
        for part in parts {
            match part {
                Part::Reasoning(text) => {
                    assert!(answer.is_empty(), "thoughts behind the answer");
                    reasoning += &text;
                }
                Part::Text(text) => answer += &text,
                other => panic!("{other:?}"),
            }
        }
        (reasoning, answer)
    }

    #[test]
    fn thoughts_end_where_the_mark_does_however_it_comes() {
        for (prompt, text, thoughts, answer) in [
            (
                "",
                "<think>\nHm, 2 < 3.\n\nSo?\n</think>\n\nYes. </think> is a mark.",
                "Hm, 2 < 3.\n\nSo?",
                "Yes. </think> is a mark.",
            ),
            ("", "\n <think></think>Yes", "", "Yes"),
            ("A:<think>\n", "Hm </thin </think> Yes", "Hm </thin", "Yes"),
            ("A:<think>\n", "never ends </thi", "never ends </thi", ""),
            ("A:<think>\n\n</think>\n\n", "Yes", "", "Yes"),
            ("", "Yes, <think>no</think>", "", "Yes, <think>no</think>"),
            ("", "<thing> and <thi", "", "<thing> and <thi"),
            ("", "<thi", "", "<thi"),
            ("", "  Yes\n", "", "  Yes\n"),
        ] {
            for size in 1..text.len() + 1 {
                let found = read(text, prompt, size);
                assert_eq!((found.0.as_str(), found.1.as_str()), (thoughts, answer), "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn thoughts_on_a_channel_are_told_apart() {
        let mut thoughts = Thoughts::new(HARMONY, "<|start|>assistant", false);
        let mut parts = Vec::new();
        thoughts.push("<|channel|>analysis<|message|>Hm", &mut parts);
        assert!(thoughts.is_within() && thoughts.hides() && thoughts.reads("<|end|>") && !thoughts.reads("<|return|>"));
        thoughts.push("<|end|><|start|>assistant<|channel|>final<|message|>Yes", &mut parts);
        assert!(!thoughts.is_within() && !thoughts.hides() && !thoughts.is_over());
        thoughts.finish(&mut parts);
        assert_eq!(parts, [Part::Reasoning("Hm".into()), Part::Text("Yes".into())]);
    }

    #[test]
    fn thoughts_come_as_they_grow() {
        let mut thoughts = Thoughts::new(THINK, "<think>", false);
        let mut parts = Vec::new();
        thoughts.push("One two", &mut parts);
        assert_eq!(parts, [Part::Reasoning("One two".into())]);
        assert!(thoughts.reads("</think>") && !thoughts.reads("<tool_call>") && !thoughts.is_over());
        thoughts.push("</think>Yes", &mut parts);
        assert!(!thoughts.reads("</think>") && thoughts.is_over());
    }

    #[test]
    fn thoughts_aloud_are_text_with_their_marks() {
        for (marks, prompt) in [(MARKS[1], "A:"), (THINK, "A:<think>\n"), (HARMONY, "<|start|>assistant")] {
            let mut thoughts = Thoughts::new(marks, prompt, true);
            let mut parts = Vec::new();
            for piece in [marks.open, " Hm\n", marks.close, "\n\nYes"] {
                let special = piece == marks.open || piece == marks.close;
                assert!(thoughts.reads(piece) == special || marks == HARMONY, "{piece}");
                thoughts.push(piece, &mut parts);
                assert!(!thoughts.hides() && !thoughts.is_over());
            }
            thoughts.finish(&mut parts);
            let text: String =
                parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "?" }).collect();
            assert_eq!(text, format!("{} Hm\n{}\n\nYes", marks.open, marks.close));
        }
    }
}
