//! The commands of a conversation, which begin with a slash.

use std::path::PathBuf;

pub const HELP: &str = "\
/reset         forget what was said, but not the system message
/system TEXT   what the model is to be; /system alone shows it, /system - removes it
/save FILE     write the conversation as JSON, for glass chat --load
/stats         tokens, cache and speed
/exit          leave, as Ctrl-D does; Ctrl-C stops an answer
\\ at the end of a line, or \"\"\" before and after, for messages of several lines; // for one that begins with /";

#[derive(Debug, PartialEq, Eq)]
pub enum Command<'t> {
    Help,
    Reset,
    ShowSystem,
    RemoveSystem,
    System(&'t str),
    Save(PathBuf),
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
        let (name, rest) = text
            .split_once(char::is_whitespace)
            .unwrap_or((text.trim_end(), ""));
        let rest = rest.trim();
        match (name, rest) {
            ("/help", "") => Self::Help,
            ("/reset", "") => Self::Reset,
            ("/stats", "") => Self::Stats,
            ("/exit" | "/quit", "") => Self::Exit,
            ("/system", "") => Self::ShowSystem,
            ("/system", "-") => Self::RemoveSystem,
            ("/system", text) => Self::System(text),
            ("/save", "") => Self::Wrong("/save needs the name of a file".to_owned()),
            ("/save", file) => Self::Save(file.into()),
            ("/help" | "/reset" | "/stats" | "/exit" | "/quit", _) => {
                Self::Wrong(format!("{name} stands alone"))
            }
            _ => Self::Wrong(format!(
                "there is no {name}; /help lists what there is, and a message that begins with / begins with //"
            )),
        }
    }
}
