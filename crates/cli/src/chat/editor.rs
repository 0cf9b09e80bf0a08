//! The line that is typed: edited, completed, remembered.

use std::{
    borrow::Cow,
    cell::Cell,
    env, fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use rustyline::{
    Behavior, ColorMode, CompletionType, Config, Context, Editor, Helper,
    completion::{Completer, Pair},
    config::BellStyle,
    error::ReadlineError,
    highlight::{CmdKind, Highlighter},
    hint::Hinter,
    history::FileHistory,
    validate::{ValidationContext, ValidationResult, Validator},
};

use super::{
    command,
    input::{Event, PROMPT, continues, unreadable},
    settings::SETTINGS,
};
use crate::{
    args,
    error::CliError,
    say::warn,
    terminal::{Style, has_colours},
};

/// Messages that are remembered.
const REMEMBERED: usize = 1000;
/// Bytes of a message beyond which it is a file that was pasted, and nobody's to recall.
const LONGEST_REMEMBERED: usize = 1 << 16;

pub struct LineEditor {
    editor: Editor<Line, FileHistory>,
    /// Where messages are kept between runs.
    history: Option<PathBuf>,
}

impl LineEditor {
    /// # Errors
    /// The terminal cannot be used.
    pub fn open(args: &args::Chat) -> Result<Self, CliError> {
        let colours = if has_colours(true) { ColorMode::Forced } else { ColorMode::Disabled };
        let config = Config::builder()
            // The echo of what is typed stays out of a redirected standard output.
            .behavior(Behavior::PreferTerm)
            .color_mode(colours)
            .completion_type(CompletionType::List)
            .bell_style(BellStyle::None)
            .max_history_size(REMEMBERED)
            .map_err(unreadable)?
            .build();
        let mut editor = Editor::with_history(config.clone(), FileHistory::with_config(&config)).map_err(unreadable)?;
        editor.set_helper(Some(Line::default()));
        let mut line = Self { editor, history: None };
        if let Some(path) = (!args.no_history).then(history_file).flatten() {
            match private(&path).map_err(ReadlineError::from).and_then(|()| line.editor.load_history(&path)) {
                Ok(()) => line.history = Some(path),
                Err(error) => line.forget(&path, &error),
            }
        }
        Ok(line)
    }

    /// # Errors
    /// The terminal cannot be read.
    pub fn next(&mut self) -> Result<Event, CliError> {
        if let Some(line) = self.editor.helper() {
            line.empty.set(true);
        }
        let typed = match self.editor.readline(PROMPT) {
            Ok(typed) => typed,
            Err(ReadlineError::Interrupted) => {
                let empty = self.editor.helper().is_none_or(|line| line.empty.get());
                return Ok(Event::Interrupted { empty });
            }
            Err(ReadlineError::Eof) => return Ok(Event::End),
            Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                return Ok(Event::Unreadable("what was typed is not UTF-8: your message was not said".to_owned()));
            }
            Err(error) => return Err(unreadable(error)),
        };
        if typed.len() <= LONGEST_REMEMBERED {
            self.editor.add_history_entry(typed.as_str()).map_err(unreadable)?;
        }
        // At once: however this run ends, the next one knows.
        if let Some(path) = self.history.take() {
            match self.editor.append_history(&path) {
                Ok(()) => self.history = Some(path),
                Err(error) => self.forget(&path, &error),
            }
        }
        Ok(Event::Text(typed))
    }

    fn forget(&mut self, path: &Path, error: &ReadlineError) {
        warn([format!("{}: {error}: what you type is not kept for the next run", path.display())]);
    }
}

/// The file of earlier messages: `GLASS_HISTORY`, where `off` or nothing means none, or one in the user's folder for what
/// programs remember.
fn history_file() -> Option<PathBuf> {
    if let Some(path) = env::var_os("GLASS_HISTORY") {
        return (!path.is_empty() && path != "off").then(|| path.into());
    }
    let folder = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = if cfg!(windows) {
        folder("LOCALAPPDATA")
    } else {
        folder("XDG_STATE_HOME").or_else(|| Some(env::home_dir()?.join(".local/state")))
    };
    Some(state?.join("glass/chat-history"))
}

/// Makes the file, for its owner's eyes alone.
fn private(path: &Path) -> std::io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    let mut file = fs::OpenOptions::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
        folder.mode(0o700);
        file.mode(0o600);
    }
    if let Some(parent) = path.parent() {
        folder.recursive(true).create(parent)?;
    }
    let file = file.append(true).create(true).open(path)?;
    #[cfg(unix)]
    if file.metadata()?.is_file() {
        file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
    }
    let _ = file;
    Ok(())
}

/// What the editor asks about the line.
#[derive(Default)]
struct Line {
    /// Whether nothing is typed.
    empty: Cell<bool>,
}

impl Validator for Line {
    /// Keeps the editor in a message until its last line.
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        Ok(if continues(context.input()) { ValidationResult::Incomplete } else { ValidationResult::Valid(None) })
    }
}

impl Completer for Line {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        let typed = &line[..pos];
        if !typed.starts_with('/') || typed.starts_with("//") {
            return Ok((pos, Vec::new()));
        }
        let Some((name, rest)) = typed.split_once(' ') else {
            let names = command::names().map(|(name, more)| candidate(name, if more { " " } else { "" }));
            return Ok((0, beginning(names, typed)));
        };
        let rest = rest.trim_start();
        match name {
            "/set" if !rest.contains(' ') => {
                let names = SETTINGS.iter().map(|setting| candidate(setting.name, " "));
                Ok((pos - rest.len(), beginning(names, rest)))
            }
            "/save" | "/save!" | "/load" => {
                let file = command::after_force(rest).filter(|_| name == "/save").unwrap_or(rest);
                let start = pos - file.len();
                Ok((start, files(file)))
            }
            _ => Ok((pos, Vec::new())),
        }
    }
}

fn candidate(name: &str, end: &str) -> Pair {
    Pair { display: name.to_owned(), replacement: format!("{name}{end}") }
}

fn beginning(candidates: impl Iterator<Item = Pair>, typed: &str) -> Vec<Pair> {
    candidates.filter(|candidate| candidate.display.starts_with(typed)).collect()
}

/// The files whose path begins as typed, folders with a slash.
fn files(typed: &str) -> Vec<Pair> {
    let (folder, name) = typed.split_at(typed.rfind(std::path::is_separator).map_or(0, |slash| slash + 1));
    let place = if folder.is_empty() { PathBuf::from(".") } else { command::path(folder) };
    let Ok(entries) = fs::read_dir(place) else {
        return Vec::new();
    };
    let mut found: Vec<Pair> = entries
        .flatten()
        .filter_map(|entry| {
            let is_folder = fs::metadata(entry.path()).is_ok_and(|meta| meta.is_dir());
            let file = entry.file_name().into_string().ok()?;
            // Hidden files for those who ask for them.
            let matches = file.starts_with(name) && (name.starts_with('.') || !file.starts_with('.'));
            let file = if is_folder { file + "/" } else { file };
            matches.then(|| Pair { replacement: format!("{folder}{file}"), display: file })
        })
        .collect();
    found.sort_by(|a, b| a.display.cmp(&b.display));
    found
}

impl Highlighter for Line {
    fn highlight<'l>(&self, line: &'l str, _pos: usize) -> Cow<'l, str> {
        Style::Typed.paint(line).into()
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _default: bool) -> Cow<'b, str> {
        Style::Prompt.paint(prompt).into()
    }

    /// What is new is painted too.
    fn highlight_char(&self, _line: &str, _pos: usize, kind: CmdKind) -> bool {
        kind == CmdKind::Other
    }
}

impl Hinter for Line {
    type Hint = String;

    /// Never a hint: the call shows what is typed.
    fn hint(&self, line: &str, _pos: usize, _: &Context<'_>) -> Option<String> {
        self.empty.set(line.is_empty());
        None
    }
}

impl Helper for Line {}
