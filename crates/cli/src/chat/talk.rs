//! The turns of a conversation.

use std::{
    fs, io,
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use glass_checkpoint::Existing;
use glass_generate::{Conversation, FinishReason, Llama, Progress, Reply, SamplingError};
use glass_text::{ChatTemplate, Message, read_messages};

use super::{
    command::{self, Command},
    settings::Settings,
    stats::Stats,
};
use crate::{
    error::CliError,
    interrupt,
    output::{OutputFile, check_model},
    prompt,
    say::{note, one_line, print_line, say, say_styled, tell, warn},
    stream::{self, TextStream},
    terminal::{Silence, Stream, Style},
};

/// Characters of a message that a note about it quotes.
const QUOTED: usize = 40;

pub struct Talk<'m> {
    llama: &'m Llama,
    template: &'m ChatTemplate,
    conversation: Conversation<'m>,
    settings: Settings,
    /// Whether messages come from a terminal, and not from a pipe.
    pub terminal: bool,
    stats: Stats,
    answered: usize,
    unanswered: usize,
}

impl<'m> Talk<'m> {
    pub fn new(
        llama: &'m Llama,
        template: &'m ChatTemplate,
        conversation: Conversation<'m>,
        settings: Settings,
        terminal: bool,
    ) -> Self {
        let stats = Stats::default();
        Self { llama, template, conversation, settings, terminal, stats, answered: 0, unanswered: 0 }
    }

    /// The number of messages without an answer, and of all.
    pub fn unanswered(&self) -> (usize, usize) {
        (self.unanswered, self.unanswered + self.answered)
    }

    /// A message that could not be read.
    pub fn could_not_read(&mut self, why: &str) {
        self.unanswered += 1;
        say_styled(Style::Error, "glass: error:", &format!("cannot read standard input: {}", one_line(why)));
    }

    /// Runs a command or answers a message; breaks on /exit. What goes wrong is reported, and changes nothing; at a pipe,
    /// Ctrl-C ends more than the answer.
    ///
    /// # Errors
    /// Standard output cannot be written; Ctrl-C at a pipe.
    pub fn handle(&mut self, text: &str) -> Result<ControlFlow<()>, CliError> {
        let command = Command::parse(text);
        if command == Command::Exit {
            return Ok(ControlFlow::Break(()));
        }
        match self.run(command) {
            Ok(None) => {}
            Ok(Some(words)) => tell(&words),
            Err(error @ (CliError::Stdout(_) | CliError::Closed | CliError::Interrupted)) => return Err(error),
            Err(error) => say_styled(Style::Error, "glass: error:", &one_line(&error.to_string())),
        }
        Ok(ControlFlow::Continue(()))
    }

    /// What is to be said of it, if anything.
    fn run(&mut self, command: Command<'_>) -> Result<Option<String>, CliError> {
        let words = match command {
            Command::Message(text) => return self.say(text).map(|()| None),
            Command::Retry => return self.retry().map(|()| None),
            Command::Help => command::help(),
            Command::Stats => self.stats.show(&self.conversation, self.llama.config.context()),
            Command::Reset => {
                self.conversation.reset();
                "glass: forgotten, all but the system message".to_owned()
            }
            Command::Undo => match self.conversation.undo() {
                Some(message) => format!("glass: taken back: {:?} and the answer to it", beginning(&message)),
                None => "glass: there is nothing to take back: nothing was said yet".to_owned(),
            },
            Command::ShowSystem => match self.conversation.system() {
                Some(text) => text.to_owned(),
                None => "glass: there is no system message; /system TEXT sets one".to_owned(),
            },
            Command::RemoveSystem => {
                self.conversation.set_system(None);
                "glass: no system message from here on".to_owned()
            }
            Command::System(text) => {
                self.set_system(text.to_owned())?;
                "glass: the system message is set; what was said so far stays".to_owned()
            }
            Command::ListSettings => self.settings.list(self.conversation.options()),
            Command::ShowSetting(name) => {
                let shown = self.settings.show(self.conversation.options(), name);
                format!("glass: {}", shown.map_err(CliError::Usage)?)
            }
            Command::Set(name, value) => {
                let set = self.settings.set(self.conversation.options_mut(), name, value);
                format!("glass: {}", set.map_err(CliError::Usage)?)
            }
            Command::Save { path, force } => self.save(&path, force)?,
            Command::Load(path) => self.load(saved(&path)?, &path),
            Command::Wrong(why) => return Err(CliError::Usage(why)),
            Command::Exit => return Ok(None),
        };
        Ok(Some(words))
    }

    /// # Errors
    /// A template that refuses system messages.
    pub fn set_system(&mut self, text: String) -> Result<(), CliError> {
        if !self.template.honours_system(&text)? {
            warn(["the model's chat template leaves system messages out: it will have no effect"]);
        }
        self.conversation.set_system(Some(text));
        Ok(())
    }

    /// Goes on from messages of a file, in place of those here, and says so.
    pub fn load(&mut self, messages: Vec<Message>, path: &Path) -> String {
        let last = messages.last().map_or(String::new(), |last| format!("; the last one: {:?}", beginning(last)));
        let words = format!("glass: {} messages from {}{last}", messages.len(), path.display());
        self.conversation.set_messages(messages);
        words
    }

    fn say(&mut self, text: &str) -> Result<(), CliError> {
        for token in self.llama.tokenizer()?.special_in(text)? {
            tell(&format!(
                "glass: note: {token} in your message is a special token to the model, as if the template had written it"
            ));
        }
        prompt::warn_unknown(self.llama.tokenizer.as_ref(), [text])?;
        let nothing = "glass: stopped before the answer began: your message was not said";
        self.answer(nothing, |conversation, progress| conversation.say(text, progress).map(Some))
    }

    fn retry(&mut self) -> Result<(), CliError> {
        if self.conversation.options().sampling.is_greedy() && !self.conversation.messages().is_empty() {
            note("glass: temperature is 0, which gives the same answer: /set temperature 0.7 gives others");
        }
        let nothing = "glass: stopped before the answer began: the one before stays";
        self.answer(nothing, |conversation, progress| conversation.retry(progress))
    }

    /// A turn, whose answer is shown as it comes; `nothing` is said where Ctrl-C left none.
    fn answer(
        &mut self,
        nothing: &str,
        turn: impl FnOnce(
            &mut Conversation<'m>,
            &mut dyn FnMut(Progress<'_>) -> ControlFlow<()>,
        ) -> Result<Option<Reply>, glass_generate::Error>,
    ) -> Result<(), CliError> {
        if self.terminal {
            // A Ctrl-C that came too late for what was before is not meant for this answer.
            interrupt::reset();
            interrupt::listen_patiently();
        } else {
            interrupt::listen();
        }
        let context = self.llama.config.context();
        let mut stdout = io::stdout();
        let mut stream = TextStream::new(true, &mut stdout).wrapped();
        let silence = Silence::begin();
        let reply = turn(&mut self.conversation, &mut |progress| match progress {
            Progress::Forgotten(messages) => {
                tell(&forgotten(messages, context));
                ControlFlow::Continue(())
            }
            progress => stream.show(progress),
        });
        drop(silence);
        let mid_line = stream.is_mid_line();
        let written = stream.end();
        self.reset_interrupt();
        let reply = match reply {
            Ok(Some(reply)) => reply,
            Ok(None) => {
                tell("glass: there is nothing to answer anew: nothing was said yet");
                return Ok(());
            }
            Err(error) => {
                if mid_line {
                    print_line("")?;
                }
                self.unanswered += 1;
                return Err(error.into());
            }
        };
        written?;
        // A pipe gets a line for each message.
        if mid_line || !self.terminal {
            print_line("")?;
        }
        let reason = reply.generated.finish_reason;
        let ended = if reason == FinishReason::NoToken { &mut self.unanswered } else { &mut self.answered };
        *ended += 1;
        self.comment(&reply, nothing);
        if self.terminal && Stream::Err.is_terminal() {
            say!(); // the prompt stands apart
        }
        self.stats.count(reply);
        interrupt::outcome(reason == FinishReason::Interrupted && !self.terminal)
    }

    /// The next Ctrl-C is the first again. At a pipe it ends the process while the next message is read.
    fn reset_interrupt(&self) {
        if self.terminal {
            interrupt::reset();
        } else {
            interrupt::stop_listening();
        }
    }

    /// Why an answer ended, below it.
    fn comment(&self, reply: &Reply, nothing: &str) {
        let generated = &reply.generated;
        match generated.finish_reason {
            FinishReason::Length => note(&format!(
                "glass: cut off after {} tokens: {}",
                generated.ids.len(),
                stream::cut_off(generated, self.llama)
            )),
            FinishReason::Interrupted if !reply.counts() => note(nothing),
            FinishReason::Interrupted => note("glass: stopped"),
            FinishReason::NoToken => {
                let lost = if reply.counts() { "" } else { ": your message was not said" };
                say_styled(Style::Error, "glass: error:", &format!("{}{lost}", SamplingError::NothingLeft));
            }
            _ if self.terminal && reply.text().trim().is_empty() => {
                note("glass: the answer is empty: /retry asks again");
            }
            FinishReason::Eos | FinishReason::StopString | FinishReason::Complete => {}
        }
    }

    fn save(&self, path: &Path, force: bool) -> Result<String, CliError> {
        check_model(path, self.llama.folder.to_str())?;
        let mut json = serde_json::to_vec_pretty(self.conversation.messages())
            .map_err(|error| CliError::Usage(error.to_string()))?;
        json.push(b'\n');
        let existing = if force { Existing::Replace } else { Existing::Refuse };
        let saved = OutputFile::create(path, existing).and_then(|file| file.write(&json));
        self.reset_interrupt(); // writing listens
        saved?;
        Ok(format!("glass: {} messages in {}", self.conversation.messages().len(), path.display()))
    }
}

/// The messages of a file that /save wrote.
pub fn saved(path: &PathBuf) -> Result<Vec<Message>, CliError> {
    let json = fs::read(path).map_err(CliError::reading(path))?;
    Ok(read_messages(&json, &path.display().to_string())?)
}

/// What the next answer is made without.
fn forgotten(messages: &[Message], context: usize) -> String {
    let turns = messages.len() / 2;
    let oldest: Vec<String> = messages.iter().step_by(2).map(|message| format!("{:?}", beginning(message))).collect();
    format!(
        "glass: the context of {context} tokens is full: the model no longer knows {turns} {}, {}",
        if turns == 1 { "turn" } else { "turns" },
        oldest.join(", ")
    )
}

fn beginning(message: &Message) -> String {
    let line: Vec<&str> = message.content.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
