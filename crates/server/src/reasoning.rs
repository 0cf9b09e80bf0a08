//! What a model thinks before it answers, taken apart from its answer as both grow.

mod harmony;
mod thoughts;

use glass_text::{ChatInput, ChatTemplate};
use serde_json::json;

pub use self::{harmony::between, thoughts::Thoughts};

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

    /// Ends the thoughts that a prompt has opened: what is held to a schema begins with the first token, behind `call` where
    /// that opens one.
    pub fn hold(self, prompt: &mut String, call: &str) {
        if self == HARMONY {
            harmony::hold(prompt, call);
        } else if self.is_open(prompt) {
            *prompt = format!("{}\n\n{}\n\n", prompt.trim_end(), self.close);
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    const THINK: Marks = MARKS[0];

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
