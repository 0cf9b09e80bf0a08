//! A text, shown while it is generated.

use std::{io::Write, ops::ControlFlow};

use glass_generate::Progress;
use indicatif::ProgressBar;

use crate::{error::CliError, interrupt, load};

/// Writes text as soon as it is final, and draws how far a long prompt is read.
pub struct TextStream<'o> {
    /// Without a tokenizer there are ids alone.
    has_text: bool,
    out: &'o mut dyn Write,
    bar: Option<ProgressBar>,
    failed: Option<CliError>,
}

impl<'o> TextStream<'o> {
    pub fn new(has_text: bool, out: &'o mut dyn Write) -> Self {
        Self {
            has_text,
            out,
            bar: None,
            failed: None,
        }
    }

    /// Breaks off on Ctrl-C, and where the text cannot be written.
    pub fn show(&mut self, progress: Progress<'_>) -> ControlFlow<()> {
        match progress {
            Progress::Prompt { done, total } if done < total => {
                let bar = self
                    .bar
                    .get_or_insert_with(|| load::tokens_bar("reading the prompt"));
                bar.set_length(total as u64);
                bar.set_position(done as u64);
            }
            Progress::Prompt { .. } => self.clear(),
            Progress::Text { id, text } => {
                let written = match (self.has_text, id) {
                    (true, _) => self.out.write_all(text.as_bytes()),
                    (false, Some(id)) => write!(self.out, "{id} "),
                    (false, None) => Ok(()),
                };
                if let Err(error) = written.and_then(|()| self.out.flush()) {
                    self.failed = Some(CliError::stdout(error));
                }
            }
        }
        match interrupt::asked() || self.failed.is_some() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    }

    /// # Errors
    /// What could not be written.
    pub fn end(mut self) -> Result<(), CliError> {
        self.clear();
        match self.failed.take() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}
