//! The turns of a conversation.

use std::{io, ops::ControlFlow, path::Path};

use glass_checkpoint::Existing;
use glass_generate::{Conversation, FinishReason, Llama, Reply};
use glass_text::{ChatTemplate, Message};

use super::{
    command::{Command, HELP},
    stats::Stats,
};
use crate::{
    error::CliError,
    interrupt,
    output::OutputFile,
    say::{one_line, print_line, say, warn},
    stream::{self, TextStream},
};

/// Characters of a message that a note about it quotes.
const QUOTED: usize = 40;

pub struct Talk<'m> {
    llama: &'m Llama,
    template: &'m ChatTemplate,
    conversation: Conversation<'m>,
    /// Whether messages come from a terminal, and not from a pipe.
    terminal: bool,
    stats: Stats,
    answered: usize,
    unanswered: usize,
}

impl<'m> Talk<'m> {
    pub fn new(llama: &'m Llama, template: &'m ChatTemplate, conversation: Conversation<'m>, terminal: bool) -> Self {
        Self { llama, template, conversation, terminal, stats: Stats::default(), answered: 0, unanswered: 0 }
    }

    /// The number of messages without an answer, and of all.
    pub fn unanswered(&self) -> (usize, usize) {
        (self.unanswered, self.unanswered + self.answered)
    }

    /// Runs a command or answers a message; breaks on /exit. What goes wrong is reported, and changes nothing; at a pipe,
    /// Ctrl-C ends more than the answer.
    ///
    /// # Errors
    /// Standard output cannot be written; Ctrl-C at a pipe.
    pub fn handle(&mut self, text: &str) -> Result<ControlFlow<()>, CliError> {
        let done = match Command::parse(text) {
            Command::Message(text) => self.answer(text),
            Command::Help => {
                say!("{HELP}");
                Ok(())
            }
            Command::Stats => {
                let context = self.llama.config.context();
                say!("{}", self.stats.show(&self.conversation, context));
                Ok(())
            }
            Command::Reset => {
                self.conversation.reset();
                say!("glass: forgotten, all but the system message");
                Ok(())
            }
            Command::ShowSystem => {
                match self.conversation.system() {
                    Some(text) => say!("{text}"),
                    None => say!("glass: there is no system message; /system TEXT sets one"),
                }
                Ok(())
            }
            Command::RemoveSystem => {
                self.conversation.set_system(None);
                say!("glass: no system message from here on");
                Ok(())
            }
            Command::System(text) => {
                let set = self.set_system(text.to_owned());
                if set.is_ok() {
                    say!("glass: the system message is set; what was said so far stays");
                }
                set
            }
            Command::Save(path) => self.save(&path),
            Command::Wrong(why) => {
                say!("glass: {}", one_line(&why));
                Ok(())
            }
            Command::Exit => return Ok(ControlFlow::Break(())),
        };
        match done {
            Ok(()) => Ok(ControlFlow::Continue(())),
            Err(error @ (CliError::Stdout(_) | CliError::Closed | CliError::Interrupted)) => Err(error),
            Err(error) => {
                say!("glass: error: {}", one_line(&error.to_string()));
                Ok(ControlFlow::Continue(()))
            }
        }
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

    fn answer(&mut self, text: &str) -> Result<(), CliError> {
        for token in self.llama.tokenizer()?.special_in(text)? {
            say!(
                "glass: note: {token} in your message is a special token to the model, as if the template had written it"
            );
        }
        interrupt::listen();
        let mut stdout = io::stdout();
        let mut stream = TextStream::new(true, &mut stdout);
        let reply = self.conversation.say(text, &mut |progress| stream.show(progress));
        let written = stream.end();
        self.reset_interrupt();
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.unanswered += 1;
                return Err(error.into());
            }
        };
        written?;
        print_line("")?;
        self.answered += 1;
        self.comment(&reply);
        let interrupted = reply.generated.finish_reason == FinishReason::Interrupted;
        self.stats.count(reply);
        interrupt::outcome(interrupted && !self.terminal)
    }

    /// The next Ctrl-C is the first again. At a pipe it ends the process while the next message is read.
    fn reset_interrupt(&self) {
        if self.terminal {
            interrupt::reset();
        } else {
            interrupt::stop_listening();
        }
    }

    /// Notes below an answer: what was forgotten, and why the answer ended.
    fn comment(&self, reply: &Reply) {
        if reply.newly_forgotten > 0 {
            let turns = reply.newly_forgotten / 2;
            let end = self.conversation.forgotten();
            let system = usize::from(self.conversation.system().is_some());
            let messages = &self.conversation.messages()[system..][..end];
            let oldest: Vec<String> = messages[end - reply.newly_forgotten..]
                .iter()
                .step_by(2)
                .map(|message| format!("{:?}", beginning(message)))
                .collect();
            say!(
                "glass: the context of {} tokens is full: the model no longer knows {turns} {}, {}",
                self.llama.config.context(),
                if turns == 1 { "turn" } else { "turns" },
                oldest.join(", ")
            );
        }
        let generated = &reply.generated;
        match generated.finish_reason {
            FinishReason::Length => {
                say!("glass: cut off after {} tokens: {}", generated.ids.len(), stream::cut_off(generated, self.llama))
            }
            FinishReason::Interrupted if !reply.counts() => {
                say!("glass: stopped before the answer began: your message was not said");
            }
            FinishReason::Interrupted => say!("glass: stopped"),
            FinishReason::Eos | FinishReason::StopString | FinishReason::Complete => {}
        }
    }

    fn save(&self, path: &Path) -> Result<(), CliError> {
        let mut json = serde_json::to_vec_pretty(self.conversation.messages())
            .map_err(|error| CliError::Usage(error.to_string()))?;
        json.push(b'\n');
        let saved = OutputFile::create(path, Existing::Refuse).and_then(|file| file.write(&json));
        self.reset_interrupt(); // writing listens
        saved?;
        say!("glass: {} messages in {}", self.conversation.messages().len(), path.display());
        Ok(())
    }
}

fn beginning(message: &Message) -> String {
    let line: Vec<&str> = message.content.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
