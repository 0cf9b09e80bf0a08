//! What a model thinks before it answers, taken apart from its answer as both grow.

mod harmony;

use glass_text::{ChatInput, ChatTemplate};
use serde_json::json;

use self::harmony::Harmony;
use crate::tools::{Part, kept};

/// What stands around thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub open: &'static str,
    pub close: &'static str,
}

/// Those of the families that think: nearly all, Mistral's, Seed's, Apertus', Command's.
const MARKS: [Marks; 5] = [
    Marks { open: "<think>", close: "</think>" },
    Marks { open: "[THINK]", close: "[/THINK]" },
    Marks { open: "<seed:think>", close: "</seed:think>" },
    Marks { open: "<|inner_prefix|>", close: "<|inner_suffix|>" },
    Marks { open: "<|START_THINKING|>", close: "<|END_THINKING|>" },
];

/// Those of gpt-oss, whose thoughts are messages among others.
const HARMONY: Marks = Marks { open: "<|channel|>analysis<|message|>", close: "<|end|>" };

/// What no template and no text has by chance.
const THOUGHT: &str = "glass_probe_thought";
const ANSWER: &str = "glass_probe_answer";

impl Marks {
    /// Those that are tokens, or that the model's template knows: it leaves out what an earlier turn has between them, or begins
    /// an answer with one. `None`: the model was not trained to think aloud.
    pub fn of_model(template: &ChatTemplate, is_token: impl Fn(&str) -> bool) -> Option<Self> {
        let turn = |role: &str, content: &str| json!({ "role": role, "content": content });
        let shown = |earlier: &str| {
            let messages = vec![turn("user", "?"), turn("assistant", earlier), turn("user", "?")];
            template.render(&ChatInput { messages, add_generation_prompt: true, ..ChatInput::default() })
        };
        if shown(ANSWER).is_ok_and(|text| harmony::is_written(&text, ANSWER)) {
            return Some(HARMONY);
        }
        let has = |marks: &&Marks| {
            let Marks { open, close } = **marks;
            let earlier = format!("{open}\n{THOUGHT}\n{close}\n\n{ANSWER}");
            let is_known = |text: String| (text.contains(ANSWER) && !text.contains(THOUGHT)) || marks.is_open(&text);
            (is_token(open) && is_token(close)) || shown(&earlier).is_ok_and(is_known)
        };
        MARKS.iter().find(has).copied()
    }

    /// Whether a prompt ends within thoughts, so that the model goes on thinking.
    pub fn is_open(self, prompt: &str) -> bool {
        prompt.trim_end().ends_with(self.open)
    }
}

/// A prompt without the opening mark that it may end with.
pub fn without_open_mark(prompt: &str) -> &str {
    let end = prompt.trim_end();
    MARKS.iter().find_map(|marks| end.strip_suffix(marks.open)).unwrap_or(prompt)
}

/// A turn of the model's without the thoughts that it may begin with.
pub fn behind_thoughts(turn: &str) -> &str {
    let end = MARKS.iter().filter_map(|marks| Some(turn.rfind(marks.close)? + marks.close.len())).max();
    &turn[end.unwrap_or(0)..]
}

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
    /// The answer.
    Over,
}

impl Thoughts {
    /// Of an answer that follows this prompt.
    pub fn new(marks: Marks, prompt: &str) -> Self {
        let state = if marks.is_open(prompt) { State::Within { first: true } } else { State::Before };
        let harmony = (marks == HARMONY).then(Harmony::default);
        Self { marks, state, held: String::new(), harmony }
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
            State::Before | State::Over => Part::Text(self.held),
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
            State::Over => {
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

    const THINK: Marks = MARKS[0];

    /// Thoughts and answer of a text that comes in pieces of so many characters.
    fn read(text: &str, prompt: &str, size: usize) -> (String, String) {
        let mut thoughts = Thoughts::new(THINK, prompt);
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
        let mut thoughts = Thoughts::new(HARMONY, "<|start|>assistant");
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
        let mut thoughts = Thoughts::new(THINK, "<think>");
        let mut parts = Vec::new();
        thoughts.push("One two", &mut parts);
        assert_eq!(parts, [Part::Reasoning("One two".into())]);
        assert!(thoughts.reads("</think>") && !thoughts.reads("<tool_call>") && !thoughts.is_over());
        thoughts.push("</think>Yes", &mut parts);
        assert!(!thoughts.reads("</think>") && thoughts.is_over());
    }

    #[test]
    fn marks_are_those_of_the_template_or_the_vocabulary() {
        let template = |text: &str| ChatTemplate::from_text(text, "test", &[]).unwrap();
        let none = |_: &str| false;
        let turns = |turn: &str| template(&format!("{{% for m in messages %}}{turn}{{% endfor %}}"));
        assert_eq!(Marks::of_model(&turns("{{ m.content.split('</think>')[-1] }}"), none), Some(THINK));
        assert_eq!(Marks::of_model(&template("{{ messages[0].content }}<think>\n"), none), Some(THINK));
        assert_eq!(Marks::of_model(&turns("{{ m.content }}"), none), None);
        let mistral = Marks::of_model(&turns("{{ m.content }}"), |token| token.ends_with("THINK]"));
        assert_eq!(mistral, Some(MARKS[1]));
        let apertus = Marks::of_model(&turns("{{ m.content }}"), |token| token.starts_with("<|inner_"));
        assert_eq!(apertus, Some(MARKS[3]));
        let channels = turns("<|start|>{{ m.role }}<|channel|>final<|message|>{{ m.content }}<|end|>");
        assert_eq!(Marks::of_model(&channels, none), Some(HARMONY));
        assert_eq!(without_open_mark("A:<think>\n"), "A:");
        assert_eq!(without_open_mark("A:\n"), "A:\n");
        assert_eq!(behind_thoughts("<think>\n\n</think>\n\nYes"), "\n\nYes");
        assert!(THINK.is_open("...<think>\n") && !THINK.is_open("<think>\n</think>"));
    }
}
