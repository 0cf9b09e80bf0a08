//! Where the texts go: a file that an interrupted run is resumed from, or standard output.

use std::{
    collections::HashMap,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    mem,
    path::{Path, PathBuf},
};

use glass_checkpoint::Existing;
use serde_json::Value;

use super::input::Line;
use crate::{
    error::CliError,
    output::{check_place, is_stdout},
    say::warn,
};

pub struct Output {
    /// `None`: standard output.
    file: Option<(PathBuf, File)>,
    /// Whether its content is to be removed when the first line is written, and not before.
    start_anew: bool,
    /// The prompts that it already has, by id.
    done: HashMap<String, Done>,
}

struct Done {
    line: usize,
    /// As [`Line::field`].
    prompt: (String, Value),
}

/// Whether a prompt is still to be continued.
pub enum State {
    Open,
    Done,
    /// The output has another prompt under its id.
    Conflict(String),
}

impl Output {
    /// Opens the file to append to it, or to replace its content. A last line that an ended run left incomplete is removed.
    ///
    /// # Errors
    /// It cannot be opened, or holds something else.
    pub fn open(path: Option<&Path>, existing: Existing) -> Result<Self, CliError> {
        let mut done = HashMap::new();
        let Some(path) = path.filter(|path| !is_stdout(path)) else {
            return Ok(Self { file: None, start_anew: false, done });
        };
        check_place(path)?;
        let failed = CliError::writing(path);
        let foreign = |line: &str| {
            let what = "is nothing that this command writes: give another --output, or --force to overwrite it";
            CliError::input(path, format!("{line} {what}"))
        };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        let is_file = file.metadata().map_err(failed)?.is_file();
        // Held as long as the file is open. Some network drives know no locks: that is no reason not to write there.
        if is_file && matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            let busy = "another process is writing to it: wait for it, or give another --output";
            return Err(CliError::input(path, busy));
        }
        let start_anew = is_file && existing == Existing::Replace;
        let mut bytes = Vec::new();
        if is_file && !start_anew {
            file.read_to_end(&mut bytes).map_err(failed)?;
        }
        let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
        let (whole, rest) = bytes.split_at(whole);
        for (line, row) in (1..).zip(whole.split_inclusive(|&byte| byte == b'\n')) {
            let (id, prompt) = row_of(row).ok_or_else(|| foreign(&format!("line {line}")))?;
            done.insert(id, Done { line, prompt });
        }
        if let Some((id, prompt)) = row_of(rest) {
            // All that is missing is the end of the line.
            file.write_all(b"\n").map_err(failed)?;
            let line = done.len() + 1;
            done.insert(id, Done { line, prompt });
        } else if !rest.is_empty() {
            if !rest.starts_with(b"{\"id\":") && !b"{\"id\":".starts_with(rest) {
                return Err(foreign("its last line"));
            }
            file.set_len(whole.len() as u64).map_err(failed)?;
            warn([format!(
                "{}: its last line was written by half: it is removed, and its prompt done again",
                path.display()
            )]);
        }
        Ok(Self { file: Some((path.to_owned(), file)), start_anew, done })
    }

    pub fn state(&self, line: &Line) -> State {
        let Some(done) = self.done.get(&line.id.to_string()) else {
            return State::Open;
        };
        let (name, value) = line.field();
        if done.prompt == (name.to_owned(), value) {
            State::Done
        } else {
            State::Conflict(format!(
                "its id {} stands in line {} of the output with another prompt: give it another id, or another --output",
                line.id, done.line
            ))
        }
    }

    /// Writes one line, at once.
    pub fn write(&mut self, row: &Value) -> Result<(), CliError> {
        let line = format!("{row}\n");
        match &mut self.file {
            Some((path, file)) => {
                let cleared = if mem::take(&mut self.start_anew) { file.set_len(0) } else { Ok(()) };
                cleared.and_then(|()| file.write_all(line.as_bytes())).map_err(CliError::writing(path))
            }
            None => io::stdout().write_all(line.as_bytes()).map_err(CliError::stdout),
        }
    }
}

/// The id and the prompt of a line that this command wrote, whole.
fn row_of(line: &[u8]) -> Option<(String, (String, Value))> {
    let Ok(Value::Object(mut fields)) = serde_json::from_slice(line) else {
        return None;
    };
    let id = fields.get("id")?.to_string();
    fields.get("finish_reason")?;
    let name = ["prompt", "prompt_ids"].into_iter().find(|name| fields.contains_key(*name))?;
    let value = fields.remove(name)?;
    Some((id, (name.to_owned(), value)))
}
