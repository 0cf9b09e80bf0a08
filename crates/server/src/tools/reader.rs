//! Text and calls of an answer, as it grows.

use serde_json::Value;

use super::{Body, JsonCall, Part, Syntax, Tool, syntax::CALL_ID, values::typed};

/// Takes an answer apart.
#[derive(Clone, Debug)]
pub struct Reader {
    syntax: Syntax,
    tools: Vec<Tool>,
    state: State,
    /// What was read and not yet understood.
    held: String,
    /// Space that nobody wanted to say, unless text follows.
    space: String,
    /// What opened a call that is none yet.
    opened: String,
}

#[derive(Clone, Debug)]
enum State {
    /// Text, in which a call may begin.
    Text,
    /// Text without calls: nothing opens one, and the answer is no JSON.
    Plain,
    /// A call was opened.
    Open,
    /// A call as an object.
    Json(JsonCall),
    /// The name of a call, and then its arguments.
    Name,
    /// The arguments of a call whose name is known.
    Arguments(JsonCall),
    /// Pairs, up to the end of the call.
    Pairs,
    /// Behind a call: the closing mark, another call, or text.
    Behind,
    /// The arguments alone of a forced call, whose name was not told yet.
    Raw(Option<String>),
}

impl Reader {
    pub fn new(syntax: Syntax, tools: Vec<Tool>) -> Self {
        Self::at(syntax, tools, State::Text)
    }

    /// Of an answer that is an object with name and arguments from its first character on.
    pub fn of_call(syntax: Syntax, name: &str, arguments: &str) -> Self {
        Self::at(syntax, vec![], State::Json(JsonCall::new(name, arguments)))
    }

    /// Of an answer that is the arguments of a call.
    pub fn of_arguments(syntax: Syntax, name: &str) -> Self {
        Self::at(syntax, vec![], State::Raw(Some(name.to_owned())))
    }

    fn at(syntax: Syntax, tools: Vec<Tool>, state: State) -> Self {
        Self { syntax, tools, state, held: String::new(), space: String::new(), opened: String::new() }
    }

    /// Whether this special token, which no text has, means something here.
    pub fn reads(&self, special: &str) -> bool {
        self.syntax.open.contains(special)
            || self.syntax.close.contains(special)
            || matches!(&self.syntax.body, Body::Named { between } if between.contains(special))
    }

    /// Reads more of the answer.
    pub fn push(&mut self, text: &str, parts: &mut Vec<Part>) {
        self.held.push_str(text);
        while self.step(parts) {}
    }

    /// The answer has ended: what was held back is text.
    pub fn finish(mut self, parts: &mut Vec<Part>) {
        let raw = match std::mem::replace(&mut self.state, State::Plain) {
            State::Json(call) if !call.is_named() => call.into_raw(),
            State::Json(_) | State::Arguments(_) | State::Behind => return,
            _ => String::new(),
        };
        let text = std::mem::take(&mut self.opened) + &raw + &std::mem::take(&mut self.held);
        self.say(&text, parts);
    }

    /// Understands some of what is held; false: it takes more text to go on.
    fn step(&mut self, parts: &mut Vec<Part>) -> bool {
        match &mut self.state {
            State::Plain => {
                let text = std::mem::take(&mut self.held);
                self.say(&text, parts);
                false
            }
            State::Raw(name) => {
                parts.extend(name.take().map(|name| Part::Call { name }));
                let text = std::mem::take(&mut self.held);
                parts.extend(Some(text).filter(|text| !text.is_empty()).map(Part::Arguments));
                false
            }
            State::Text if self.syntax.open.is_empty() => match self.held.trim_start().chars().next() {
                None => false,
                Some('{' | '[') => {
                    self.state = State::Open;
                    true
                }
                Some(_) => {
                    self.state = State::Plain;
                    true
                }
            },
            State::Text => {
                let open = self.syntax.open.clone();
                if let Some(at) = self.held.find(&open) {
                    let text: String = self.held.drain(..at).collect();
                    let (said, space) = text.split_at(text.trim_end().len());
                    self.say(said, parts);
                    self.space.push_str(space);
                    self.opened = self.held.drain(..open.len()).collect();
                    self.state = State::Open;
                    return true;
                }
                let end = self.held.len() - kept(&self.held, &open);
                let end = self.held[..end].trim_end().len();
                let text: String = self.held.drain(..end).collect();
                self.say(&text, parts);
                false
            }
            State::Open => self.begin(parts),
            State::Json(call) => {
                let complete = read_into(call, &mut self.held, parts, JsonCall::is_complete);
                if complete {
                    self.end_call(parts);
                }
                complete
            }
            State::Arguments(call) => {
                let complete = read_into(call, &mut self.held, parts, JsonCall::has_arguments);
                if complete {
                    self.state = State::Behind;
                }
                complete
            }
            State::Name => self.name(parts),
            State::Pairs => self.pairs(parts),
            State::Behind => self.behind(),
        }
    }

    /// Text, behind the space that was held back.
    fn say(&mut self, text: &str, parts: &mut Vec<Part>) {
        if !text.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut self.space) + text));
        }
    }

    /// What was opened is no call: its mark was text, and a call may still follow where calls have marks.
    fn give_up(&mut self, raw: &str, parts: &mut Vec<Part>) {
        let opened = std::mem::take(&mut self.opened);
        self.say(&opened, parts);
        self.held.insert_str(0, raw);
        self.state = if self.syntax.open.is_empty() { State::Plain } else { State::Text };
    }

    /// A call begins with what is held.
    fn begin(&mut self, parts: &mut Vec<Part>) -> bool {
        self.state = match &self.syntax.body {
            Body::Json { name, arguments, .. } => {
                // Space, and the bracket of a list.
                match self.held.find(|letter: char| !letter.is_whitespace() && letter != '[') {
                    None => return false,
                    Some(at) if self.held[at..].starts_with('{') => {
                        self.opened.extend(self.held.drain(..at));
                    }
                    Some(_) => {
                        self.give_up("", parts);
                        return true;
                    }
                }
                State::Json(JsonCall::new(name, arguments))
            }
            Body::Named { .. } => State::Name,
            Body::Pairs { .. } => State::Pairs,
        };
        true
    }

    /// An object is closed; without the name of a function it was text.
    fn end_call(&mut self, parts: &mut Vec<Part>) {
        match std::mem::replace(&mut self.state, State::Behind) {
            State::Json(call) if !call.is_named() => self.give_up(&call.into_raw(), parts),
            _ => self.opened.clear(),
        }
    }

    fn name(&mut self, parts: &mut Vec<Part>) -> bool {
        let Body::Named { between } = &self.syntax.body else {
            return false;
        };
        // A name of the call itself may follow that of the function.
        let (id, mark) = between.split_once(CALL_ID).unwrap_or((between, between));
        let mark = if mark.trim().is_empty() { "{" } else { mark.trim() };
        let Some(at) = self.held.find(mark) else {
            return false;
        };
        let name = &self.held[..at];
        let end = Some(id.trim()).filter(|id| !id.is_empty()).and_then(|id| name.find(id));
        parts.push(Part::Call { name: name[..end.unwrap_or(at)].trim().to_owned() });
        self.opened.clear();
        let behind = if mark == "{" { at } else { at + mark.len() };
        self.held.drain(..behind);
        // A field around the arguments makes them those of a call.
        let mut call = JsonCall::new("", "arguments");
        let mut ignored = Vec::new();
        "{\"\":\"\",\"arguments\":".chars().for_each(|letter| call.push(letter, &mut ignored));
        self.state = State::Arguments(call);
        true
    }

    /// Takes a call of pairs apart once it is whole.
    fn pairs(&mut self, parts: &mut Vec<Part>) -> bool {
        let Body::Pairs { before_key, before_value, after_value, another } = &self.syntax.body else {
            return false;
        };
        let Some(end) = self.held.find(self.syntax.close.trim()) else {
            return false;
        };
        let whole: String = self.held.drain(..end + self.syntax.close.trim().len()).collect();
        let (name, mut rest) = whole.split_once(before_key.trim()).unwrap_or((&whole, ""));
        let name = name.split(['<', '>', '\n']).next().unwrap_or_default().trim();
        let tool = self.tools.iter().find(|tool| tool.name == name);
        let mut arguments = Vec::new();
        while let Some((key, behind)) = rest.split_once(before_value.trim()) {
            let (value, behind) = behind.split_once(after_value.trim()).unwrap_or((behind, ""));
            // Space of the syntax is no part of a value, and all other space is.
            let value = value.strip_prefix(&before_value[before_value.trim_end().len()..]).unwrap_or(value);
            let own = after_value.len() - after_value.trim_start().len();
            let value = value.strip_suffix(&after_value[..own]).unwrap_or(value);
            arguments.push(format!("{}:{}", Value::from(key.trim()), typed(value, tool, key.trim())));
            rest = behind.trim_start().strip_prefix(another.trim()).unwrap_or("");
        }
        parts.push(Part::Call { name: name.to_owned() });
        parts.push(Part::Arguments(format!("{{{}}}", arguments.join(","))));
        self.opened.clear();
        self.state = State::Behind;
        true
    }

    /// Behind a call: signs that only separate are dropped.
    fn behind(&mut self) -> bool {
        let separators = [' ', '\n', '\t', '\r', ',', ';', ']', '}'];
        let rest = self.held.trim_start_matches(separators);
        let (open, close) = (self.syntax.open.trim(), self.syntax.close.trim());
        if rest.is_empty() {
            self.held.clear();
            return false;
        }
        if !close.is_empty() && rest.starts_with(close) {
            self.held = rest[close.len()..].to_owned();
            return true;
        }
        if (!close.is_empty() && close.starts_with(rest)) || (!open.is_empty() && open.starts_with(rest)) {
            self.held = rest.to_owned();
            return false;
        }
        // Another of a list begins as the first does behind the bracket.
        let another = match self.syntax.body {
            Body::Json { .. } => "{",
            _ => in_list(open),
        };
        if !another.is_empty() && another.starts_with(rest) && another != rest {
            self.held = rest.to_owned();
            return false;
        }
        let more = !another.is_empty() && rest.starts_with(another);
        self.held = rest.to_owned();
        self.state = match self.syntax.body {
            _ if !more => State::Text,
            Body::Json { .. } => State::Open,
            _ => {
                self.opened = self.held.drain(..another.len()).collect();
                State::Name
            }
        };
        true
    }
}

/// Reads letters until the call is over; what is behind it stays.
fn read_into(call: &mut JsonCall, held: &mut String, parts: &mut Vec<Part>, over: fn(&JsonCall) -> bool) -> bool {
    let mut letters = held.chars();
    for letter in letters.by_ref() {
        call.push(letter, parts);
        if over(call) {
            break;
        }
    }
    *held = letters.as_str().to_owned();
    over(call)
}

/// What stands before a call in a list, of what opens one with the list; empty where there is none.
fn in_list(open: &str) -> &str {
    let list = open.trim_end_matches(['{', '"', ' ']);
    if list.ends_with('[') { &open[list.len()..] } else { "" }
}

/// How many bytes at the end of a text may be the beginning of `mark`.
pub(crate) fn kept(text: &str, mark: &str) -> usize {
    let longest = mark.len().saturating_sub(1).min(text.len());
    let is_begun =
        |&len: &usize| text.is_char_boundary(text.len() - len) && mark.starts_with(&text[text.len() - len..]);
    (1..=longest).rev().find(is_begun).unwrap_or(0)
}

#[cfg(test)]
mod tests;
