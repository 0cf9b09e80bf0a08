//! Turn after turn.

use std::{io, path::Path};

use glass_generate::{Conversation, FinishReason, Llama, Reply};
use glass_text::{ChatTemplate, Message};

use super::{
    command::{Command, HELP},
    stats::Stats,
};
use crate::{
    error::CliError, generate, interrupt, load, one_line, output::OutputFile, say::say,
    stream::TextStream,
};

/// Letters of a message by which it is called.
const BEGINNING: usize = 40;

pub struct Talk<'m> {
    llama: &'m Llama,
    template: &'m ChatTemplate,
    conversation: Conversation<'m>,
    /// Somebody sits there, and not a pipe.
    terminal: bool,
    stats: Stats,
    answered: usize,
    unanswered: usize,
}

pub enum Then {
    GoOn,
    Leave,
}

impl<'m> Talk<'m> {
    pub fn new(
        llama: &'m Llama,
        template: &'m ChatTemplate,
        conversation: Conversation<'m>,
        terminal: bool,
    ) -> Self {
        Self {
            llama,
            template,
            conversation,
            terminal,
            stats: Stats::default(),
            answered: 0,
            unanswered: 0,
        }
    }

    /// Messages without an answer, and all.
    pub fn unanswered(&self) -> (usize, usize) {
        (self.unanswered, self.unanswered + self.answered)
    }

    /// Does what somebody says, or answers it. What goes wrong is said, and changes nothing; at a pipe, Ctrl-C ends more
    /// than the answer.
    ///
    /// # Errors
    /// Standard output cannot be written; Ctrl-C at a pipe.
    pub fn hear(&mut self, text: &str) -> Result<Then, CliError> {
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
            Command::Exit => return Ok(Then::Leave),
        };
        match done {
            Ok(()) => Ok(Then::GoOn),
            Err(error @ (CliError::Stdout(_) | CliError::Closed | CliError::Interrupted)) => {
                Err(error)
            }
            Err(error) => {
                say!("glass: error: {}", one_line(&error.to_string()));
                Ok(Then::GoOn)
            }
        }
    }

    /// # Errors
    /// A template that refuses system messages.
    pub fn set_system(&mut self, text: String) -> Result<(), CliError> {
        if !self.template.honours_system(&text)? {
            load::warn([
                "the model's chat template leaves system messages out: it will have no effect",
            ]);
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
        let reply = self
            .conversation
            .say(text, &mut |progress| stream.show(progress));
        let written = stream.end();
        self.rest();
        let reply = match reply {
            Ok(reply) => reply,
            Err(error) => {
                self.unanswered += 1;
                return Err(error.into());
            }
        };
        written?;
        generate::println_stdout()?;
        self.answered += 1;
        self.comment(&reply);
        let interrupted = reply.generated.finish_reason == FinishReason::Interrupted;
        self.stats.count(reply);
        match interrupted && !self.terminal {
            true => Err(CliError::Interrupted),
            false => Ok(()),
        }
    }

    /// The next Ctrl-C is another one. At a pipe nobody waits for it while the next message is read.
    fn rest(&self) {
        match self.terminal {
            true => interrupt::answered(),
            false => interrupt::rest(),
        }
    }

    /// What somebody who reads the answer has to know.
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
            FinishReason::Length => say!(
                "glass: cut off after {} tokens: {}",
                generated.ids.len(),
                match generated.prompt_tokens + generated.ids.len() > self.llama.config.context() {
                    true => "the context is full",
                    false => "--max-new-tokens allows more",
                }
            ),
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
        let saved = OutputFile::create(path).and_then(|file| file.write(&json));
        self.rest(); // writing listens
        saved?;
        say!(
            "glass: {} messages in {}",
            self.conversation.messages().len(),
            path.display()
        );
        Ok(())
    }
}

fn beginning(message: &Message) -> String {
    let line: Vec<&str> = message.content.split_whitespace().collect();
    let line = line.join(" ");
    match line.char_indices().nth(BEGINNING) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}
