//! The commands of a conversation, which begin with a slash.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{terminal::Stream, wrap::wrapped};

/// How a command is typed, and what it does.
const COMMANDS: [(&str, &str); 10] = [
    ("/retry", "answers your last message anew"),
    ("/undo", "takes your last message and its answer back"),
    ("/reset", "forgets what was said, but not the system message"),
    ("/system TEXT", "what the model is to be; /system alone shows it, /system - removes it"),
    ("/set NAME VALUE", "how answers are chosen, and how long they may be; /set alone lists that"),
    ("/save FILE", "writes the conversation as JSON; /save --force FILE, or /save! FILE, over a file that is there"),
    ("/load FILE", "goes on with a conversation that was saved, in place of this one"),
    ("/stats", "tokens, cache and speed"),
    ("/help", "this list"),
    ("/exit", "leaves, as Ctrl-D does"),
];

/// Beside the commands.
const KEYS: [(&str, &str); 5] = [
    ("Ctrl-C", "stops the answer; at the prompt clears the line, and once more leaves"),
    ("Tab", "completes commands, settings and files"),
    ("Up, Ctrl-R", "earlier messages"),
    ("\\ or \"\"\"", "a message of several lines: \\ at the end of each but the last, or \"\"\" before and after them"),
    ("//", "begins a message with /"),
];

/// Columns of what is typed.
const TYPED: usize = 17;
/// Less than this is too narrow for two columns: what a command does stands below it.
const NARROW: usize = 50;
const NARROW_INDENT: usize = 2;

/// The commands and keys, for `/help`.
pub fn help() -> String {
    let columns = Stream::Err.columns();
    let line = |(typed, what): &(&str, &str)| {
        let (typed, indent) = match columns {
            Some(columns) if columns < NARROW => (format!("{typed}\n{:NARROW_INDENT$}", ""), NARROW_INDENT),
            _ => (format!("{typed:<TYPED$}"), TYPED),
        };
        let what = match columns {
            Some(columns) => wrapped(what, columns.saturating_sub(indent).max(2)),
            None => (*what).to_owned(),
        };
        typed + &what.replace('\n', &format!("\n{:indent$}", ""))
    };
    COMMANDS.iter().chain(&KEYS).map(line).collect::<Vec<_>>().join("\n")
}

/// The names of all commands, and whether something follows them.
pub fn names() -> impl Iterator<Item = (&'static str, bool)> {
    COMMANDS.iter().map(|(typed, _)| match typed.split_once(' ') {
        Some((name, _)) => (name, true),
        None => (*typed, false),
    })
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command<'t> {
    Help,
    Reset,
    Retry,
    Undo,
    ShowSystem,
    RemoveSystem,
    System(&'t str),
    ListSettings,
    ShowSetting(&'t str),
    Set(&'t str, &'t str),
    Save {
        path: PathBuf,
        force: bool,
    },
    Load(PathBuf),
    Stats,
    Exit,
    /// A misspelt command, and an error line about it.
    Wrong(String),
    /// Not a command: a message.
    Message(&'t str),
}

impl<'t> Command<'t> {
    pub fn parse(text: &'t str) -> Self {
        if let Some(message) = text.strip_prefix('/').filter(|rest| rest.starts_with('/')) {
            return Self::Message(message);
        }
        if !text.starts_with('/') {
            return Self::Message(text);
        }
        let (name, rest) = text.split_once(char::is_whitespace).unwrap_or((text.trim_end(), ""));
        let rest = rest.trim();
        match (name, rest) {
            ("/help" | "/?", "") => Self::Help,
            ("/reset", "") => Self::Reset,
            ("/retry", "") => Self::Retry,
            ("/undo", "") => Self::Undo,
            ("/stats", "") => Self::Stats,
            ("/exit" | "/quit", "") => Self::Exit,
            ("/system", "") => Self::ShowSystem,
            ("/system", "-") => Self::RemoveSystem,
            ("/system", text) => Self::System(text),
            ("/set", "") => Self::ListSettings,
            ("/set", setting) => match setting.split_once([' ', '\t', '=']) {
                Some((name, value)) => Self::Set(name, value.trim()),
                None => Self::ShowSetting(setting),
            },
            ("/save" | "/save!" | "/load", "") => Self::Wrong(format!("{name} needs the name of a file")),
            ("/save", file) => match after_force(file) {
                Some("") => Self::Wrong("/save --force needs the name of a file".to_owned()),
                Some(file) => Self::Save { path: path(file), force: true },
                None => Self::Save { path: path(file), force: false },
            },
            ("/save!", file) => Self::Save { path: path(file), force: true },
            ("/load", file) => Self::Load(path(file)),
            (name, _) if names().any(|(known, _)| known == name) || name == "/quit" => {
                Self::Wrong(format!("{name} stands alone"))
            }
            _ => Self::Wrong(format!(
                "there is no {name}; {}/help lists what there is, and a message that begins with / begins with //",
                like(name, names().map(|(name, _)| name))
            )),
        }
    }
}

/// What follows the word that allows to overwrite, if it is there.
pub fn after_force(rest: &str) -> Option<&str> {
    let file = rest.strip_prefix("--force").or_else(|| rest.strip_prefix('!'))?;
    (file.is_empty() || file.starts_with(char::is_whitespace)).then(|| file.trim_start())
}

/// The path that is meant: quotes around it are not part of it, and `~` is the home folder.
pub fn path(typed: &str) -> PathBuf {
    let quoted = |quote| typed.strip_prefix(quote)?.strip_suffix(quote);
    let typed = quoted('"').or_else(|| quoted('\'')).unwrap_or(typed);
    match (typed.strip_prefix('~').filter(|rest| rest.is_empty() || rest.starts_with('/')), env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest.trim_start_matches('/')),
        _ => Path::new(typed).to_owned(),
    }
}

/// A question, if one of `known` is like it.
pub fn like<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> String {
    let near = |known: &'k str| (strsim::jaro_winkler(name, known), known);
    let best = known.into_iter().map(near).max_by(|(a, _), (b, _)| a.total_cmp(b));
    match best {
        Some((likeness, known)) if likeness > 0.85 => format!("did you mean {known}? "),
        _ => String::new(),
    }
}
