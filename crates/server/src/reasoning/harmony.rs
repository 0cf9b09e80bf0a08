//! Messages on channels, as gpt-oss writes an answer: what each is, its header says.
//!
//! `<|channel|>analysis<|message|>…<|end|><|start|>assistant<|channel|>final<|message|>…`
//!
//! Analysis is thought; what is sent to a function is a call; all else is said. Where thoughts are left in the text, all but
//! calls is, as it was written.

use crate::tools::{Part, kept};

const START: &str = "<|start|>";
const CHANNEL: &str = "<|channel|>";
const CONSTRAIN: &str = "<|constrain|>";
const MESSAGE: &str = "<|message|>";
const END: &str = "<|end|>";

/// Whom a message is for.
const TO: &str = "to=";
/// Whose the functions of a request are.
const FUNCTIONS: &str = "to=functions.";

/// What begins a message of the model's.
const TURN: &str = "<|start|>assistant";

/// Whether a template writes an earlier answer so.
pub fn is_written(turn: &str, answer: &str) -> bool {
    turn.contains(&format!("{CHANNEL}final{MESSAGE}{answer}"))
}

/// Goes on with a prompt to where text is held to a schema: behind the header of an answer, or of a call, which `call` is.
pub fn hold(prompt: &mut String, call: &str) {
    if !prompt.ends_with(TURN) {
        prompt.push_str(&format!("{END}{TURN}"));
    }
    if call.is_empty() {
        prompt.push_str(&format!("{CHANNEL}final{MESSAGE}"));
    } else if call.starts_with(TO) {
        prompt.push(' ');
    }
}

/// What stands between the name of a function and its arguments: as the template has it, and as models write it. Of other
/// families the first alone.
pub fn between(open: &str, between: &str) -> Vec<String> {
    let mut all = vec![between.to_owned()];
    if open.ends_with(FUNCTIONS) {
        let own = [format!(" {CONSTRAIN}json{MESSAGE}"), format!("{CHANNEL}commentary {CONSTRAIN}json{MESSAGE}")];
        all.extend(own.into_iter().filter(|other| other != between));
    }
    all
}

/// Takes the messages of an answer apart.
#[derive(Clone, Debug, Default)]
pub struct Harmony {
    /// Thoughts are text.
    aloud: bool,
    /// What is sent to a function is a call: the request has functions.
    calls: bool,
    state: State,
    /// What was read and not yet understood.
    held: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing came yet but what a header may begin with.
    #[default]
    Before,
    Header,
    Thought,
    Said,
    /// The arguments of a call, of which some came.
    Call {
        begun: bool,
    },
}

impl Harmony {
    /// Of an answer that follows this prompt, perhaps within a message that it has begun.
    pub fn new(prompt: &str, aloud: bool) -> Self {
        let (start, message) = (prompt.rfind(START), prompt.rfind(MESSAGE));
        let header = start.zip(message).and_then(|(start, message)| prompt.get(start..message));
        let is_over = prompt.rfind(END) > message;
        let state = header.filter(|_| !is_over).map(|header| begin(header, false, &mut Vec::new()));
        Self { aloud, calls: false, state: state.unwrap_or_default(), held: String::new() }
    }

    pub fn with_calls(self, calls: bool) -> Self {
        Self { calls, ..self }
    }

    /// Whether what comes next is no part of the answer.
    pub fn hides(&self) -> bool {
        !self.aloud && matches!(self.state, State::Header | State::Thought)
    }

    /// Whether this special token, which no text has, means something here.
    pub fn reads(special: &str) -> bool {
        [START, CHANNEL, CONSTRAIN, MESSAGE, END].contains(&special)
    }

    /// Reads more of the answer.
    pub fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        self.held.push_str(text);
        while self.step(parts) {}
    }

    /// The answer has ended: a header without a message says nothing.
    pub fn finish(mut self, parts: &mut Vec<Part>) {
        let rest = std::mem::take(&mut self.held);
        match self.state {
            State::Before => self.state = State::Said,
            // No header after all.
            State::Header if ["<|", TO].iter().all(|mark| !rest.trim_start().starts_with(mark)) => {
                self.state = State::Said
            }
            State::Call { begun: false } if rest.trim().is_empty() => parts.push(Part::Arguments("{}".to_owned())),
            _ => {}
        }
        self.tell(rest, parts);
    }

    /// Understands some of what is held; false: it takes more text to go on.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        match self.state {
            State::Before => {
                let text = self.held.trim_start();
                let begins = |mark: &str| text.starts_with(mark) || mark.starts_with(text);
                if [START, CHANNEL, TO].iter().all(|mark| !begins(mark)) {
                    self.state = State::Said;
                } else if [START, CHANNEL, TO].iter().any(|mark| text.starts_with(mark)) {
                    self.state = State::Header;
                } else {
                    return false;
                }
                true
            }
            State::Header => {
                let Some(at) = self.held.find(MESSAGE) else {
                    return false;
                };
                self.state = begin(&self.held[..at], self.calls, parts);
                let header = self.held.drain(..at + MESSAGE.len()).collect();
                self.write(header, parts);
                true
            }
            State::Thought | State::Said | State::Call { .. } => {
                let end = self.held.find(END);
                let until = end.unwrap_or(self.held.len() - kept(&self.held, END));
                let text: String = self.held.drain(..until).collect();
                self.tell(text, parts);
                if end.is_none() {
                    return false;
                }
                if self.state == (State::Call { begun: false }) {
                    parts.push(Part::Arguments("{}".to_owned()));
                }
                let end = self.held.drain(..END.len()).collect();
                self.write(end, parts);
                self.state = State::Header;
                true
            }
        }
    }

    /// The signs around a message, where they are shown.
    fn write(&self, signs: String, parts: &mut Vec<Part>) {
        if self.aloud && !matches!(self.state, State::Call { .. }) {
            parts.push(Part::Text(signs));
        }
    }

    /// More of the message.
    fn tell(&mut self, text: String, parts: &mut Vec<Part>) {
        if text.is_empty() {
            return;
        }
        parts.extend(match &mut self.state {
            State::Header | State::Thought if self.aloud => Some(Part::Text(text)),
            State::Thought => Some(Part::Reasoning(text)),
            State::Said => Some(Part::Text(text)),
            State::Call { begun } if *begun || !text.trim().is_empty() => {
                *begun = true;
                Some(Part::Arguments(text))
            }
            _ => None,
        });
    }
}

/// What begins behind this header.
fn begin(header: &str, calls: bool, parts: &mut Vec<Part>) -> State {
    let word = |mark: &str| {
        let text = header.split_once(mark)?.1;
        text.split(|letter: char| letter.is_whitespace() || letter == '<').next()
    };
    match word(FUNCTIONS) {
        Some(name) if calls => {
            parts.push(Part::Call { name: name.to_owned() });
            return State::Call { begun: false };
        }
        Some(_) => return State::Said,
        None => {}
    }
    // What is sent to the model's own tools is not said to anybody.
    match word(CHANNEL) {
        Some("analysis") => State::Thought,
        _ if header.contains(TO) => State::Thought,
        _ => State::Said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Thoughts, answer and calls of a text that comes in pieces of so many characters.
    fn read(mut harmony: Harmony, text: &str, size: usize) -> (String, String, Vec<(String, String)>) {
        let (mut parts, letters) = (Vec::new(), text.chars().collect::<Vec<_>>());
        for piece in letters.chunks(size) {
            harmony.push(&piece.iter().collect::<String>(), &mut parts);
        }
        harmony.finish(&mut parts);
        let (mut thoughts, mut said, mut calls) = (String::new(), String::new(), Vec::<(String, String)>::new());
        for part in parts {
            match part {
                Part::Reasoning(text) => thoughts += &text,
                Part::Text(text) => said += &text,
                Part::Call { name } => calls.push((name, String::new())),
                Part::Arguments(text) => calls.last_mut().unwrap().1 += &text,
            }
        }
        (thoughts, said, calls)
    }

    #[test]
    fn every_channel_is_what_it_says() {
        let next = "<|end|><|start|>assistant";
        for (text, thoughts, said, calls) in [
            ("<|channel|>final<|message|>Is 4 < 5.".to_owned(), "", "Is 4 < 5.", vec![]),
            (format!("<|channel|>analysis<|message|>2+2{next}<|channel|>final<|message|>4"), "2+2", "4", vec![]),
            ("<|channel|>analysis<|message|>cut <|en".to_owned(), "cut <|en", "", vec![]),
            (
                format!(
                    "<|channel|>analysis<|message|>Hm{next}<|channel|>commentary<|message|>I look.{next}<|channel|>commentary \
                     to=functions.f <|constrain|>json<|message|>{{\"a\": 1}}"
                ),
                "Hm",
                "I look.",
                vec![("f", "{\"a\": 1}")],
            ),
            (
                format!(
                    " to=functions.f<|channel|>commentary json<|message|>{{}}{next}<|channel|>commentary \
                     to=functions.g.v2<|message|>"
                ),
                "",
                "",
                vec![("f", "{}"), ("g.v2", "{}")],
            ),
            ("<|channel|>commentary to=browser.search<|message|>{}".to_owned(), "{}", "", vec![]),
            ("<|channel|>final".to_owned(), "", "", vec![]),
            ("to be or not".to_owned(), "", "to be or not", vec![]),
            ("to".to_owned(), "", "to", vec![]),
        ] {
            for size in 1..=text.len() {
                let found = read(Harmony::default().with_calls(true), &text, size);
                let calls = calls.iter().map(|(name, json)| (name.to_string(), json.to_string())).collect::<Vec<_>>();
                assert_eq!((&*found.0, &*found.1, found.2), (thoughts, said, calls), "{text:?} by {size}");
            }
        }
    }

    #[test]
    fn aloud_all_but_calls_is_as_it_was_written() {
        let thought = "<|channel|>analysis<|message|>Hm<|end|>";
        let call = "<|start|>assistant<|channel|>commentary to=functions.f <|constrain|>json<|message|>{}";
        let said = "<|start|>assistant<|channel|>final<|message|>Yes";
        for size in 1..=60 {
            let aloud = |text: &str| read(Harmony::new(TURN, true).with_calls(true), text, size);
            let whole = format!("{thought}{said}");
            assert_eq!(aloud(&whole), (String::new(), whole.clone(), vec![]));
            let (_, text, calls) = aloud(&format!("{thought}{call}"));
            assert_eq!((&*text, calls), (thought, vec![("f".to_owned(), "{}".to_owned())]));
        }
    }

    #[test]
    fn an_answer_goes_on_where_the_prompt_ends() {
        let said = |prompt: &str, text: &str| read(Harmony::new(prompt, false), text, 3).1;
        let (thinks, says) =
            (format!("{TURN}{CHANNEL}analysis{MESSAGE}"), format!("{TURN}{CHANNEL}final{MESSAGE}Set "));
        assert_eq!(read(Harmony::new(&thinks, false), "Hm<|end|>", 3).0, "Hm");
        assert_eq!(said(&says, "to=5 and run."), "to=5 and run.");
        assert_eq!(said(&format!("{says}{END}{TURN}"), "<|channel|>final<|message|>4"), "4");
        // Where nothing may be called, nothing is.
        let call = " to=functions.f<|channel|>commentary json<|message|>{}";
        assert_eq!(read(Harmony::new(TURN, false), call, 3), (String::new(), "{}".to_owned(), vec![]));
        assert_eq!(said(&says, "4<|end|>And more"), "4And more", "no header");
    }

    #[test]
    fn what_is_held_stands_behind_a_header() {
        let held = |prompt: &str, call: &str| {
            let mut prompt = prompt.to_owned();
            hold(&mut prompt, call);
            prompt + call
        };
        let turn = "<|start|>assistant";
        let call = "to=functions.f<|channel|>commentary json<|message|>";
        let answer = format!("{turn}<|channel|>final<|message|>");
        assert_eq!(held(turn, ""), answer);
        assert_eq!(held(turn, call), format!("{turn} {call}"));
        assert_eq!(held(turn, "<|channel|>f"), format!("{turn}<|channel|>f"));
        let thinks = format!("{turn}<|channel|>analysis<|message|>");
        assert_eq!(held(&thinks, ""), format!("{thinks}<|end|>{answer}"));
        assert_eq!(held(&answer, call), format!("{answer}<|end|>{turn} {call}"));
    }
}
